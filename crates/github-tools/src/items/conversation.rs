//! Issues and pull requests.

use github_events::JsonSelection;
use ports::MirroredState;
use serde_json::Value;

use super::builder::ItemBuilder;
use crate::limits::{NAME_BYTES, NAMES_BYTES, TITLE_BYTES};

const SCALAR: JsonSelection = JsonSelection::Scalar;
const LOGIN: JsonSelection = JsonSelection::Members(&[("login", SCALAR)]);
const NAME: JsonSelection = JsonSelection::Members(&[("name", SCALAR)]);
const BRANCH: JsonSelection = JsonSelection::Members(&[("ref", SCALAR), ("label", SCALAR)]);

/// What an item is made of.
pub(crate) const CONVERSATION: JsonSelection = JsonSelection::Members(&[
    ("number", SCALAR),
    ("title", SCALAR),
    ("state", SCALAR),
    ("state_reason", SCALAR),
    ("merged", SCALAR),
    ("merged_at", SCALAR),
    ("draft", SCALAR),
    ("type", NAME),
    ("user", LOGIN),
    ("labels", JsonSelection::Elements(&NAME)),
    ("assignees", JsonSelection::Elements(&LOGIN)),
    ("requested_reviewers", JsonSelection::Elements(&LOGIN)),
    (
        "milestone",
        JsonSelection::Members(&[("number", SCALAR), ("title", SCALAR)]),
    ),
    ("head", BRANCH),
    ("base", BRANCH),
    ("comments", SCALAR),
    ("created_at", SCALAR),
    ("updated_at", SCALAR),
    ("closed_at", SCALAR),
    ("html_url", SCALAR),
    (
        "sub_issues_summary",
        JsonSelection::Members(&[("total", SCALAR), ("completed", SCALAR)]),
    ),
]);

/// Whether a pull request was merged.
fn is_merged(picked: &Value) -> bool {
    picked["merged"] == Value::Bool(true) || picked["merged_at"].is_string()
}

/// An issue or a pull request.
pub(crate) fn conversation(state: &MirroredState, picked: &Value, has_repository: bool) -> String {
    let mut item = ItemBuilder::new();
    item.put("number", &state.address.number.into());
    if has_repository {
        item.put_repository(&state.address);
    }
    let merged = Value::from("merged");
    let state = match is_merged(picked) {
        true => &merged,
        false => &picked["state"],
    };
    item.put_short("title", &picked["title"], TITLE_BYTES)
        .put_short("state", state, NAME_BYTES)
        .put_short("stateReason", &picked["state_reason"], NAME_BYTES)
        .put_short("draft", &picked["draft"], NAME_BYTES)
        .put_short("type", &picked["type"]["name"], NAME_BYTES)
        .put_short("author", &picked["user"]["login"], NAME_BYTES)
        .put_link("url", &picked["html_url"])
        .put_short("updatedAt", &picked["updated_at"], NAME_BYTES)
        .put_names("labels", &picked["labels"], ("name", NAMES_BYTES))
        .put_names("assignees", &picked["assignees"], ("login", NAMES_BYTES))
        .put_short("milestone", &picked["milestone"]["title"], NAME_BYTES)
        .put_short(
            "milestoneNumber",
            &picked["milestone"]["number"],
            NAME_BYTES,
        )
        .put_short("head", &picked["head"]["ref"], NAME_BYTES)
        .put_short("base", &picked["base"]["ref"], NAME_BYTES)
        .put_names(
            "requestedReviewers",
            &picked["requested_reviewers"],
            ("login", NAMES_BYTES),
        )
        .put_short("comments", &picked["comments"], NAME_BYTES)
        .put_short("createdAt", &picked["created_at"], NAME_BYTES)
        .put_short("closedAt", &picked["closed_at"], NAME_BYTES);
    let sub_issues = &picked["sub_issues_summary"];
    if sub_issues["total"].as_u64() > Some(0) {
        item.put("subIssues", sub_issues);
    }
    item.finish()
}
