//! What a model reads before it calls a tool.

use mcp::tool::list_result;

use super::*;

/// What an agent keeps of a description before it cuts it.
const MAX_DESCRIPTION_BYTES: usize = 2048;

fn listed() -> Vec<Value> {
    let server = server(&mirror(Vec::new()));
    let tools = server.tools().descriptors();
    let listed = list_result(ProtocolVersion::V2026_07_28, tools, None);
    let listed = serde_json::to_value(listed).unwrap();
    listed["tools"].as_array().unwrap().clone()
}

#[test]
fn tools_have_the_names_of_githubs_own_where_they_overlap() {
    let listed = listed();
    let names: Vec<_> = listed
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "actions_list",
            "get_current_sprint",
            "get_latest_release",
            "get_milestone",
            "get_sprint_metrics",
            "issue_read",
            "list_issues",
            "list_label",
            "list_milestones",
            "list_pull_requests",
            "list_releases",
            "list_sprints",
            "projects_get",
            "projects_list",
            "pull_request_read",
            "search_issues",
            "search_pull_requests",
        ]
    );
}

#[test]
fn every_tool_says_first_when_to_use_it_and_is_short() {
    for tool in listed() {
        let (name, text) = (&tool["name"], tool["description"].as_str().unwrap());
        assert!(
            text.len() <= MAX_DESCRIPTION_BYTES,
            "{name}: {}",
            text.len()
        );
        assert!(text.starts_with("Use this to "), "{name}: {text}");
        assert!(tool["title"].is_string() && tool["annotations"]["readOnlyHint"] == true);
        for schema in [&tool["inputSchema"], &tool["outputSchema"]] {
            assert_eq!(schema["type"], "object", "{name}");
            let text = schema.to_string();
            for word in ["anyOf", "oneOf", "allOf", "$ref"] {
                assert!(!text.contains(word), "{name}: {word} in {text}");
            }
        }
        let properties = tool["inputSchema"]["properties"].as_object().unwrap();
        for (field, schema) in properties {
            let text = schema["description"].as_str().unwrap_or_default();
            assert!(
                !text.is_empty() && text.len() <= MAX_DESCRIPTION_BYTES,
                "{name}.{field}"
            );
        }
        let required = tool["inputSchema"]["required"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for field in required {
            assert!(
                properties.contains_key(field.as_str().unwrap()),
                "{name}: {field}"
            );
        }
        assert!(
            tool.to_string().len() <= 16 << 10,
            "{name}: {}",
            tool.to_string().len()
        );
        assert_eq!(
            tool["_meta"]["anthropic/maxResultSizeChars"], 262_144,
            "{name}"
        );
    }
}

#[test]
fn the_fields_that_githubs_own_tools_require_are_required() {
    for (tool, fields) in [
        ("list_issues", vec!["owner", "repo"]),
        ("issue_read", vec!["issue_number", "owner", "repo"]),
        ("pull_request_read", vec!["owner", "pullNumber", "repo"]),
        ("search_issues", vec!["query"]),
        ("projects_get", vec!["owner", "project_number"]),
        ("get_current_sprint", vec!["owner", "project_number"]),
        ("actions_list", vec!["owner", "repo"]),
    ] {
        let listed = listed();
        let found = listed.iter().find(|listed| listed["name"] == tool).unwrap();
        let required = found["inputSchema"]["required"].as_array().unwrap();
        let mut required: Vec<_> = required
            .iter()
            .map(|field| field.as_str().unwrap())
            .collect();
        required.sort_unstable();
        assert_eq!(required, fields, "{tool}");
    }
}
