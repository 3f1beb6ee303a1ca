//! One item of a project, as a sprint sees it.

use serde::Deserialize;

use super::{
    board::{ProjectBoard, ProjectPart, SprintField},
    calendar::{ProjectSprint, UtcDay},
};

/// Words of a status that mean that a draft issue, which has no state of its own, is done.
const DONE: [&str; 7] = [
    "done",
    "closed",
    "complete",
    "completed",
    "merged",
    "released",
    "shipped",
];

/// The kind of an item of which nothing is shown.
const HIDDEN: &str = "hidden";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemObject {
    #[serde(rename = "type")]
    kind: Option<String>,
    is_archived: Option<bool>,
    created_at: Option<String>,
    content: Option<SprintContent>,
    field_values: Option<ValuesObject>,
    forgewire: ProjectPart,
}

#[derive(Debug, Deserialize)]
struct ValuesObject {
    nodes: Vec<Option<ValueObject>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueObject {
    field: Option<FieldId>,
    name: Option<String>,
    number: Option<f64>,
    iteration_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct FieldId {
    id: Option<String>,
}

/// What an item shows: an issue, a pull request or a draft issue.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SprintContent {
    pub(crate) number: Option<u64>,
    pub(crate) title: Option<String>,
    issue_state: Option<String>,
    pull_state: Option<String>,
    pub(crate) closed_at: Option<String>,
    pub(crate) url: Option<String>,
    repository: Option<RepositoryName>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RepositoryName {
    name_with_owner: String,
}

impl SprintContent {
    /// `owner/repo`; a draft issue has none.
    pub(crate) fn repository(&self) -> Option<&str> {
        let repository = self.repository.as_ref()?;
        Some(&repository.name_with_owner)
    }

    /// open, closed or merged; a draft issue has none.
    pub(crate) fn state(&self) -> Option<String> {
        let state = self.issue_state.as_ref().or(self.pull_state.as_ref())?;
        Some(state.to_lowercase())
    }
}

/// An item of a sprint.
#[derive(Debug, Default)]
pub(crate) struct SprintItem {
    /// `issue`, `pull_request`, `draft_issue`, or `hidden` where the caller may not see what the item shows.
    pub(crate) kind: &'static str,
    /// `None` if it is hidden.
    pub(crate) content: Option<SprintContent>,
    pub(crate) status: Option<String>,
    pub(crate) points: Option<f64>,
    pub(crate) is_done: bool,
    pub(crate) is_archived: bool,
    /// Whether it came to the project after the first day of the sprint.
    pub(crate) came_later: bool,
}

impl SprintItem {
    /// An item that is in this sprint; `None` for any other. `may_see` says whether the caller may see a repository.
    pub(super) fn read(
        json: &[u8],
        (project, board): (u64, &ProjectBoard),
        (field, sprint): (&SprintField, &ProjectSprint),
        may_see: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let object: ItemObject = serde_json::from_slice(json).ok()?;
        if object.forgewire.project != project {
            return None;
        }
        let values = object.field_values.map(|values| values.nodes);
        let values: Vec<_> = values.unwrap_or_default().into_iter().flatten().collect();
        let value = |id: &str| {
            let is = |value: &&ValueObject| value.field.as_ref()?.id.as_deref().map(|of| of == id);
            values.iter().find(|value| is(value).unwrap_or(false))
        };
        value(&field.field.id).filter(|value| value.iteration_id.as_ref() == Some(&sprint.id))?;
        let of = |field: &Option<super::board::BoardField>| value(&field.as_ref()?.id);
        let status = of(&board.status).and_then(|value| value.name.clone());
        let content = object.content.unwrap_or_default();
        let state = content.state();
        let says_done = |status: &String| DONE.contains(&&*status.to_lowercase());
        let is_done = match &state {
            Some(state) => state != "open",
            None => status.as_ref().is_some_and(says_done),
        };
        let came = object.created_at.as_deref().and_then(UtcDay::parse);
        let is_seen = content.repository().is_none_or(may_see);
        let kind = match object.kind.as_deref() {
            Some("ISSUE") if is_seen => "issue",
            Some("PULL_REQUEST") if is_seen => "pull_request",
            Some("DRAFT_ISSUE") => "draft_issue",
            // GitHub hides what its own token may not see, too.
            _ => HIDDEN,
        };
        Some(Self {
            kind,
            content: Some(content).filter(|_| kind != HIDDEN),
            points: of(&board.points).and_then(|value| value.number),
            status,
            is_done,
            is_archived: object.is_archived == Some(true),
            came_later: came.is_some_and(|came| came > sprint.first),
        })
    }
}
