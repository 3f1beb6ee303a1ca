//! GraphQL: partial answers, limits behind the status 200, cost.

use std::time::Duration;

use github::{ConnectionCursor, GithubError, GraphqlDocument, PageInfo};
use serde::Deserialize;
use serde_json::{Value, json as value};

use crate::server::{FAST, ScriptedGithub, json, owner, with};

const RESET: &str = "2026-11-30T20:00:00Z";

#[tokio::test]
async fn a_part_that_github_does_not_give_is_named_and_the_rest_is_there() {
    let github = ScriptedGithub::start(|_| {
        json(200, &value!({
            "data": {
                "repository": {"issue": null},
                "rateLimit": {"cost": 3, "limit": 5000, "remaining": 4990, "resetAt": RESET},
            },
            "errors": [{"type": "NOT_FOUND", "path": ["repository", "issue"], "message": "Could not\nresolve"}],
        }))
    })
    .await;
    let variables = value!({"owner": "octo", "name": "tool", "number": 7});
    let client = github.client();
    let answer = client
        .query::<_, Value>(&owner(), GraphqlDocument::SUB_ISSUES, &variables)
        .await
        .unwrap();
    assert_eq!(answer.data["repository"], value!({"issue": null}));
    let fault = &answer.faults[0];
    assert_eq!(
        (fault.kind.as_str(), fault.path.as_str()),
        ("NOT_FOUND", "repository.issue")
    );
    assert_eq!(fault.message, "Could not resolve");
    let cost = answer.cost.unwrap();
    assert_eq!((cost.cost, cost.remaining), (3, 4990));
    let seen = github.seen();
    let body: Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("POST", "/graphql")
    );
    assert_eq!(
        (body["operationName"].as_str(), &body["variables"]),
        (Some("SubIssues"), &variables)
    );
}

#[tokio::test]
async fn a_query_without_data_is_an_error_with_githubs_reason() {
    let github = ScriptedGithub::start(|_| {
        json(
            200,
            &value!({"errors": [{"message": "Field 'x' doesn't exist on type 'User'"}]}),
        )
    })
    .await;
    let asked = github
        .client()
        .query::<_, Value>(&owner(), GraphqlDocument::VIEWER, &value!({}))
        .await;
    let error = asked.unwrap_err();
    assert!(
        error.to_string().contains("Field 'x' doesn't exist"),
        "{error}"
    );
}

#[tokio::test]
async fn a_limit_behind_the_status_200_is_waited_for() {
    let github = ScriptedGithub::start(|seen| match seen.before {
        0 => json(
            200,
            &value!({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}),
        ),
        _ => json(200, &value!({"data": {"viewer": {"login": "mona"}}})),
    })
    .await;
    let began = std::time::Instant::now();
    let client = github.client();
    let answer = client
        .query::<_, Value>(&owner(), GraphqlDocument::VIEWER, &value!({}))
        .await
        .unwrap();
    assert_eq!(answer.data["viewer"]["login"], "mona");
    assert!(began.elapsed() >= FAST.first_limit_pause);
    assert_eq!(github.seen().len(), 2);
}

#[tokio::test]
async fn points_that_are_used_up_are_not_asked_for() {
    let github = ScriptedGithub::start(|_| {
        let limits = [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "9999999999"),
            ("x-ratelimit-resource", "graphql"),
        ];
        with(200, &limits, &value!({"data": {}}))
    })
    .await;
    let client = github.client();
    let (access, none) = (owner(), value!({}));
    client
        .query::<_, Value>(&access, GraphqlDocument::VIEWER, &none)
        .await
        .unwrap();
    let asked = client.query_within::<_, Value>(
        &access,
        GraphqlDocument::VIEWER,
        &none,
        Duration::from_secs(1),
    );
    let error = asked.await.unwrap_err();
    assert!(matches!(error, GithubError::RateLimited { .. }), "{error}");
    assert_eq!(github.seen().len(), 1);
}

#[tokio::test]
async fn a_heavy_query_is_not_asked_again_and_again() {
    let github = ScriptedGithub::start(|_| json(502, &value!({}))).await;
    let asked = github
        .client()
        .query::<_, Value>(&owner(), GraphqlDocument::VIEWER, &value!({}))
        .await;
    assert!(matches!(
        asked.unwrap_err(),
        GithubError::Unavailable { .. }
    ));
    assert_eq!(github.seen().len(), 2, "GitHub takes points for each");
}

#[derive(Deserialize)]
struct PageRead {
    views: ViewsRead,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ViewsRead {
    page_info: PageInfo,
}

#[tokio::test]
async fn a_connection_is_read_along_its_cursors() {
    let github = ScriptedGithub::start(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let has_next = body["variables"]["after"] != "c2";
        let end = if seen.before == 0 { "c1" } else { "c2" };
        json(
            200,
            &value!({"data": {"views": {"pageInfo": {"hasNextPage": has_next, "endCursor": end}}}}),
        )
    })
    .await;
    let client = github.client();
    let mut cursor = ConnectionCursor::default();
    loop {
        let variables = value!({"id": "PVT_1", "after": cursor.after()});
        let document = GraphqlDocument::PROJECT_VIEWS;
        let answer = client
            .query::<_, PageRead>(&owner(), document, &variables)
            .await
            .unwrap();
        if !cursor
            .advance(document.name, answer.data.views.page_info)
            .unwrap()
        {
            break;
        }
    }
    assert_eq!(github.seen().len(), 3);
}
