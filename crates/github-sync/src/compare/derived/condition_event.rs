//! The event of a condition that has begun or ended: one of its pull request or milestone, with a word of ours.

use std::fmt::Write as _;

use model::{EventId, ResourceEvent, ResourceId, StoredEvent, Timestamp, TraceContext};
use ports::MirroredKind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::DerivedCondition;
use crate::{
    compare::{
        content::FoundChange,
        found_event::{FoundEvent, NotAnEvent},
    },
    derived_kind::DerivedKind,
    listed::ListedPlace,
};

impl DerivedKind {
    /// What it is about.
    pub(crate) const fn subject(self) -> MirroredKind {
        match self {
            Self::DueMilestones => MirroredKind::Milestone,
            Self::MergeConflicts | Self::PendingChecks | Self::WaitingReviews => {
                MirroredKind::PullRequest
            }
        }
    }

    /// The name of its events in `metadata.event`, which no webhook has.
    const fn event(self) -> &'static str {
        match self {
            Self::MergeConflicts => "forgewire_merge_conflict",
            Self::PendingChecks => "forgewire_pending_checks",
            Self::WaitingReviews => "forgewire_waiting_review",
            Self::DueMilestones => "forgewire_due_milestone",
        }
    }
}

/// A condition of a resource of a place.
pub(crate) struct ConditionEvent<'a> {
    pub(crate) condition: &'a DerivedCondition,
    pub(crate) place: &'a ListedPlace,
    pub(crate) node_id: &'a ResourceId,
    /// GitHub's object of the resource, as the lists of the REST API have it.
    pub(crate) object: Value,
    pub(crate) found_at: Timestamp,
}

impl ConditionEvent<'_> {
    /// The event. Its id is that of the resource, the condition and its time: told twice, it is one event.
    pub(crate) fn store(
        self,
        trace: TraceContext,
        max_bytes: usize,
    ) -> Result<StoredEvent, NotAnEvent> {
        let event = self.event()?;
        Ok(github_events::encode(event, trace, max_bytes)?)
    }

    fn event(self) -> Result<ResourceEvent, NotAnEvent> {
        let condition = self.condition;
        let is_end = condition.action == "merge_conflict_ended";
        let found = FoundEvent {
            id: event_id(condition, self.node_id),
            place: self.place,
            kind: condition.kind.subject(),
            change: FoundChange {
                action: condition.action,
                changes: json!({}),
            },
            object: self.object,
            found_at: self.found_at,
        };
        let mut event = found.event()?;
        event.metadata.event = Some(condition.kind.event().to_owned());
        let mut detail = condition.detail.clone();
        if !is_end {
            detail["since"] = json!(condition.since);
        }
        event.metadata.related = json!({ "condition": detail });
        event.timestamp = match is_end {
            true => self.found_at,
            false => condition.since,
        };
        Ok(event)
    }
}

/// `sync-`, the word, and a digest of what it is about: keys have logins, and are long.
fn event_id(condition: &DerivedCondition, node_id: &ResourceId) -> EventId {
    let (key, action) = (condition.key(), condition.action);
    let since = condition.since.unix_millis();
    let text = format!("{node_id} {key} {since}");
    let mut id = format!("sync-{action}-");
    for byte in Sha256::digest(text).iter().take(16) {
        // Writing into a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    EventId::new(&id).expect("short and visible")
}

#[cfg(test)]
mod tests {
    use model::{EventOrigin, EventType, OwnerId, RepositoryId, ResourceType};

    use super::*;
    use crate::listed::ListedRepository;

    fn event(action: &'static str, since: i64) -> ResourceEvent {
        let condition = DerivedCondition {
            kind: DerivedKind::MergeConflicts,
            number: 7,
            subject: String::new(),
            action,
            since: Timestamp::from_unix_millis(since),
            detail: json!({ "base": "main" }),
        };
        let place = ListedPlace {
            owner: "octo".to_owned(),
            owner_id: OwnerId(1),
            repository: Some(ListedRepository {
                name: "cat".to_owned(),
                id: RepositoryId(2),
            }),
        };
        let event = ConditionEvent {
            condition: &condition,
            place: &place,
            node_id: &ResourceId::new("PR_7").unwrap(),
            object: json!({ "id": 3, "node_id": "PR_7", "number": 7, "title": "t", "state": "open",
                "updated_at": "2026-11-20T10:00:00Z", "user": { "login": "ada" }, "labels": [{ "name": "bug" }] }),
            found_at: Timestamp::from_unix_millis(9_000),
        };
        event.event().unwrap()
    }

    #[test]
    fn it_is_an_event_of_the_pull_request_with_a_word_of_ours() {
        let began = event("merge_conflict_began", 5_000);
        assert_eq!(
            (&began.resource_type, &began.event_type, &began.source),
            (
                &ResourceType::PULL_REQUEST,
                &EventType::UPDATED,
                &EventOrigin::SYNC
            )
        );
        assert_eq!(began.action, "merge_conflict_began");
        assert_eq!(
            began.metadata.event.as_deref(),
            Some("forgewire_merge_conflict")
        );
        assert_eq!(began.metadata.related["condition"]["base"], "main");
        assert_eq!(
            (began.resource.number, began.timestamp.unix_millis()),
            (Some(7), 5_000)
        );
        assert_eq!(began.metadata.tags, ["bug"]);
        let ended = event("merge_conflict_ended", 5_000);
        assert_eq!(ended.timestamp.unix_millis(), 9_000);
        let ids = [began.id, ended.id, event("merge_conflict_began", 6_000).id];
        assert!(ids[0] != ids[1] && ids[0] != ids[2]);
        assert_eq!(ids[0], event("merge_conflict_began", 5_000).id);
    }
}
