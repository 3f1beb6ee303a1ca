//! One repository, one sprint.

use mcp_server::{CallError, Caller, answer_size::DEFAULT_RESULT_BYTES};
use ports::{MirrorAddress, MirroredKind};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    items::shown_items,
    limits::COUNT_BYTES,
    mirror::MirrorAccess,
    sprints::{SprintMetrics, SprintProject, SprintTimes, UtcDay, read_project, read_work},
};

/// GitHub's object of a repository; `None` if there is none that the caller may see.
pub(super) async fn repository(
    mirror: &MirrorAccess,
    caller: &Caller,
    (owner, repo): (String, String),
) -> Result<Option<String>, CallError> {
    let address = MirrorAddress {
        kind: MirroredKind::Repository,
        owner,
        repo: Some(repo),
        number: 1,
    };
    let found = mirror.get_many(caller, &[address]).await?;
    let found = found.into_iter().next().flatten();
    Ok(found.map(|state| String::from_utf8_lossy(&state.json).into_owned()))
}

/// The content of a sprint.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SprintContents {
    as_of: Option<String>,
    owner: String,
    project: u64,
    project_title: String,
    field: String,
    sprint: SprintTimes,
    metrics: SprintMetrics,
    count: usize,
    left_out: usize,
    items: Vec<Box<RawValue>>,
}

/// The id of a sprint, and the sprint with its items; `None` if there is none that the caller may see.
pub(crate) async fn sprint(
    mirror: &MirrorAccess,
    caller: &Caller,
    (owner, project, iteration): (String, u64, String),
    today: UtcDay,
) -> Result<Option<(String, String)>, CallError> {
    let address = MirrorAddress {
        kind: MirroredKind::Project,
        owner,
        repo: None,
        number: project,
    };
    let found = mirror.get_many(caller, &[address]).await?;
    let Some(state) = found.into_iter().next().flatten() else {
        return Ok(None);
    };
    let project = match read_project(mirror, caller, &state, (None, today)).await {
        Ok(project) => project,
        // It has no iterations.
        Err(CallError::Input(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    // An iteration of any field has its id.
    let mut fields = project.board.iterations.iter();
    let found = fields.find_map(|of| Some((of.clone(), of.named(&iteration, today)?.clone())));
    let Some((field, sprint)) = found else {
        return Ok(None);
    };
    let project = SprintProject { field, ..project };
    let work = read_work(mirror, caller, &project, &sprint).await?;
    let mut content = SprintContents {
        as_of: work.as_of.map(|time| time.to_string()),
        owner: project.owner.clone(),
        project: project.number,
        project_title: project.title.clone(),
        field: project.field.field.name.clone(),
        sprint: sprint.times(today),
        metrics: SprintMetrics::of(&project.board, &work.items),
        count: 0,
        left_out: 0,
        items: Vec::new(),
    };
    let frame = serde_json::to_string(&content).map_or(0, |json| json.len());
    let room = DEFAULT_RESULT_BYTES.saturating_sub(frame + COUNT_BYTES);
    (content.items, content.left_out) = shown_items(&work.items, None, room);
    content.count = content.items.len();
    let json = serde_json::to_string(&content).ok();
    Ok(json.map(|json| (sprint.id, json)))
}
