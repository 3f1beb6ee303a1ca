//! What a model reads before it calls a tool.

use mcp::tool::list_result;

use super::*;

/// What an agent keeps of a description before it cuts it.
const MAX_DESCRIPTION_BYTES: usize = 2048;

fn listed(server: &OfferRegistry) -> Vec<Value> {
    let tools = server.tools();
    let listed = list_result(ProtocolVersion::V2026_07_28, tools.descriptors(), None);
    let listed = serde_json::to_value(listed).unwrap();
    listed["tools"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_tool_says_first_when_to_use_it_and_is_short() {
    let tools = listed(&server().await);
    assert_eq!(tools.len(), 7);
    for tool in tools {
        let (name, text) = (&tool["name"], tool["description"].as_str().unwrap());
        assert!(
            text.len() <= MAX_DESCRIPTION_BYTES,
            "{name}: {}",
            text.len()
        );
        assert!(text.starts_with("Use this to "), "{name}: {text}");
        let schemas = [&tool["inputSchema"], &tool["outputSchema"]];
        for schema in schemas.into_iter().filter(|schema| !schema.is_null()) {
            assert_eq!(schema["type"], "object", "{name}");
            for word in ["anyOf", "oneOf", "allOf", "$ref"] {
                assert!(
                    schema[word].is_null(),
                    "{name}: {word} at the root of {schema}"
                );
            }
            check_references(schema, schema);
        }
        for (field, schema) in tool["inputSchema"]["properties"].as_object().unwrap() {
            let text = schema["description"].as_str().unwrap_or_default();
            assert!(
                !text.is_empty() && text.len() <= MAX_DESCRIPTION_BYTES,
                "{name}.{field}"
            );
        }
        assert!(
            tool.to_string().len() <= 16 << 10,
            "{name}: {}",
            tool.to_string().len()
        );
    }
}

/// Whatever a schema refers to is in it.
fn check_references(schema: &Value, root: &Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let found = reference.strip_prefix('#').and_then(|at| root.pointer(at));
                assert!(found.is_some(), "{reference} in {root}");
            }
            members
                .values()
                .for_each(|member| check_references(member, root));
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| check_references(element, root)),
        _ => {}
    }
}

#[tokio::test]
async fn a_client_that_refuses_long_answers_is_told_how_long_they_may_be() {
    let hint = |tool: &Value| tool["_meta"]["anthropic/maxResultSizeChars"].clone();
    for tool in listed(&server().await) {
        let takes_a_size = !tool["inputSchema"]["properties"]["maxBytes"].is_null();
        let expected = match takes_a_size || tool["name"] == "manage_events" {
            true => json!(262_144),
            false => Value::Null,
        };
        assert_eq!(hint(&tool), expected, "{}", tool["name"]);
    }
}
