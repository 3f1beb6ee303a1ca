//! What the tools for sprints do: find the project, name it in their answers.

use mcp_server::{CallError, Caller};
use model::Timestamp;
use ports::MirroredKind;
use schemars::JsonSchema;
use serde::Serialize;

use super::methods::{address, find, number, owner_place};
use crate::{
    inputs::SprintPlaceInput,
    mirror::MirrorAccess,
    sprints::{SprintProject, UtcDay, read_project},
};

/// The field that names the project.
const NUMBER: &str = "project_number";

/// The project of an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectOfSprint {
    owner: String,
    number: u64,
    title: String,
    /// The iteration field whose sprints these are.
    field: String,
    /// Other iteration fields of the project: pass one as field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_fields: Vec<String>,
}

impl ProjectOfSprint {
    pub(super) fn of(project: &SprintProject) -> Self {
        let field = &project.field.field;
        let others = project.board.iterations.iter().map(|of| &of.field);
        Self {
            owner: project.owner.clone(),
            number: project.number,
            title: project.title.clone(),
            field: field.name.clone(),
            other_fields: others
                .filter(|other| *other != field)
                .map(|other| other.name.clone())
                .collect(),
        }
    }
}

/// The project that a tool is asked for.
///
/// # Errors
/// There is none that the caller may see, or it has no sprints. The mirror does not answer.
pub(super) async fn asked_project(
    mirror: &MirrorAccess,
    caller: &Caller,
    (input, today): (&SprintPlaceInput, UtcDay),
) -> Result<SprintProject, CallError> {
    let owner = owner_place(input.owner.as_deref())?;
    let number = number(NUMBER, input.project_number)?;
    let wanted = address(MirroredKind::Project, &owner, number);
    let (state, _) = find(mirror, caller, &wanted, (NUMBER, "project")).await?;
    read_project(mirror, caller, &state, (input.field.as_deref(), today)).await
}

/// What to know of an answer.
pub(super) fn notes(as_of: Option<Timestamp>, is_whole: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if as_of.is_none() {
        notes.push(
            "fields or items of the project are not mirrored here (sync.resources names what is), or their first \
             reading is not over: there may be gaps"
                .to_owned(),
        );
    }
    if !is_whole {
        notes.push(
            "the projects of this owner have more items than are looked through: older items are not counted"
                .to_owned(),
        );
    }
    notes
}
