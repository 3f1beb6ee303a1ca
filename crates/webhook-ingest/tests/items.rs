//! Items of projects, whose payloads do not say where their issues are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod harness;

use std::sync::Arc;

use async_trait::async_trait;
use harness::Ingest;
use model::{FoundResource, GithubIds, OwnerId, RepositoryId, ResourceId, TraceContext};
use ports::{ResourceError, ResourceFinder};
use serde_json::{Value, json};

/// A sync role that knows one issue, knows none, cannot be reached, or hangs.
#[derive(Debug, Clone, Copy)]
enum Sync {
    Knows,
    KnowsElsewhere,
    KnowsNothing,
    Refuses,
    Hangs,
}

#[async_trait]
impl ResourceFinder for Sync {
    async fn find(
        &self,
        id: &ResourceId,
        _: Option<TraceContext>,
    ) -> Result<Option<FoundResource>, ResourceError> {
        assert_eq!(id.as_str(), "I_7");
        let owner = match self {
            Self::Knows => 5,
            Self::KnowsElsewhere => 6,
            Self::KnowsNothing => return Ok(None),
            Self::Refuses => return Err(ResourceError::Behind),
            Self::Hangs => std::future::pending().await,
        };
        Ok(Some(FoundResource {
            owner: "Octo".to_owned(),
            repo: "Cat".to_owned(),
            number: 7,
            ids: GithubIds {
                owner: Some(OwnerId(owner)),
                repository: Some(RepositoryId(9)),
                resource: Some(107),
            },
            labels: vec!["bug".to_owned()],
            ..FoundResource::default()
        }))
    }

    async fn check(&self) -> Result<(), ResourceError> {
        Ok(())
    }
}

fn item(content_type: &str) -> Value {
    json!({
        "action": "edited",
        "organization": { "login": "Octo", "id": 5 },
        "projects_v2_item": {
            "id": 3, "node_id": "PVTI_1", "project_node_id": "PVT_1",
            "content_type": content_type, "content_node_id": "I_7",
        },
    })
}

#[tokio::test(start_paused = true)]
async fn an_item_is_where_its_issue_is_if_the_sync_role_knows_and_is_stored_in_any_case() {
    let first = Ingest::new();
    let cases = [
        (Sync::Knows, "Issue", Some("Cat"), "found"),
        (Sync::Knows, "DraftIssue", None, ""),
        (Sync::KnowsElsewhere, "PullRequest", None, "found"),
        (Sync::KnowsNothing, "Issue", None, "unknown"),
        (Sync::Refuses, "Issue", None, "unavailable"),
        (Sync::Hangs, "Issue", None, "unavailable"),
    ];
    for (n, (sync, kind, repo, outcome)) in cases.into_iter().enumerate() {
        let ingest = first.asking(Arc::new(sync));
        let guid = format!("72d3162e-cc78-11e3-81ab-4c9367dc{n:04}");
        let answer = ingest.post("projects_v2_item", &guid, &item(kind)).await;
        assert_eq!(answer.status, 202, "{sync:?}");
        let all = ingest.log.all().await;
        let facts = &all.last().unwrap().item.facts;
        assert_eq!(facts.owner.as_deref(), Some("Octo"), "{sync:?}");
        assert_eq!(facts.repo.as_deref(), repo, "{sync:?}");
        assert_eq!(facts.number, repo.map(|_| 7), "{sync:?}");
        assert_eq!(facts.ids.repository, repo.map(|_| RepositoryId(9)));
        assert_eq!(facts.ids.resource, repo.map(|_| 107), "{sync:?}");
        let tags: &[&str] = if repo.is_some() { &["bug"] } else { &[] };
        assert_eq!(facts.tags, tags, "{sync:?}");
        let event: Value = serde_json::from_slice(&all.last().unwrap().item.json).unwrap();
        assert_eq!(event["resource"]["repo"], json!(repo), "{sync:?}");
        let metrics = ingest.metrics();
        for known in ["found", "unknown", "unavailable"] {
            let count = u8::from(known == outcome);
            let line =
                format!("forgewire_ingest_item_contents_total{{content=\"{known}\"}} {count}");
            assert!(metrics.contains(&line), "{sync:?}: {line}");
        }
    }
}

#[tokio::test]
async fn a_form_with_an_item_is_read_like_json() {
    let ingest = Ingest::new().asking(Arc::new(Sync::Knows));
    let payload: String = item("Issue")
        .to_string()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let body = format!("payload={payload}");
    let guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
    let mut request = harness::signed("projects_v2_item", guid, &body);
    let form = "application/x-www-form-urlencoded".parse().unwrap();
    request.headers_mut().insert("content-type", form);
    assert_eq!(ingest.send(request).await.status, 202);
    assert_eq!(ingest.log.all().await[0].item.facts.number, Some(7));
}
