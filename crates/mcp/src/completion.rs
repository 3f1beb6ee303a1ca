//! Completion of an argument while the user types it (MCP, Server Features, "Completion").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    envelope::RpcError,
    lenient,
    limits::{MAX_ARGUMENT_BYTES, MAX_COMPLETION_VALUES},
    params::{self, InputError},
    prompt,
};

/// Params of `completion/complete`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct CompleteParams {
    /// The prompt or resource that the argument belongs to.
    #[serde(rename = "ref")]
    pub reference: CompletionReference,
    /// The argument and the text typed so far.
    pub argument: CompletionArgument,
    /// The arguments that already have a value.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub context: CompletionContext,
}

/// A prompt or resource, which has arguments to complete.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(
    tag = "type",
    expecting = "an object with the type ref/prompt or ref/resource"
)]
pub enum CompletionReference {
    /// A prompt.
    #[serde(rename = "ref/prompt")]
    Prompt {
        /// The prompt's name.
        name: String,
    },
    /// A resource template, or a resource.
    #[serde(rename = "ref/resource")]
    Resource {
        /// The template as listed.
        uri: String,
    },
}

/// The argument being typed.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct CompletionArgument {
    /// The name of the argument.
    pub name: String,
    /// The text typed so far; may be empty.
    pub value: String,
}

/// Arguments that already have a value (from 2025-06-18 on).
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct CompletionContext {
    /// Names and their values.
    #[serde(default, deserialize_with = "lenient::texts")]
    pub arguments: BTreeMap<String, String>,
}

impl CompleteParams {
    /// Reads the params.
    ///
    /// # Errors
    /// -32602: a member is missing or has the wrong shape, a text is longer than 64 KiB, or there
    /// are more than 64 arguments in the context.
    pub fn parse(params: Option<&RawValue>) -> Result<Self, RpcError> {
        let parsed: Self = params::parse(params)?;
        if parsed.argument.value.len() > MAX_ARGUMENT_BYTES {
            return Err(InputError::new("argument.value", "at most 64 KiB").into());
        }
        prompt::check_arguments("context.arguments", &parsed.context.arguments)?;
        Ok(parsed)
    }
}

/// Result of `completion/complete`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CompleteResult {
    completion: Values,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    has_more: bool,
}

impl CompleteResult {
    /// A result from all candidates, best first: it lists the first 100 and gives the total.
    #[must_use]
    pub fn of(candidates: Vec<String>) -> Self {
        let total = Some(candidates.len());
        Self::part(candidates, total, false)
    }

    /// A result from some of the candidates, best first; it lists the first 100. `total` is the
    /// number of all candidates, if known; `has_more` says whether there are more than these.
    #[must_use]
    pub fn part(mut candidates: Vec<String>, total: Option<usize>, has_more: bool) -> Self {
        let has_more = has_more || candidates.len() > MAX_COMPLETION_VALUES;
        candidates.truncate(MAX_COMPLETION_VALUES);
        Self {
            completion: Values {
                values: candidates,
                total,
                has_more,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(params: &Value) -> Result<CompleteParams, RpcError> {
        CompleteParams::parse(Some(&RawValue::from_string(params.to_string()).unwrap()))
    }

    #[test]
    fn params_name_a_prompt_or_a_resource() {
        let prompt = parse(&json!({
            "ref": {"type": "ref/prompt", "name": "review", "title": "Review"},
            "argument": {"name": "repo", "value": "fo"},
            "context": {"arguments": {"owner": "o"}}
        }))
        .unwrap();
        let name = "review".to_owned();
        assert_eq!(prompt.reference, CompletionReference::Prompt { name });
        assert_eq!(prompt.context.arguments["owner"], "o");
        let resource = parse(&json!({
            "ref": {"type": "ref/resource", "uri": "test://{id}"},
            "argument": {"name": "id", "value": ""}
        }));
        assert!(matches!(
            resource.unwrap().reference,
            CompletionReference::Resource { .. }
        ));
        let long = "x".repeat(MAX_ARGUMENT_BYTES + 1);
        let reference = json!({"type": "ref/prompt", "name": "p"});
        for bad in [
            json!({}),
            json!({"ref": {"type": "ref/tool"}, "argument": {"name": "a", "value": ""}}),
            json!({"ref": reference, "argument": {"name": "a"}}),
            json!({"ref": reference, "argument": {"name": "a", "value": long}}),
        ] {
            assert_eq!(parse(&bad).unwrap_err().code.number(), -32602);
        }
    }

    #[test]
    fn at_most_a_hundred_values_are_told() {
        let candidates = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        for (count, told, has_more) in [(0, 0, false), (100, 100, false), (101, 100, true)] {
            let result = serde_json::to_value(CompleteResult::of(candidates(count))).unwrap();
            let completion = &result["completion"];
            assert_eq!(completion["values"].as_array().unwrap().len(), told);
            assert_eq!(completion["total"], count);
            assert_eq!(completion["hasMore"], has_more);
        }
        let part = serde_json::to_value(CompleteResult::part(candidates(1), None, true)).unwrap();
        assert_eq!(
            part,
            json!({"completion": {"values": ["0"], "hasMore": true}})
        );
    }
}
