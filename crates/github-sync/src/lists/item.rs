//! An item of a list: what is read of it, while its text stays as GitHub wrote it.

use bytes::Bytes;
use model::{OwnerId, RepositoryId, ResourceId, Timestamp};
use ports::MirroredKind;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::listed::{ListedObject, ListedPlace, ListedRepository};

/// The members that decide where an item belongs. Both versions of the REST API have them.
#[derive(Deserialize)]
struct WrittenItem {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    number: Option<u64>,
    #[serde(default)]
    node_id: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    /// In an issue that is a pull request.
    #[serde(default)]
    pull_request: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WrittenRepository {
    id: u64,
    name: String,
    owner: WrittenOwner,
}

#[derive(Deserialize)]
struct WrittenOwner {
    id: u64,
    login: String,
}

/// The items of a page.
#[derive(Debug, Default)]
pub(super) struct ReadItems {
    pub(super) objects: Vec<ListedObject>,
    /// Items that make no sense.
    pub(super) unreadable: usize,
    /// The greatest and the least of what the list is ordered by: milliseconds of the last change, or ids of runs. An issue list's
    /// pull requests count.
    pub(super) newest: Option<i64>,
    pub(super) oldest: Option<i64>,
}

/// Reads the items of a page; one that makes no sense does not hide the others.
pub(super) fn read_items(
    kind: MirroredKind,
    items: Vec<Box<RawValue>>,
    asked_at: Timestamp,
) -> ReadItems {
    let mut read = ReadItems::default();
    for item in items {
        let Ok(written) = serde_json::from_str::<WrittenItem>(item.get()) else {
            read.unreadable += 1;
            continue;
        };
        let changed = time(written.updated_at.as_deref());
        let order = match kind {
            MirroredKind::WorkflowRun => written.id.and_then(|id| i64::try_from(id).ok()),
            _ => changed.map(Timestamp::unix_millis),
        };
        read.newest = read.newest.max(order);
        read.oldest = match (read.oldest, order) {
            (Some(oldest), Some(order)) => Some(oldest.min(order)),
            (oldest, order) => oldest.or(order),
        };
        if kind == MirroredKind::Issue && written.pull_request.is_some() {
            continue;
        }
        // A release of older servers has no time of its last change, and is "created" with its commit.
        let created = written.created_at.as_deref();
        let created = created.filter(|_| kind != MirroredKind::Release);
        let updated_at = changed.or_else(|| time(created)).unwrap_or(asked_at);
        match object(kind, &written, updated_at, item) {
            Some(object) => read.objects.push(object),
            None => read.unreadable += 1,
        }
    }
    read
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(Timestamp::parse)
}

fn object(
    kind: MirroredKind,
    written: &WrittenItem,
    updated_at: Timestamp,
    item: Box<RawValue>,
) -> Option<ListedObject> {
    let number = match kind {
        MirroredKind::Issue
        | MirroredKind::PullRequest
        | MirroredKind::Milestone
        | MirroredKind::Project
        | MirroredKind::PullState
        | MirroredKind::IssueLinks => written.number,
        MirroredKind::Repository
        | MirroredKind::Label
        | MirroredKind::Release
        | MirroredKind::WorkflowRun
        | MirroredKind::DraftIssue
        | MirroredKind::ProjectField
        | MirroredKind::ProjectView
        | MirroredKind::ProjectItem => written.id,
    };
    let text: Box<str> = item.into();
    Some(ListedObject {
        kind,
        number: number?,
        node_id: ResourceId::new(written.node_id.as_deref()?).ok()?,
        updated_at,
        json: Bytes::from(text.into_boxed_bytes()),
        whole: true,
    })
}

/// The place that an object of a repository describes.
pub(super) fn place_of(repository: &ListedObject) -> Option<ListedPlace> {
    let written: WrittenRepository = serde_json::from_slice(&repository.json).ok()?;
    Some(ListedPlace {
        owner: written.owner.login,
        owner_id: OwnerId(written.owner.id),
        repository: Some(ListedRepository {
            name: written.name,
            id: RepositoryId(written.id),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: MirroredKind, items: &[&str]) -> ReadItems {
        let items = items.iter();
        let items = items.map(|it| RawValue::from_string((*it).to_owned()).unwrap());
        read_items(kind, items.collect(), Timestamp::from_unix_millis(5_000))
    }

    #[test]
    fn an_item_that_makes_no_sense_hides_no_other_one_and_texts_stay_as_they_are() {
        let good = r#"{ "number":7,  "id":70,"node_id":"I_7","updated_at":"1970-01-01T00:00:03Z","body":"\u00e9" }"#;
        let items = [
            good,
            "[]",
            "null",
            r#"{"number":8,"id":80,"updated_at":"1970-01-01T00:00:04Z"}"#,
            r#"{"id":80,"node_id":"I_8","updated_at":"1970-01-01T00:00:02Z"}"#,
            r#"{"number":-1,"node_id":"I_9"}"#,
            r#"{"number":9,"node_id":"a b"}"#,
            r#"{"number":10,"node_id":"PR_1","pull_request":{"url":"x"},"updated_at":"1970-01-01T00:00:09Z"}"#,
        ];
        let read = read(MirroredKind::Issue, &items);
        assert_eq!((read.objects.len(), read.unreadable), (1, 6));
        assert_eq!((read.newest, read.oldest), (Some(9_000), Some(2_000)));
        let [object] = &read.objects[..] else {
            unreachable!()
        };
        assert_eq!((object.number, object.updated_at.unix_millis()), (7, 3_000));
        assert_eq!(object.json, good);
    }

    #[test]
    fn a_time_is_that_of_the_change_or_of_the_creation_or_of_the_answer() {
        let item = |more: &str| format!(r#"{{"id":1,"node_id":"X_1"{more}}}"#);
        for (kind, more, millis) in [
            (MirroredKind::Label, "", 5_000),
            (
                MirroredKind::Release,
                r#","created_at":"1970-01-01T00:00:01Z""#,
                5_000,
            ),
            (
                MirroredKind::Release,
                r#","created_at":"1970-01-01T00:00:01Z","updated_at":"1970-01-01T00:00:02Z""#,
                2_000,
            ),
            (
                MirroredKind::WorkflowRun,
                r#","created_at":"1970-01-01T00:00:01Z","updated_at":"1970-01-01T00:00:02Z""#,
                2_000,
            ),
        ] {
            let read = read(kind, &[&item(more)]);
            assert_eq!(read.objects[0].updated_at.unix_millis(), millis, "{kind}");
        }
        let run = read(MirroredKind::WorkflowRun, &[&item("")]);
        assert_eq!((run.newest, run.oldest), (Some(1), Some(1)));
    }
}
