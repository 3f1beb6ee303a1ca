//! What is mirrored, and lists over all owners that the caller may see.

use std::collections::BTreeMap;

use github_events::pick;
use mcp_server::{CallError, Caller};
use model::Timestamp;
use ports::{MirrorFilter, MirrorListing, MirroredKind, MirroredState};
use serde_json::{Map, Value, json};

use super::content::{ListInBytes, with_member};
use crate::{
    items::{MILESTONE, MilestoneMetrics, milestone, project},
    limits::{MAX_OWNER_READS, MAX_OWNERS},
    mirror::{MirrorAccess, owners_list},
    project_facts::PROJECT,
    sprints::{UtcDay, present_sprints},
};

/// The kinds that are mirrored of a place.
#[derive(Debug, Default)]
struct KindsOfPlace {
    /// Since when each is known whole.
    kinds: Map<String, Value>,
    /// Why one cannot be read now.
    failures: Map<String, Value>,
}

/// What is mirrored, by place.
pub(super) async fn config(mirror: &MirrorAccess, caller: &Caller) -> Result<String, CallError> {
    let mut places: BTreeMap<String, KindsOfPlace> = BTreeMap::new();
    for progress in mirror.places(caller).await? {
        let KindsOfPlace { kinds, failures } = places.entry(progress.place).or_default();
        let kind = progress.kind.as_str();
        let as_of = progress.as_of.map(|time| time.to_string());
        kinds.insert(kind.to_owned(), as_of.into());
        if let Some(failure) = progress.failure {
            failures.insert(kind.to_owned(), failure.into());
        }
    }
    let item = |(place, KindsOfPlace { kinds, failures }): (String, _)| {
        let mut item = json!({"place": place, "asOf": kinds});
        if !failures.is_empty() {
            item["failures"] = failures.into();
        }
        item.to_string()
    };
    let list = ListInBytes {
        items: places.into_iter().map(item).collect(),
        notes: vec![
            "asOf of a kind: everything that GitHub had at this time is known; null until its first reading is over"
                .to_owned(),
        ],
        ..ListInBytes::default()
    };
    Ok(list.finish())
}

/// The owners of whom the caller may see a mirrored kind, and a note if there are more.
async fn owners(
    mirror: &MirrorAccess,
    caller: &Caller,
    kind: MirroredKind,
) -> Result<(Vec<String>, Vec<String>), CallError> {
    let places = mirror.places(caller).await?.into_iter();
    let of_kind = places.filter(|progress| progress.kind == kind);
    let mut owners: Vec<_> = of_kind
        .map(|progress| match progress.place.split_once('/') {
            Some((owner, _)) => owner.to_owned(),
            None => progress.place,
        })
        .collect();
    owners.dedup();
    let mut notes = Vec::new();
    if owners.len() > MAX_OWNERS {
        notes.push(format!(
            "of {} owners these are {MAX_OWNERS}; the tools show each",
            owners.len()
        ));
        owners.truncate(MAX_OWNERS);
    }
    Ok((owners, notes))
}

/// The projects of all owners.
pub(super) async fn projects(mirror: &MirrorAccess, caller: &Caller) -> Result<String, CallError> {
    let (owners, notes) = owners(mirror, caller, MirroredKind::Project).await?;
    let mut list = ListInBytes {
        notes,
        ..ListInBytes::default()
    };
    for owner in owners {
        let items = &mut list.items;
        let mut add = |state: &MirroredState| {
            let picked = pick(&state.json, &PROJECT).unwrap_or_default();
            items.push(with_member(("owner", &owner), &project(state, &picked)));
        };
        let listing = owners_list(MirroredKind::Project, &owner);
        let walked = mirror.walk(caller, listing, MAX_OWNER_READS, &mut add);
        list.as_of.push(walked.await?.as_of);
    }
    Ok(list.finish())
}

/// The sprints of today.
pub(super) async fn current_sprints(
    mirror: &MirrorAccess,
    caller: &Caller,
    today: UtcDay,
) -> Result<String, CallError> {
    let (owners, notes) = owners(mirror, caller, MirroredKind::Project).await?;
    let mut list = ListInBytes {
        notes,
        ..ListInBytes::default()
    };
    for owner in owners {
        let (found, as_of) = present_sprints(mirror, caller, (&owner, today)).await?;
        list.as_of.push(as_of);
        list.items.extend(found.into_iter().map(|found| {
            let (project, id) = (found.project, &found.sprint.id);
            let item = json!({
                "owner": owner, "project": project, "projectTitle": found.title, "field": found.field,
                "sprint": found.sprint.times(today), "uri": format!("github://sprints/{owner}/{project}/{id}"),
            });
            item.to_string()
        }));
    }
    Ok(list.finish())
}

/// The open milestones, the one that is due first before the others, and those without a day at the end.
pub(super) async fn milestones(
    mirror: &MirrorAccess,
    caller: &Caller,
    now: Timestamp,
) -> Result<String, CallError> {
    let (owners, notes) = owners(mirror, caller, MirroredKind::Milestone).await?;
    let mut list = ListInBytes {
        notes,
        ..ListInBytes::default()
    };
    let mut found: Vec<((bool, String), String)> = Vec::new();
    for owner in owners {
        let mut add = |state: &MirroredState| {
            let picked = pick(&state.json, &MILESTONE).unwrap_or_default();
            let due = picked["due_on"].as_str();
            let order = (due.is_none(), due.unwrap_or_default().to_owned());
            let metrics = MilestoneMetrics::of(&picked, now);
            found.push((order, milestone(state, &picked, (metrics, true))));
        };
        let listing = MirrorListing {
            filter: MirrorFilter {
                state: Some("open".to_owned()),
                ..MirrorFilter::default()
            },
            ..owners_list(MirroredKind::Milestone, &owner)
        };
        let walked = mirror
            .walk(caller, listing, MAX_OWNER_READS, &mut add)
            .await?;
        if !walked.is_whole {
            let note =
                format!("{owner} has more milestones than are looked through: see list_milestones");
            list.notes.push(note);
        }
        list.as_of.push(walked.as_of);
    }
    found.sort();
    list.items = found.into_iter().map(|(_, item)| item).collect();
    Ok(list.finish())
}
