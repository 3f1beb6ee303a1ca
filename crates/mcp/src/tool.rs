//! Tools: descriptors, parameters and results (MCP, Server Features, "Tools").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::{
    envelope::RpcError,
    lenient::is_no_object,
    params::{self, InputError},
    version::ProtocolVersion,
};

mod param_header;
mod result;
mod schema;

pub use param_header::{ParamHeader, check_param_headers, mirror_arguments};
pub use result::{CallToolResult, ContentBlock};

/// Hints about a tool's behaviour, which a client may use to ask its user for consent less or more
/// often. Hints are neither a promise nor a protection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolAnnotations {
    /// The tool changes nothing.
    pub read_only_hint: bool,
    /// The tool may destroy something; meaningless for a tool that changes nothing.
    pub destructive_hint: bool,
    /// A repeated call with the same arguments changes nothing more.
    pub idempotent_hint: bool,
    /// The tool reaches beyond this server.
    pub open_world_hint: bool,
}

impl ToolAnnotations {
    /// A tool that only reads.
    #[must_use]
    pub const fn read_only() -> Self {
        Self {
            read_only_hint: true,
            destructive_hint: false,
            idempotent_hint: true,
            open_world_hint: false,
        }
    }

    /// A tool that changes only this session, and destroys nothing.
    #[must_use]
    pub const fn additive() -> Self {
        Self {
            read_only_hint: false,
            destructive_hint: false,
            idempotent_hint: false,
            open_world_hint: false,
        }
    }
}

/// A tool in `tools/list`.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolDescriptor {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    input_schema: Value,
    output_schema: Option<Value>,
    annotations: ToolAnnotations,
    param_headers: Vec<ParamHeader>,
    meta: serde_json::Map<String, Value>,
}

impl ToolDescriptor {
    /// A tool with the schema of its input (JSON Schema 2020-12). Doc comments on fields become
    /// their descriptions.
    ///
    /// # Panics
    /// `Input` is not a struct or map, the name is not 1 to 64 characters of `A-Z a-z 0-9 _ . / -`,
    /// or an `x-mcp-header` breaks a rule of [`ParamHeader`]: a mistake in the program that shows
    /// at start.
    #[must_use]
    pub fn new<Input: JsonSchema>(
        name: &'static str,
        title: &'static str,
        description: &'static str,
        annotations: ToolAnnotations,
    ) -> Self {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_./-".contains(&b);
        let is_name = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
        assert!(is_name, "{name:?} is not a valid tool name");
        let input_schema = schema::of_input::<Input>(name);
        Self {
            name,
            title,
            description,
            param_headers: param_header::declared(name, &input_schema),
            input_schema,
            output_schema: None,
            annotations,
            meta: serde_json::Map::new(),
        }
    }

    /// Adds a hint for some clients to `_meta`. Others pass over it.
    #[must_use]
    pub fn with_meta(mut self, (key, hint): (&'static str, impl Into<Value>)) -> Self {
        self.meta.insert(key.to_owned(), hint.into());
        self
    }

    /// Adds the schema of `structuredContent`.
    ///
    /// # Panics
    /// `Output` is not a struct or map, which revisions before 2026-07-28 require.
    #[must_use]
    pub fn with_output<Output: JsonSchema>(mut self) -> Self {
        self.output_schema = Some(schema::of_output::<Output>(self.name));
        self
    }

    /// Adds the fields of another type to the input schema, for a tool that reads its arguments as several types. What
    /// that type requires, the tool requires.
    ///
    /// # Panics
    /// `Input` is not a struct, or has a field that the schema has already.
    #[must_use]
    pub fn with_more_input<Input: JsonSchema>(mut self) -> Self {
        let more = schema::of_input::<Input>(self.name);
        let fields = self.input_schema.as_object_mut();
        let fields = fields.expect("a schema of an input is an object");
        let fields = fields
            .entry("properties")
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        let fields = fields.as_object_mut().expect("properties are an object");
        for (field, schema) in more["properties"].as_object().into_iter().flatten() {
            let known = fields.insert(field.clone(), schema.clone());
            assert!(known.is_none(), "{} has two fields {field}", self.name);
        }
        if let Some(Value::Array(more)) = more.get("required") {
            let required = self.input_schema.as_object_mut().and_then(|schema| {
                let required = schema.entry("required");
                required
                    .or_insert_with(|| Value::Array(Vec::new()))
                    .as_array_mut()
            });
            let required = required.expect("what a schema requires is a list");
            required.extend(more.iter().cloned());
        }
        self
    }

    /// Replaces the input schema; it must be of type object.
    ///
    /// # Panics
    /// An `x-mcp-header` in it breaks a rule of [`ParamHeader`].
    #[must_use]
    pub fn with_input_schema(mut self, schema: Value) -> Self {
        self.param_headers = param_header::declared(self.name, &schema);
        self.input_schema = schema;
        self
    }

    /// The title for people.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// The name for `tools/call`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the tool changes nothing.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.annotations.read_only_hint
    }

    /// The arguments that a client mirrors into headers, in the order of their paths.
    #[must_use]
    pub fn param_headers(&self) -> &[ParamHeader] {
        &self.param_headers
    }

    /// The tool as a revision knows it.
    fn describe(&self, version: ProtocolVersion) -> Described<'_> {
        let titled = version.has_titles();
        let annotations = version.has_annotations().then_some(DescribedAnnotations {
            // 2025-03-26 had the title here; later revisions have it beside the name.
            title: (!titled).then_some(self.title),
            hints: self.annotations,
        });
        let structured = version.has_structured_output();
        Described {
            name: self.name,
            title: titled.then_some(self.title),
            description: self.description,
            input_schema: &self.input_schema,
            output_schema: self.output_schema.as_ref().filter(|_| structured),
            annotations,
            meta: (titled && !self.meta.is_empty()).then_some(&self.meta),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    description: &'a str,
    input_schema: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_schema: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<DescribedAnnotations<'a>>,
    /// From 2025-06-18 on.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<&'a serde_json::Map<String, Value>>,
}

#[derive(Serialize)]
struct DescribedAnnotations<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(flatten)]
    hints: ToolAnnotations,
}

/// Result of `tools/list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListToolsResult<'a> {
    tools: Vec<Described<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
}

/// Builds the result of `tools/list`.
#[must_use]
pub fn list_result<'a>(
    version: ProtocolVersion,
    tools: &'a [ToolDescriptor],
    next_cursor: Option<&'a str>,
) -> ListToolsResult<'a> {
    ListToolsResult {
        tools: tools.iter().map(|tool| tool.describe(version)).collect(),
        next_cursor,
    }
}

/// Params of `tools/call`.
#[derive(Clone, Debug, Deserialize)]
pub struct CallToolParams {
    /// The name of the tool.
    pub name: String,
    /// The tool's input, not parsed yet; absent counts as an empty object. A call keeps it until it ends, so
    /// the server bounds it ([`Self::within`]).
    #[serde(default)]
    pub arguments: Option<Box<RawValue>>,
}

impl CallToolParams {
    /// Reads the params.
    ///
    /// # Errors
    /// -32602: there is no name, or it is not text.
    pub fn parse(params: Option<&RawValue>) -> Result<Self, RpcError> {
        Ok(params::parse(params)?)
    }

    /// The call with arguments of up to `max_bytes` bytes, without white space between their parts if they
    /// do not fit with it.
    ///
    /// # Errors
    /// The arguments do not fit; the error names the field.
    pub fn within(mut self, max_bytes: usize) -> Result<Self, InputError> {
        if let Some(arguments) = &self.arguments
            && arguments.get().len() > max_bytes
        {
            let compact = params::compact(arguments);
            let bytes = compact.get().len();
            if bytes > max_bytes {
                let reason = format!("{bytes} bytes; this tool takes up to {max_bytes}");
                return Err(InputError::new("arguments", &reason));
            }
            self.arguments = Some(compact);
        }
        Ok(self)
    }

    /// Reads the arguments.
    ///
    /// # Errors
    /// The arguments do not fit; the error names the field. [`input_failure`] turns it into a
    /// response.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, InputError> {
        let given = self.arguments.as_deref();
        if let Some(raw) = given.filter(|raw| !is_no_object(raw)) {
            let kind = match raw.get().as_bytes().first() {
                Some(b'[') => Some("an array"),
                Some(b'"') => Some("a text"),
                Some(b'{') | None => None,
                Some(_) => Some("a number or flag"),
            };
            if let Some(kind) = kind {
                let reason = format!("must be a JSON object with named members, not {kind}");
                return Err(InputError::new("arguments", &reason));
            }
        }
        params::parse(given)
    }

    /// -32602, the same in every revision.
    #[must_use]
    pub fn unknown_tool(&self) -> RpcError {
        let name: String = self.name.chars().take(64).collect();
        RpcError::invalid_params(format!("unknown tool: {name}"))
    }
}

/// The response to input that does not fit a tool: from 2025-11-25 on a tool result with `isError`,
/// so that the model sees it and can try again (SEP-1303); before, a protocol error.
///
/// # Errors
/// -32602, in revisions before 2025-11-25.
pub fn input_failure(
    version: ProtocolVersion,
    error: InputError,
) -> Result<CallToolResult, RpcError> {
    if version.input_errors_are_results() {
        Ok(CallToolResult::failed(error.to_string()))
    } else {
        Err(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What to look for.
    #[derive(Deserialize, JsonSchema, Debug)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema and its parsing matter")]
    struct Input {
        /// At most this many.
        #[schemars(range(min = 1, max = 100))]
        max_events: u32,
        /// Go on after it.
        #[serde(default)]
        cursor: Option<String>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Output {
        found: u64,
    }

    fn tool() -> ToolDescriptor {
        let hints = ToolAnnotations::read_only();
        ToolDescriptor::new::<Input>("find", "Find", "Finds things.", hints).with_output::<Output>()
    }

    fn listed(version: ProtocolVersion) -> Value {
        let tools = [tool()];
        let result = serde_json::to_value(list_result(version, &tools, None)).unwrap();
        result["tools"][0].clone()
    }

    #[test]
    fn a_tool_is_listed_with_what_the_revision_knows() {
        let keys = |version| {
            let tool = listed(version);
            let keys: Vec<_> = tool.as_object().unwrap().keys().cloned().collect();
            keys.join(" ")
        };
        let oldest = "description inputSchema name";
        assert_eq!(sorted(&keys(ProtocolVersion::V2024_11_05)), oldest);
        assert_eq!(
            sorted(&keys(ProtocolVersion::V2025_03_26)),
            "annotations description inputSchema name"
        );
        let full = "annotations description inputSchema name outputSchema title";
        for version in [
            ProtocolVersion::V2025_06_18,
            ProtocolVersion::V2025_11_25,
            ProtocolVersion::V2026_07_28,
        ] {
            assert_eq!(sorted(&keys(version)), full);
        }
        assert_eq!(
            listed(ProtocolVersion::V2025_03_26)["annotations"]["title"],
            "Find"
        );
    }

    #[test]
    fn a_hint_for_some_clients_is_listed_where_tools_have_such() {
        let tools = [tool().with_meta(("vendor/hint", 3))];
        let meta = |version| {
            let listed = serde_json::to_value(list_result(version, &tools, None)).unwrap();
            listed["tools"][0]["_meta"].clone()
        };
        assert_eq!(meta(ProtocolVersion::V2025_03_26), Value::Null);
        assert_eq!(
            meta(ProtocolVersion::V2025_11_25),
            json!({"vendor/hint": 3})
        );
        assert_eq!(listed(ProtocolVersion::V2025_11_25)["_meta"], Value::Null);
    }

    fn sorted(words: &str) -> String {
        let mut words: Vec<_> = words.split(' ').collect();
        words.sort_unstable();
        words.join(" ")
    }

    #[test]
    fn schemas_are_2020_12_objects_with_descriptions() {
        let tool = listed(ProtocolVersion::V2025_11_25);
        assert_eq!(
            tool["inputSchema"],
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "description": "What to look for.",
                "type": "object",
                "properties": {
                    "maxEvents": {
                        "description": "At most this many.",
                        "type": "integer", "minimum": 1, "maximum": 100
                    },
                    "cursor": {
                        "description": "Go on after it.",
                        "type": ["string", "null"], "default": null
                    }
                },
                "required": ["maxEvents"],
                "additionalProperties": false
            })
        );
        assert_eq!(tool["outputSchema"]["required"], json!(["found"]));
    }

    #[test]
    #[should_panic(expected = "has to be an object")]
    fn an_input_that_is_no_object_shows_at_start() {
        let _ = ToolDescriptor::new::<u32>("n", "N", "n", ToolAnnotations::read_only());
    }

    #[test]
    fn arguments_that_do_not_fit_are_answered_as_the_revision_wants() {
        let raw = RawValue::from_string(r#"{"name":"find","arguments":{"maxEvents":"x"}}"#.into());
        let call = CallToolParams::parse(Some(&raw.unwrap())).unwrap();
        let error = call.arguments::<Input>().unwrap_err();
        let old = input_failure(ProtocolVersion::V2025_06_18, error.clone()).unwrap_err();
        assert_eq!(old.code.number(), -32602);
        assert!(old.message.starts_with("maxEvents: "), "{old}");
        let new = input_failure(ProtocolVersion::V2025_11_25, error).unwrap();
        assert!(new.is_error());
        assert!(CallToolParams::parse(None).is_err());
    }

    #[test]
    fn arguments_that_are_no_object_are_named() {
        for (given, kind) in [
            (r#""{}""#, "a text"),
            (r#""""#, "a text"),
            ("[1]", "an array"),
            ("7", "a number"),
        ] {
            let call = CallToolParams {
                name: "find".to_owned(),
                arguments: RawValue::from_string(given.to_owned()).ok(),
            };
            let refused = call.arguments::<Input>().unwrap_err().to_string();
            assert!(
                refused.starts_with("arguments: must be a JSON object") && refused.contains(kind),
                "{given}: {refused}"
            );
        }
    }

    #[test]
    fn arguments_are_bounded_and_white_space_between_their_parts_does_not_count() {
        let call = |arguments: String| CallToolParams {
            name: "find".to_owned(),
            arguments: RawValue::from_string(arguments).ok(),
        };
        let spaced = format!("{{ \"a\" :{}[\"b \\\" c\"] }}", " \n".repeat(1000));
        let kept = call(spaced).within(100).unwrap().arguments.unwrap();
        assert_eq!(kept.get(), r#"{"a":["b \" c"]}"#);
        assert!(call(r#"{"a":1}"#.to_owned()).within(7).is_ok());
        let refused = call(r#"{"a":12}"#.to_owned()).within(7).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "arguments: 8 bytes; this tool takes up to 7"
        );
    }
}
