//! The facts of an event as variables of a command.
//!
//! Only names, numbers and words of a plain alphabet, in which nothing has a meaning to a shell, and none of the text of
//! strangers: titles and bodies are in the JSON on stdin.

use serde_json::Value;

/// The names of the variables that a command may find.
pub const COMMAND_VARIABLES: [&str; 11] = [
    "FORGEWIRE_EVENT_KIND",
    "FORGEWIRE_EVENT_ATTEMPT",
    "FORGEWIRE_EVENT_ID",
    "FORGEWIRE_EVENT_TYPE",
    "FORGEWIRE_EVENT_ACTION",
    "FORGEWIRE_EVENT_RESOURCE_TYPE",
    "FORGEWIRE_EVENT_OWNER",
    "FORGEWIRE_EVENT_REPO",
    "FORGEWIRE_EVENT_NUMBER",
    "FORGEWIRE_EVENT_ACTOR",
    "FORGEWIRE_EVENT_URL",
];

/// Longest value, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// The variables of an event that have a value of the plain alphabet.
pub(crate) fn variables(json: &str) -> Vec<(&'static str, String)> {
    let event: Value = serde_json::from_str(json).unwrap_or_default();
    let number = event.pointer("/resource/number").and_then(Value::as_u64);
    let owned = |pointer| {
        let text = event.pointer(pointer).and_then(Value::as_str)?;
        Some(text.to_owned()).filter(|text| !text.trim().is_empty())
    };
    let values = [
        owned("/id"),
        owned("/type"),
        owned("/action"),
        owned("/resourceType"),
        owned("/resource/owner"),
        owned("/resource/repo"),
        number.map(|number| number.to_string()),
        owned("/actor"),
        owned("/resource/url"),
    ];
    // The first two are of the command, not of the event.
    let names = COMMAND_VARIABLES[2..].iter().copied();
    let given = names.zip(values);
    let given = given.filter_map(|(name, value)| Some((name, value?)));
    given.filter(|(_, value)| is_plain(value)).collect()
}

fn is_plain(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+=#,[]".contains(&byte);
    value.len() <= MAX_VALUE_BYTES && value.bytes().all(plain) && !value.starts_with('-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_plain_facts_become_variables() {
        let event = json!({ "id": "4b1c", "type": "created", "action": "$(reboot)", "resourceType": "issue",
            "actor": "dependabot[bot]", "resource": { "owner": "acme", "repo": "-rf", "number": 7,
            "title": "`reboot`", "url": "https://github.com/acme/rocket/issues/7#issuecomment-1" } });
        let expected = [
            ("FORGEWIRE_EVENT_ID", "4b1c"),
            ("FORGEWIRE_EVENT_TYPE", "created"),
            ("FORGEWIRE_EVENT_RESOURCE_TYPE", "issue"),
            ("FORGEWIRE_EVENT_OWNER", "acme"),
            ("FORGEWIRE_EVENT_NUMBER", "7"),
            ("FORGEWIRE_EVENT_ACTOR", "dependabot[bot]"),
            (
                "FORGEWIRE_EVENT_URL",
                "https://github.com/acme/rocket/issues/7#issuecomment-1",
            ),
        ];
        let given = variables(&event.to_string());
        let given: Vec<_> = given.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(given, expected);
        assert!(variables("{").is_empty());
    }
}
