use super::*;
use crate::envelope::{Incoming, MessageBody, parse};
use serde_json::{Map, Value, json};

const V2025_06_18: ProtocolVersion = ProtocolVersion::V2025_06_18;
const V2025_11_25: ProtocolVersion = ProtocolVersion::V2025_11_25;
const V2026_07_28: ProtocolVersion = ProtocolVersion::V2026_07_28;

fn form(properties: Vec<FormProperty>) -> ClientRequest {
    ClientRequest::Elicit(Elicitation::Form {
        message: "Tell us".into(),
        form: Form::new(properties),
    })
}

fn url() -> ClientRequest {
    ClientRequest::Elicit(Elicitation::Url {
        message: "Sign in".into(),
        url: "https://example.org/in".into(),
        id: "e1".into(),
    })
}

fn client(capabilities: Value) -> ClientCapabilities {
    ClientCapabilities::from_value(capabilities).unwrap()
}

fn params(request: &ClientRequest, version: ProtocolVersion) -> Value {
    serde_json::from_str(request.params(version).get()).unwrap()
}

fn pairs() -> Vec<(String, String)> {
    vec![("r".into(), "Red".into()), ("g".into(), "Green".into())]
}

fn plain() -> Choices {
    Choices::Plain(vec!["r".into(), "g".into()])
}

fn several(choices: Choices) -> FormField {
    FormField::Several {
        choices,
        min_items: Some(1),
        max_items: Some(2),
        default: vec!["r".into()],
    }
}

fn answer(request: &ClientRequest, response: &Value) -> Result<ClientResult, ReplyError> {
    let body = response.to_string();
    let Ok(MessageBody::One(Incoming::Response(response))) = parse(body.as_bytes()) else {
        panic!("a response")
    };
    request.read_response(&response)
}

fn accepted(request: &ClientRequest, content: &Value) -> Result<Map<String, Value>, String> {
    let result = json!({"action": "accept", "content": content}).to_string();
    let result = RawValue::from_string(result).unwrap();
    match request.read_result(&result) {
        Ok(ClientResult::Elicited(ElicitResult::Accepted(content))) => Ok(content),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_request_of_ours_has_our_id() {
    let id = RequestId::Text("edge-1".into());
    let message: Value =
        serde_json::from_slice(&ClientRequest::ListRoots.encode(&id, V2025_11_25)).unwrap();
    assert_eq!(
        message,
        json!({"jsonrpc": "2.0", "id": "edge-1", "method": "roots/list", "params": {}})
    );
    let message: Value = serde_json::from_slice(&ping(&RequestId::Integer(3))).unwrap();
    assert_eq!(message["method"], "ping");
}

#[test]
fn the_five_forms_of_a_choice() {
    let request = form(vec![
        FormProperty::optional(
            "a",
            FormField::One {
                choices: plain(),
                default: Some("g".into()),
            },
        ),
        FormProperty::optional("b", FormField::one_of(Choices::Titled(pairs()))),
        FormProperty::optional("c", FormField::one_of(Choices::TitledOldStyle(pairs()))),
        FormProperty::optional("d", several(plain())),
        FormProperty::optional("e", several(Choices::Titled(pairs()))),
    ]);
    let titled = json!([{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]);
    let schema = &params(&request, V2025_11_25)["requestedSchema"];
    assert_eq!(schema.get("required"), None);
    assert_eq!(
        schema["properties"],
        json!({
            "a": {"type": "string", "enum": ["r", "g"], "default": "g"},
            "b": {"type": "string", "oneOf": titled},
            "c": {"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]},
            "d": {"type": "array", "items": {"type": "string", "enum": ["r", "g"]},
                  "minItems": 1, "maxItems": 2, "default": ["r"]},
            "e": {"type": "array", "items": {"anyOf": titled},
                  "minItems": 1, "maxItems": 2, "default": ["r"]}
        })
    );
}

#[test]
fn every_primitive_has_its_default_and_the_order_of_the_form_is_kept() {
    let request = form(vec![
        FormProperty::required(
            "name",
            FormField::Text {
                min_length: Some(1),
                max_length: Some(9),
                format: Some(TextFormat::DateTime),
                default: Some("John".into()),
            },
        )
        .titled("Name")
        .described("Yours"),
        FormProperty::optional(
            "age",
            FormField::Integer {
                minimum: Some(0),
                maximum: None,
                default: Some(30),
            },
        ),
        FormProperty::optional(
            "score",
            FormField::Number {
                minimum: None,
                maximum: Some(99.5),
                default: Some(95.5),
            },
        ),
        FormProperty::required(
            "agree",
            FormField::Boolean {
                default: Some(true),
            },
        ),
    ]);
    assert_eq!(
        request.params(V2025_11_25).get(),
        r#"{"mode":"form","message":"Tell us","requestedSchema":{"type":"object","properties":{"#
            .to_owned()
            + r#""name":{"title":"Name","description":"Yours","type":"string","#
            + r#""format":"date-time","minLength":1,"maxLength":9,"default":"John"},"#
            + r#""age":{"type":"integer","minimum":0,"default":30},"#
            + r#""score":{"type":"number","maximum":99.5,"default":95.5},"#
            + r#""agree":{"type":"boolean","default":true}},"required":["name","agree"]}}"#
    );
    let old = params(&request, V2025_06_18);
    assert_eq!(old.get("mode"), None);
    let properties = &old["requestedSchema"]["properties"];
    assert_eq!(properties["name"].get("default"), None);
    assert_eq!(properties["agree"]["default"], true);
}

#[test]
fn an_old_revision_gets_the_old_spelling() {
    let request = form(vec![FormProperty::optional(
        "b",
        FormField::one_of(Choices::Titled(pairs())),
    )]);
    assert_eq!(
        params(&request, V2025_06_18)["requestedSchema"]["properties"]["b"],
        json!({"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]})
    );
}

#[test]
fn a_url_has_an_id_with_a_handshake_and_none_without() {
    let with = json!({
        "mode": "url", "message": "Sign in", "url": "https://example.org/in", "elicitationId": "e1"
    });
    assert_eq!(params(&url(), V2025_11_25), with);
    assert_eq!(params(&url(), V2026_07_28).get("elicitationId"), None);
    let done: Value = serde_json::from_slice(&elicitation_complete("e1")).unwrap();
    assert_eq!(done["params"], json!({"elicitationId": "e1"}));
}

/// The missing capability: none, its path, or "revision" if no declaration would help.
fn missing(
    request: &ClientRequest,
    version: ProtocolVersion,
    capabilities: Value,
) -> Option<Value> {
    let error = request.check(version, &client(capabilities)).err()?;
    let required = error.required().map(ClientCapabilities::into_value);
    Some(required.unwrap_or_else(|| json!("revision")))
}

#[test]
fn forms_and_urls_are_asked_where_client_and_revision_have_them() {
    let simple = form(vec![FormProperty::required("a", FormField::text())]);
    let many = form(vec![FormProperty::required("a", several(plain()))]);
    let both = || json!({"elicitation": {"form": {}, "url": {}}});
    let empty = || json!({"elicitation": {}});
    let only_url = || json!({"elicitation": {"url": {}}});
    let needs = |mode: &str| Some(json!({"elicitation": {mode: {}}}));
    let revision = || Some(json!("revision"));
    let rows = [
        (&simple, V2025_11_25, empty(), None),
        (&simple, V2025_11_25, both(), None),
        (&simple, V2025_11_25, only_url(), needs("form")),
        (&simple, V2025_11_25, json!({}), Some(empty())),
        (&simple, V2025_06_18, empty(), None),
        (&simple, ProtocolVersion::V2025_03_26, both(), revision()),
        (&url(), V2025_11_25, both(), None),
        (&url(), V2026_07_28, both(), None),
        (&url(), V2025_11_25, empty(), needs("url")),
        (&url(), V2025_06_18, both(), revision()),
        (&many, V2025_06_18, both(), revision()),
        (&many, V2025_11_25, both(), None),
    ];
    for (request, version, capabilities, expected) in rows {
        let got = missing(request, version, capabilities.clone());
        assert_eq!(got, expected, "{version} {capabilities}");
    }
}

#[test]
fn models_and_roots_are_asked_where_the_client_has_them() {
    let sample = ClientRequest::Sample(CreateMessage::ask("hi", 100));
    let (model, roots) = (json!({"sampling": {}}), json!({"roots": {}}));
    for version in ProtocolVersion::ALL {
        assert_eq!(missing(&sample, version, model.clone()), None);
        assert_eq!(
            missing(&sample, version, roots.clone()),
            Some(model.clone())
        );
        assert_eq!(
            missing(&ClientRequest::ListRoots, version, roots.clone()),
            None
        );
        assert_eq!(
            missing(&ClientRequest::ListRoots, version, json!({})),
            Some(roots.clone())
        );
    }
}

#[test]
fn a_url_can_be_demanded_by_an_error_in_one_revision() {
    let ClientRequest::Elicit(sign_in) = url() else {
        panic!("an elicitation")
    };
    let error = url_required(V2025_11_25, std::slice::from_ref(&sign_in)).unwrap();
    assert_eq!(error.code.number(), -32042);
    let data = error.data.unwrap();
    assert_eq!(data["elicitations"][0]["elicitationId"], "e1");
    assert_eq!(url_required(V2026_07_28, &[sign_in]), None);
    assert_eq!(url_required(V2025_11_25, &[]), None);
}

#[test]
fn what_the_user_filled_in_is_checked_and_the_field_is_named() {
    let request = form(vec![
        FormProperty::required(
            "name",
            FormField::Text {
                min_length: Some(2),
                max_length: Some(3),
                format: None,
                default: None,
            },
        ),
        FormProperty::optional(
            "age",
            FormField::Integer {
                minimum: Some(0),
                maximum: Some(150),
                default: None,
            },
        ),
        FormProperty::optional(
            "score",
            FormField::Number {
                minimum: Some(0.0),
                maximum: Some(1.0),
                default: None,
            },
        ),
        FormProperty::optional("agree", FormField::boolean()),
        FormProperty::optional("color", FormField::one_of(Choices::Titled(pairs()))),
        FormProperty::optional("colors", several(plain())),
    ]);
    let full = json!({
        "name": "éé", "age": 5.0, "score": 1, "agree": false, "color": "r", "colors": ["r", "g"]
    });
    assert_eq!(Value::Object(accepted(&request, &full).unwrap()), full);
    let surplus = accepted(&request, &json!({"name": "ab", "x": 1, "age": null})).unwrap();
    assert_eq!(Value::Object(surplus), json!({"name": "ab"}));
    for (bad, message) in [
        (json!({}), "content.name: has to be filled in"),
        (json!({"name": null}), "content.name: has to be filled in"),
        (json!({"name": 7}), "content.name: has to be text"),
        (json!({"name": "a"}), "content.name: is too short"),
        (json!({"name": "abcd"}), "content.name: is too long"),
        (
            json!({"name": "ab", "age": 1.5}),
            "content.age: has to be a whole number",
        ),
        (
            json!({"name": "ab", "age": 151}),
            "content.age: is out of range",
        ),
        (
            json!({"name": "ab", "score": -0.1}),
            "content.score: is out of range",
        ),
        (
            json!({"name": "ab", "agree": "yes"}),
            "content.agree: has to be true or false",
        ),
        (
            json!({"name": "ab", "color": "Red"}),
            "content.color: is not one of the choices",
        ),
        (
            json!({"name": "ab", "colors": []}),
            "content.colors: is too short",
        ),
        (
            json!({"name": "ab", "colors": ["b"]}),
            "content.colors: is not one of the choices",
        ),
    ] {
        assert_eq!(accepted(&request, &bad), Err(message.to_owned()));
    }
}

#[test]
fn the_client_answers_with_a_result_or_an_error() {
    let request = form(vec![FormProperty::required("a", FormField::text())]);
    let with = |result: Value| json!({"jsonrpc": "2.0", "id": 1, "result": result});
    for (action, expected) in [
        ("decline", ElicitResult::Declined),
        ("cancel", ElicitResult::Cancelled),
    ] {
        let got = answer(&request, &with(json!({"action": action})));
        assert_eq!(got, Ok(ClientResult::Elicited(expected)));
    }
    let went = answer(&url(), &with(json!({"action": "accept"})));
    assert_eq!(
        went,
        Ok(ClientResult::Elicited(ElicitResult::Accepted(Map::new())))
    );
    let error = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "no"}});
    let refused = ReplyError::Refused {
        code: -1,
        message: "no".into(),
    };
    assert_eq!(answer(&request, &error), Err(refused));
    for bad in [
        json!({}),
        json!({"action": "maybe"}),
        json!(null),
        json!({"action": "accept"}),
    ] {
        assert!(matches!(
            answer(&request, &with(bad)),
            Err(ReplyError::Malformed(_))
        ));
    }
}

#[test]
fn a_model_is_asked_and_answers_with_one_part_or_several() {
    let mut ask = CreateMessage::ask("What is the capital of France?", 100);
    ask.system_prompt = Some("Be brief.".into());
    let request = ClientRequest::Sample(ask);
    assert_eq!(
        params(&request, V2025_11_25),
        json!({
            "messages": [{"role": "user", "content":
                {"type": "text", "text": "What is the capital of France?"}}],
            "systemPrompt": "Be brief.", "maxTokens": 100
        })
    );
    let part = |text: &str| json!({"type": "text", "text": text});
    for (content, text) in [
        (part("Paris"), "Paris"),
        (json!([part("Pa"), part("ris")]), "Paris"),
        (
            json!({"type": "image", "data": "AA==", "mimeType": "image/png"}),
            "",
        ),
    ] {
        let result = json!({"role": "assistant", "content": content, "model": "m"});
        let response = json!({"jsonrpc": "2.0", "id": 1, "result": result});
        let Ok(ClientResult::Sampled(sampled)) = answer(&request, &response) else {
            panic!("{content}")
        };
        assert_eq!(sampled.text(), text);
    }
    let bad = json!({"jsonrpc": "2.0", "id": 1, "result": {"role": "assistant", "model": "m"}});
    assert!(answer(&request, &bad).is_err());
}

#[test]
fn roots_are_bounded() {
    let with = |count: usize| {
        let roots = vec![json!({"uri": "file:///a", "name": "a"}); count];
        json!({"jsonrpc": "2.0", "id": 1, "result": {"roots": roots}})
    };
    let Ok(ClientResult::Roots(roots)) = answer(&ClientRequest::ListRoots, &with(256)) else {
        panic!("256 roots")
    };
    assert_eq!(roots.roots[0].name.as_deref(), Some("a"));
    assert!(answer(&ClientRequest::ListRoots, &with(257)).is_err());
}

#[test]
#[should_panic(expected = "a form has a duplicate property a")]
fn a_form_with_a_duplicate_name_is_a_mistake() {
    let property = || FormProperty::required("a", FormField::text());
    let _ = form(vec![property(), property()]);
}

#[test]
#[should_panic(expected = "cannot be filled")]
fn a_default_that_cannot_be_chosen_is_a_mistake() {
    let field = FormField::One {
        choices: plain(),
        default: Some("blue".into()),
    };
    let _ = form(vec![FormProperty::required("a", field)]);
}
