//! The sprints of today of all projects of an owner.

use std::collections::BTreeMap;

use github_events::pick;
use mcp_server::{CallError, Caller};
use model::Timestamp;
use ports::{MirroredKind, MirroredState};

use super::{
    board::{ProjectBoard, project_of_field},
    calendar::{ProjectSprint, UtcDay},
};
use crate::{
    limits::{MAX_OWNER_READS, MAX_READS},
    mirror::{MirrorAccess, owners_list},
    project_facts::{PROJECT, project_state},
};

/// A sprint of today.
#[derive(Debug)]
pub(crate) struct PresentSprint {
    /// Number of its project.
    pub(crate) project: u64,
    /// Title of its project.
    pub(crate) title: String,
    /// Name of its field.
    pub(crate) field: String,
    pub(crate) sprint: ProjectSprint,
}

/// The sprints of today in the open projects of an owner, and since when that is known whole: one per project.
///
/// # Errors
/// The mirror does not answer.
pub(crate) async fn present_sprints(
    mirror: &MirrorAccess,
    caller: &Caller,
    (owner, today): (&str, UtcDay),
) -> Result<(Vec<PresentSprint>, Option<Timestamp>), CallError> {
    let mut projects: BTreeMap<u64, (String, ProjectBoard)> = BTreeMap::new();
    let mut add = |state: &MirroredState| {
        let picked = pick(&state.json, &PROJECT).unwrap_or_default();
        if project_state(&picked) == "open" {
            let title = picked["title"].as_str().unwrap_or_default().to_owned();
            projects.insert(state.address.number, (title, ProjectBoard::default()));
        }
    };
    let list = owners_list(MirroredKind::Project, owner);
    mirror.walk(caller, list, MAX_OWNER_READS, &mut add).await?;
    if projects.is_empty() {
        return Ok((Vec::new(), None));
    }
    let mut add = |state: &MirroredState| {
        let project = project_of_field(&state.json);
        if let Some((number, (_, board))) =
            project.and_then(|of| projects.get_mut(&of).map(|found| (of, found)))
        {
            board.add(number, &state.json);
        }
    };
    let list = owners_list(MirroredKind::ProjectField, owner);
    let walked = mirror.walk(caller, list, MAX_READS, &mut add).await?;
    let found = projects
        .into_iter()
        .filter_map(|(project, (title, mut board))| {
            board.settle(today);
            let field = board.iterations.first()?;
            Some(PresentSprint {
                project,
                title,
                field: field.field.name.clone(),
                sprint: field.at(today)?.clone(),
            })
        });
    Ok((found.collect(), walked.as_of))
}
