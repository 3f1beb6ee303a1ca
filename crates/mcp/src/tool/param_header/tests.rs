use super::*;
use crate::{headers::encode_value, tool::ToolAnnotations};
use http::HeaderValue;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde_json::json;

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema matters")]
struct Input {
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
    #[serde(default)]
    #[schemars(with = "i64", extend("x-mcp-header" = "Shard"))]
    shard: Option<i64>,
    nested: Nested,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema matters")]
struct Nested {
    #[schemars(extend("x-mcp-header" = "Dry-Run"))]
    dry_run: bool,
}

fn tool() -> ToolDescriptor {
    ToolDescriptor::new::<Input>("t", "T", "t", ToolAnnotations::read_only())
}

/// The code of the refusal, 0 if there is none.
fn outcome(arguments: &str, headers: &[(&'static str, &str)]) -> i32 {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let arguments = RawValue::from_string(arguments.to_owned()).unwrap();
    match check_param_headers(&tool(), Some(&arguments), &map) {
        Ok(()) => 0,
        Err(refusal) => {
            assert_eq!(refusal.status, 400);
            refusal.error.code.number()
        }
    }
}

#[test]
fn marked_properties_are_found_wherever_properties_lead() {
    let tool = tool();
    let found: Vec<_> = tool
        .param_headers()
        .iter()
        .map(|header| (header.name().as_str(), header.path().join(".")))
        .collect();
    assert_eq!(found.len(), 3);
    assert!(found.contains(&("mcp-param-region", "region".into())));
    assert!(found.contains(&("mcp-param-dry-run", "nested.dry_run".into())));
}

/// Arguments, headers, the code of the refusal.
type Row = (&'static str, &'static [(&'static str, &'static str)], i32);

#[test]
fn every_header_has_to_say_what_the_body_says() {
    const REGION: &str = "mcp-param-region";
    const SHARD: &str = "mcp-param-shard";
    let rows: &[Row] = &[
        (r#"{"region":"eu"}"#, &[(REGION, "eu")], 0),
        (r#"{"region":"eu"}"#, &[(REGION, " eu\t")], 0),
        (r#"{"region":"eu"}"#, &[(REGION, "=?base64?ZXU=?=")], 0),
        (r#"{"region":"eu"}"#, &[(REGION, "EU")], -32020),
        (r#"{"region":"eu"}"#, &[], -32020),
        (
            r#"{"region":"eu"}"#,
            &[(REGION, "eu"), (REGION, "us")],
            -32020,
        ),
        (
            r#"{"region":"Hello"}"#,
            &[(REGION, "=?base64?SGVsbG8?=")],
            -32020,
        ),
        (r#"{"region":"SGVsbG8="}"#, &[(REGION, "SGVsbG8=")], 0),
        (
            r#"{"region":"=?base64?SGVsbG8="}"#,
            &[(REGION, "=?base64?SGVsbG8=")],
            0,
        ),
        (r#"{"region":""}"#, &[(REGION, "=?base64??=")], 0),
        (r#"{"region":"\u0065u"}"#, &[(REGION, "eu")], 0),
        // Absent and null are equivalent, and have no header.
        ("{}", &[], 0),
        (r#"{"region":null}"#, &[], 0),
        (r#"{"region":null}"#, &[(REGION, "eu")], -32020),
        ("{}", &[(REGION, "eu")], -32020),
        // Integers compare as numbers, not as text.
        (r#"{"shard":42}"#, &[(SHARD, "42")], 0),
        (r#"{"shard":42}"#, &[(SHARD, "42.0")], 0),
        (r#"{"shard":42.0}"#, &[(SHARD, "42")], 0),
        (r#"{"shard":4.2e1}"#, &[(SHARD, "42")], 0),
        (r#"{"shard":-0}"#, &[(SHARD, "0")], 0),
        (r#"{"shard":42}"#, &[(SHARD, "43")], -32020),
        (r#"{"shard":42}"#, &[(SHARD, "+42")], -32020),
        (r#"{"shard":42}"#, &[(SHARD, "042")], -32020),
        (
            r#"{"shard":42}"#,
            &[(SHARD, "42.00000000000000000001")],
            -32020,
        ),
        (
            r#"{"shard":9007199254740991}"#,
            &[(SHARD, "9007199254740991")],
            0,
        ),
        (
            r#"{"shard":9007199254740992}"#,
            &[(SHARD, "9007199254740992")],
            -32020,
        ),
        (
            r#"{"nested":{"dry_run":true}}"#,
            &[("mcp-param-dry-run", "true")],
            0,
        ),
        (
            r#"{"nested":{"dry_run":true}}"#,
            &[("mcp-param-dry-run", "True")],
            -32020,
        ),
        (r#"{"nested":{"dry_run":false}}"#, &[], -32020),
        (r#"{"nested":null}"#, &[], 0),
        (r#"{"nested":7}"#, &[], 0),
        // The schema check handles values that cannot be mirrored.
        (r#"{"region":["eu"]}"#, &[], 0),
        (r#"{"region":["eu"]}"#, &[(REGION, "eu")], -32020),
        // No property asks for this header.
        (
            r#"{"region":"eu"}"#,
            &[(REGION, "eu"), ("mcp-param-other", "x")],
            0,
        ),
        (
            r#"{"region":"eu","region":"us"}"#,
            &[(REGION, "us")],
            -32020,
        ),
    ];
    for (arguments, headers, expected) in rows {
        assert_eq!(
            outcome(arguments, headers),
            *expected,
            "{arguments} {headers:?}"
        );
    }
    let none = check_param_headers(&tool(), None, &HeaderMap::new());
    assert_eq!(none, Ok(()));
}

#[test]
fn a_mark_that_breaks_a_rule_does_not_get_past_the_start() {
    let of = |property: Value| json!({"type": "object", "properties": {"a": property}});
    let marked = |mark: Value| json!({"type": "string", ANNOTATION: mark});
    let good = marked(json!("A"));
    for bad in [
        of(marked(json!(""))),
        of(marked(json!("a b"))),
        of(marked(json!("a\r\nb"))),
        of(marked(json!("é"))),
        of(marked(json!("a:b"))),
        of(marked(json!(7))),
        of(json!({"type": "number", ANNOTATION: "A"})),
        of(json!({"type": "object", ANNOTATION: "A"})),
        of(json!({"type": ["string", "null"], ANNOTATION: "A"})),
        of(json!({ANNOTATION: "A"})),
        json!({"type": "object", ANNOTATION: "A"}),
        json!({"properties": {"a": good, "b": marked(json!("a"))}}),
        of(json!({"type": "array", "items": good})),
        of(json!({"anyOf": [good, {"type": "null"}]})),
        of(json!({"properties": {"b": {"oneOf": [{"properties": {"c": good}}]}}})),
        json!({"if": {"properties": {"a": good}}}),
        json!({"$defs": {"a": good}}),
        json!({"patternProperties": {"a": good}}),
        json!({"additionalProperties": good}),
    ] {
        assert!(scan(&bad).is_err(), "{bad}");
    }
    for fine in [
        of(json!({"type": "string", "default": {ANNOTATION: "A"}, "enum": [{ANNOTATION: "A"}]})),
        json!({"properties": {ANNOTATION: {"type": "string"}}}),
        json!({"properties": {"properties": {"properties": {"b": good}}}}),
        json!(true),
    ] {
        assert!(scan(&fine).is_ok(), "{fine}");
    }
}

#[test]
#[should_panic(expected = "x-mcp-header in the input schema of the tool t")]
fn a_bad_mark_panics_with_the_name_of_the_tool() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "number", ANNOTATION: "A"}}});
    let _ = tool().with_input_schema(schema);
}

proptest! {
    #[test]
    fn what_a_client_encodes_is_accepted_and_nothing_else(
        text in "\\PC{0,20}",
        other in "\\PC{0,20}",
    ) {
        let arguments = json!({"region": text}).to_string();
        let header = encode_value(&text);
        prop_assert_eq!(outcome(&arguments, &[("mcp-param-region", &header)]), 0);
        let header = encode_value(&other);
        let expected = if text == other { 0 } else { -32020 };
        prop_assert_eq!(outcome(&arguments, &[("mcp-param-region", &header)]), expected);
    }

    #[test]
    fn integers_compare_exactly(a in -9_007_199_254_740_991_i64..=9_007_199_254_740_991, b: i8) {
        let arguments = format!(r#"{{"shard":{a}}}"#);
        let other = a.saturating_add(i64::from(b));
        let expected = if b == 0 { 0 } else { -32020 };
        let header = format!("{other}.000");
        prop_assert_eq!(outcome(&arguments, &[("mcp-param-shard", &header)]), expected);
    }

    #[test]
    fn no_header_makes_it_panic(value in "[ -~]{0,30}") {
        let _ = outcome(r#"{"region":"eu","shard":1}"#, &[("mcp-param-shard", &value)]);
    }
}
