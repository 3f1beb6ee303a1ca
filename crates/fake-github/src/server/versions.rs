//! The versions of the REST API, and how their answers differ.

use serde_json::Value;

/// A version of the REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    /// 2022-11-28, which is what a request without the header gets.
    First,
    /// 2026-03-10.
    Second,
}

/// Members that the second version has no more ("Breaking changes" in GitHub's documentation): of issues and pull
/// requests, of pull requests, and of repositories.
const GONE: [&str; 5] = [
    "assignee",
    "merge_commit_sha",
    "has_downloads",
    "master_branch",
    "use_squash_pr_title_as_default",
];

impl ApiVersion {
    /// From the header; the error is the message of a 400.
    pub(crate) fn read(header: Option<&str>) -> Result<Self, String> {
        match header {
            None | Some("2022-11-28") => Ok(Self::First),
            Some("2026-03-10") => Ok(Self::Second),
            Some(other) => Err(format!(
                "Bad Request: The version you specified in the \"X-GitHub-API-Version\" request header, \"{other}\", \
                 is not a supported version. The following versions are currently supported: \"2026-03-10\" (most \
                 recent), \"2022-11-28\"."
            )),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "2022-11-28",
            Self::Second => "2026-03-10",
        }
    }

    /// Gives an answer this version's shape.
    pub(crate) fn shape(self, body: &mut Value) {
        if self == Self::First {
            return;
        }
        if let Value::Object(members) = body
            && members.contains_key("resources")
        {
            members.remove("rate");
        }
        without(body);
    }
}

fn without(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(without),
        Value::Object(members) => {
            // What a delivery carried is no answer of this version.
            if members.contains_key("guid") {
                return;
            }
            members.retain(|name, _| !GONE.contains(&name.as_str()));
            members.values_mut().for_each(without);
        }
        _ => {}
    }
}
