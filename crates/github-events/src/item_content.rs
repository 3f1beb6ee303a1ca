//! What an item of a project is about: its payload has the node id of the issue or pull request, and neither the
//! repository nor the number. Whoever knows where that is adds them.

use model::{GithubIds, ResourceEvent, ResourceId, without_byte_order_mark};
use serde::Deserialize;

/// GitHub's name of the event.
const ITEM_EVENT: &str = "projects_v2_item";

/// The members of the payload that matter here.
#[derive(Deserialize)]
struct ItemPayload {
    projects_v2_item: Item,
}

#[derive(Deserialize)]
struct Item {
    content_type: String,
    content_node_id: String,
}

/// Whether the payloads of this event name their resource by its node id alone.
#[must_use]
pub fn is_item_event(event: &str) -> bool {
    event == ITEM_EVENT
}

/// The node id of the issue or pull request that an item of a project shows; `None` for a draft, which has no
/// repository, and for a payload that is something else.
#[must_use]
pub fn item_content(payload: &[u8]) -> Option<ResourceId> {
    let payload = without_byte_order_mark(payload);
    let ItemPayload {
        projects_v2_item: item,
    } = serde_json::from_slice(payload).ok()?;
    let is_numbered = matches!(item.content_type.as_str(), "Issue" | "PullRequest");
    is_numbered
        .then(|| ResourceId::new(&item.content_node_id).ok())
        .flatten()
}

/// Where the content of an item is.
#[derive(Debug, Clone, Copy)]
pub struct ItemPlace<'p> {
    /// Login of the repository's owner.
    pub owner: &'p str,
    /// Name of the repository.
    pub repo: &'p str,
    /// The content's number there.
    pub number: u64,
    /// The repository and its owner, where they are known.
    pub ids: GithubIds,
}

/// Adds to the event of an item where its content is. Returns false, and changes nothing, if that is the repository of
/// another owner than the project's: whoever may see the project's events may not see that one's for this reason.
pub fn place_item(event: &mut ResourceEvent, place: ItemPlace<'_>) -> bool {
    let resource = &mut event.resource;
    let is_same_owner = match (resource.owner_id, place.ids.owner) {
        (Some(of_project), Some(of_content)) => of_project == of_content,
        _ => {
            let login = resource.owner.as_deref();
            login.is_some_and(|login| login.eq_ignore_ascii_case(place.owner))
        }
    };
    if is_same_owner {
        resource.repo = Some(place.repo.to_owned());
        resource.repository_id = place.ids.repository;
        resource.number = Some(place.number);
    }
    is_same_owner
}

#[cfg(test)]
mod tests {
    use model::{DeliveryId, OwnerId, RepositoryId, Timestamp};
    use serde_json::{Value, json};

    use super::*;
    use crate::{Envelope, normalise};

    fn payload(content: &str) -> Value {
        json!({
            "action": "edited",
            "organization": { "login": "Octo", "id": 5 },
            "projects_v2_item": {
                "id": 3, "node_id": "PVTI_1", "project_node_id": "PVT_1",
                "content_type": content, "content_node_id": "I_7",
            },
        })
    }

    fn event() -> ResourceEvent {
        let envelope = Envelope {
            event: ITEM_EVENT.to_owned(),
            delivery: DeliveryId::new("d1").unwrap(),
            hook_id: None,
            received_at: Timestamp::default(),
        };
        let events = normalise(&envelope, payload("Issue")).unwrap();
        events.into_iter().next().unwrap()
    }

    #[test]
    fn issues_and_pull_requests_have_a_place_and_drafts_have_none() {
        let content = |kind| item_content(payload(kind).to_string().as_bytes());
        for kind in ["Issue", "PullRequest"] {
            assert_eq!(content(kind).unwrap().as_str(), "I_7");
        }
        assert_eq!(content("DraftIssue"), None);
        for other in ["{}", "[]", "no json", r#"{"projects_v2_item":{"id":1}}"#] {
            assert_eq!(item_content(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn an_item_is_placed_in_a_repository_of_its_projects_owner_alone() {
        let place = |login, owner| ItemPlace {
            owner: login,
            repo: "Cat",
            number: 7,
            ids: GithubIds {
                owner,
                repository: Some(RepositoryId(9)),
                resource: None,
            },
        };
        for owner in [Some(OwnerId(5)), None] {
            let mut event = event();
            assert!(place_item(&mut event, place("octo", owner)));
            let resource = &event.resource;
            assert_eq!(resource.owner.as_deref(), Some("Octo"));
            assert_eq!(
                (resource.repo.as_deref(), resource.number),
                (Some("Cat"), Some(7))
            );
            assert_eq!(resource.repository_id, Some(RepositoryId(9)));
        }
        for (login, owner) in [("Octo", Some(OwnerId(6))), ("other", None)] {
            let mut event = event();
            assert!(!place_item(&mut event, place(login, owner)));
            assert_eq!((event.resource.repo, event.resource.number), (None, None));
        }
    }
}
