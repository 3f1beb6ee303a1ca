//! Fields and items of a project from the mirror, within a bound of reads.

use github_events::pick;
use mcp::params::InputError;
use mcp_server::{CallError, Caller};
use model::Timestamp;
use ports::{MirroredKind, MirroredState};

use super::{
    board::{ProjectBoard, SprintField},
    calendar::{ProjectSprint, UtcDay},
    work::SprintItem,
};
use crate::{
    limits::MAX_ITEM_READS,
    mirror::{MirrorAccess, allows_repository, owners_list},
    project_facts::PROJECT,
};

/// A project, its fields, and its sprints.
#[derive(Debug)]
pub(crate) struct SprintProject {
    pub(crate) owner: String,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) board: ProjectBoard,
    /// The iteration field that was asked for, or else the first.
    pub(crate) field: SprintField,
    /// Since when its fields are known to be whole.
    pub(crate) as_of: Option<Timestamp>,
}

/// The items of a sprint.
#[derive(Debug)]
pub(crate) struct SprintWork {
    /// By status, in the order of the project.
    pub(crate) items: Vec<SprintItem>,
    /// Since when fields and items are known to be whole.
    pub(crate) as_of: Option<Timestamp>,
    /// Whether all items of the owner's projects were looked at.
    pub(crate) is_whole: bool,
}

/// Reads a project that the caller may see; `named` is the name of its iteration field.
///
/// # Errors
/// It has no such field. The mirror does not answer.
pub(crate) async fn read_project(
    mirror: &MirrorAccess,
    caller: &Caller,
    project: &MirroredState,
    (named, today): (Option<&str>, UtcDay),
) -> Result<SprintProject, CallError> {
    let (owner, number) = (project.address.owner.clone(), project.address.number);
    let mut board = ProjectBoard::default();
    let mut add = |state: &MirroredState| board.add(number, &state.json);
    let walked = mirror
        .walk(
            caller,
            owners_list(MirroredKind::ProjectField, &owner),
            MAX_ITEM_READS,
            &mut add,
        )
        .await?;
    board.settle(today);
    let picked = pick(&project.json, &PROJECT).unwrap_or_default();
    let mut fields = board.iterations.iter();
    let field = match named {
        None => fields.next(),
        Some(named) => fields.find(|of| of.field.name.to_lowercase() == named.to_lowercase()),
    };
    let field = field.cloned();
    let field = field.ok_or_else(|| no_field(&board, named, walked.as_of))?;
    Ok(SprintProject {
        owner,
        number,
        title: picked["title"].as_str().unwrap_or_default().to_owned(),
        board,
        field,
        as_of: walked.as_of,
    })
}

fn no_field(board: &ProjectBoard, named: Option<&str>, as_of: Option<Timestamp>) -> InputError {
    let names = board.iterations.iter().map(|of| &*of.field.name);
    let names = names.collect::<Vec<_>>().join(", ");
    match (named, as_of) {
        (Some(_), _) if !names.is_empty() => InputError::new(
            "field",
            &format!("is no iteration field of it; use {names}"),
        ),
        _ if board.is_withheld => InputError::new(
            "project_number",
            "this edge withholds the fields of projects (edge.lockdown); ask one without it",
        ),
        (_, Some(_)) => InputError::new(
            "project_number",
            "the project has no iteration field, so it has no sprints",
        ),
        (_, None) => InputError::new(
            "project_number",
            "no iteration field of the project is known: its fields are not mirrored here (sync.resources names what \
             is), or their first reading is not over",
        ),
    }
}

/// Reads the items of a sprint.
///
/// # Errors
/// The mirror does not answer.
pub(crate) async fn read_work(
    mirror: &MirrorAccess,
    caller: &Caller,
    project: &SprintProject,
    sprint: &ProjectSprint,
) -> Result<SprintWork, CallError> {
    let mut items = Vec::new();
    let (number, board) = (project.number, &project.board);
    let mut add = |state: &MirroredState| {
        let may_see = |name: &str| {
            caller
                .reader()
                .is_ok_and(|of| allows_repository(&of.sees, name))
        };
        let of = (&project.field, sprint);
        items.extend(SprintItem::read(&state.json, (number, board), of, may_see));
    };
    let list = owners_list(MirroredKind::ProjectItem, &project.owner);
    let walked = mirror.walk(caller, list, MAX_ITEM_READS, &mut add).await?;
    let place = |item: &SprintItem| {
        let status = item.status.as_ref();
        let at = status.and_then(|status| board.statuses.iter().position(|of| of == status));
        at.unwrap_or(usize::MAX)
    };
    // A stable sort: within a status, the newest first.
    items.sort_by_key(place);
    let both = project.as_of.zip(walked.as_of);
    Ok(SprintWork {
        items,
        as_of: both.map(|(fields, items)| fields.min(items)),
        is_whole: walked.is_whole,
    })
}
