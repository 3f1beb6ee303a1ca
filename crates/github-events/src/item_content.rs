//! What an item of a project is about: its payload has the node id of the issue or pull request, and neither the
//! repository nor anything else that it is found by. Whoever knows the issue or pull request adds that.

use model::{FoundResource, ResourceEvent, ResourceId, without_byte_order_mark};
use serde::Deserialize;
use serde_json::Value;

use crate::fields;

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

/// Takes from GitHub's object of an issue or pull request what names it. What the object does not have stays.
pub fn describe_content(found: &mut FoundResource, object: &[u8]) {
    let Ok(object) = serde_json::from_slice::<Value>(object) else {
        return;
    };
    // A pull request in the form of an issue has the issue's id.
    let is_as_issue = object.get("pull_request").is_some();
    if let Some(id) = fields::number(&object, "/id").filter(|_| !is_as_issue) {
        found.ids.resource = Some(id);
    }
    if let Some(id) = fields::node_id(&object, "/base/repo/node_id") {
        found.repository_node_id = Some(id);
    }
    found.title = fields::title(&object, "/title").or(found.title.take());
    found.url = fields::owned(&object, "/html_url").or(found.url.take());
    if object.get("labels").is_some() {
        found.labels = fields::label_names(&object);
    }
}

/// Adds to the event of an item where its content is and what names it. Returns false, and changes nothing, if that is in
/// the repository of another owner than the project's: whoever may see the project's events may not see that one's for
/// this reason.
pub fn place_item(event: &mut ResourceEvent, content: FoundResource) -> bool {
    let resource = &mut event.resource;
    let is_same_owner = match (resource.owner_id, content.ids.owner) {
        (Some(of_project), Some(of_content)) => of_project == of_content,
        _ => {
            let login = resource.owner.as_deref();
            login.is_some_and(|login| login.eq_ignore_ascii_case(&content.owner))
        }
    };
    if is_same_owner {
        resource.repo = Some(content.repo);
        resource.repository_id = content.ids.repository;
        resource.repository_node_id = content.repository_node_id;
        resource.number = Some(content.number);
        resource.database_id = content.ids.resource;
        resource.title = content.title;
        resource.url = content.url;
        event.metadata.tags = content.labels;
    }
    is_same_owner
}

#[cfg(test)]
mod tests {
    use model::{DeliveryId, GithubIds, OwnerId, RepositoryId, Timestamp};
    use serde_json::json;

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
        let content = |login: &str, owner| FoundResource {
            owner: login.to_owned(),
            repo: "Cat".to_owned(),
            number: 7,
            ids: GithubIds {
                owner,
                repository: Some(RepositoryId(9)),
                resource: Some(107),
            },
            repository_node_id: Some(ResourceId::new("R_9").unwrap()),
            title: Some("Fix it".to_owned()),
            url: Some("https://github.com/Octo/Cat/issues/7".to_owned()),
            labels: vec!["bug".to_owned()],
        };
        for owner in [Some(OwnerId(5)), None] {
            let mut event = event();
            assert!(place_item(&mut event, content("octo", owner)));
            let resource = serde_json::to_value(&event.resource).unwrap();
            let expected = json!({
                "owner": "Octo", "repo": "Cat", "number": 7, "nodeId": "I_7", "databaseId": 107,
                "title": "Fix it", "url": "https://github.com/Octo/Cat/issues/7",
                "ownerId": 5, "repositoryId": 9, "repositoryNodeId": "R_9",
            });
            assert_eq!(resource, expected);
            let facts = event.facts();
            assert_eq!((facts.ids.resource, facts.tags.len()), (Some(107), 1));
        }
        for (login, owner) in [("Octo", Some(OwnerId(6))), ("other", None)] {
            let mut placed = event();
            assert!(!place_item(&mut placed, content(login, owner)));
            assert_eq!(placed, event());
        }
    }

    #[test]
    fn an_object_says_what_names_it_and_a_pull_request_as_an_issue_does_not_say_its_id() {
        let mut found = FoundResource::default();
        describe_content(&mut found, b"no json");
        assert_eq!(found, FoundResource::default());
        let mut object = json!({
            "id": 107, "title": "Fix it", "html_url": "https://github.com/Octo/Cat/pull/7",
            "labels": [{"name": "bug"}], "base": {"repo": {"node_id": "R_9"}},
        });
        let described = |object: &Value, found: &FoundResource| {
            let mut found = found.clone();
            describe_content(&mut found, object.to_string().as_bytes());
            found
        };
        let whole = described(&object, &found);
        assert_eq!(whole.ids.resource, Some(107));
        assert_eq!(whole.title.as_deref(), Some("Fix it"));
        assert_eq!(
            whole.url.as_deref(),
            Some("https://github.com/Octo/Cat/pull/7")
        );
        assert_eq!(whole.labels, ["bug"]);
        assert_eq!(whole.repository_node_id.as_ref().unwrap().as_str(), "R_9");
        // What the object does not have stays.
        assert_eq!(described(&json!({}), &whole), whole);
        object["pull_request"] = json!({});
        assert_eq!(described(&object, &found).ids.resource, None);
        object["labels"] = json!([]);
        assert_eq!(described(&object, &whole).labels, [""; 0]);
    }
}
