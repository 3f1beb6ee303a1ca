//! REST: versions, conditions, pages, redirects, failures.

use std::time::{Duration, Instant};

use axum::{body::Body, response::Response};
use futures_util::stream;
use github::{
    BreakerState, GithubApiVersion, GithubConfig, GithubError, GithubIdentity, RestAnswer,
    RestCall, RestRoute,
};
use serde::Deserialize;
use serde_json::{Value, json as value};

use crate::server::{FAST, ScriptedGithub, TOKEN, deps, json, memory, owner, repository, with};

/// What every version of the API has.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct IssueRead {
    number: u64,
    assignees: Vec<UserRead>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct UserRead {
    login: String,
}

#[tokio::test]
async fn each_version_of_the_api_is_asked_for_and_read() {
    let github = ScriptedGithub::start(|seen| {
        let user = value!({"login": "mona"});
        let mut issue = value!({"number": 7, "assignees": [user]});
        if seen.header("x-github-api-version") == "2022-11-28" {
            issue["assignee"] = user;
        }
        json(200, &issue)
    })
    .await;
    let call = RestCall::new(RestRoute::ISSUE, owner(), &["octo", "tool", "7"]);
    for version in GithubApiVersion::ALL {
        let mut config = github.config(GithubIdentity::Token(TOKEN.to_owned()), FAST);
        config.version = version;
        let client = github::GithubClient::new(&config, deps(memory())).unwrap();
        let issue: IssueRead = client.get(&call).await.unwrap();
        let login = "mona".to_owned();
        assert_eq!(
            issue,
            IssueRead {
                number: 7,
                assignees: vec![UserRead { login }]
            }
        );
    }
    let seen = github.seen();
    let versions: Vec<_> = seen
        .iter()
        .map(|seen| seen.header("x-github-api-version"))
        .collect();
    assert_eq!(versions, ["2022-11-28", "2026-03-10"]);
    assert_eq!(seen[0].path, "/repos/octo/tool/issues/7");
    assert_eq!(seen[0].header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(seen[0].header("accept"), "application/vnd.github+json");
    assert!(seen[0].header("user-agent").starts_with("forgewire/"));
}

#[tokio::test]
async fn what_is_known_is_not_sent_again_and_costs_nothing() {
    // One request is left of the hour.
    let github = ScriptedGithub::start(|seen| {
        let limits = [
            ("etag", "W/\"one\""),
            ("x-ratelimit-limit", "60"),
            ("x-ratelimit-remaining", "1"),
            ("x-ratelimit-reset", "9999999999"),
            ("x-ratelimit-resource", "core"),
        ];
        let is_known = seen.header("if-none-match") == "W/\"one\"";
        with(
            if is_known { 304 } else { 200 },
            &limits,
            &value!({"id": 1}),
        )
    })
    .await;
    let client = github.client();
    let call = repository().patience(Duration::ZERO);
    let first = client.get_if_modified::<Value>(&call).await.unwrap();
    let RestAnswer::Modified { value, tags } = first else {
        panic!("nothing was known")
    };
    assert_eq!(
        (value["id"].as_u64(), tags.etag.as_deref()),
        (Some(1), Some("W/\"one\""))
    );
    let known = call.clone().unless(tags);
    for _ in 0..5 {
        let answer = client.get_if_modified::<Value>(&known).await.unwrap();
        assert_eq!(answer, RestAnswer::NotModified);
    }
    client.get::<Value>(&call).await.unwrap();
    let used_up = client.get::<Value>(&call).await.unwrap_err();
    assert!(
        matches!(used_up, GithubError::RateLimited { .. }),
        "{used_up}"
    );
    assert_eq!(github.seen().len(), 7);
}

/// All items of a list.
async fn all(client: &github::GithubClient) -> Result<Vec<u64>, GithubError> {
    let call = RestCall::new(RestRoute::ISSUES, owner(), &["octo", "tool"]).with("state", "all");
    let mut pages = client.pages(call);
    let mut items = Vec::new();
    while let Some(page) = pages.next_page::<Vec<u64>>().await? {
        match page {
            RestAnswer::Modified { value, .. } => items.extend(value),
            RestAnswer::NotModified => unreachable!("nothing is known"),
        }
    }
    Ok(items)
}

/// Answers the page that is asked for with a link that a function makes of its number.
async fn paged(
    link: impl Fn(u64, &str) -> Option<String> + Clone + Send + Sync + 'static,
) -> ScriptedGithub {
    ScriptedGithub::start(move |seen| {
        let (_, page) = seen.path.split_once("&page=").unwrap_or(("", "1"));
        let page: u64 = page.parse().unwrap();
        let host = format!("http://{}", seen.header("host"));
        match link(page, &host) {
            Some(link) => with(200, &[("link", &link)], &value!([page])),
            None => with(200, &[], &value!([page])),
        }
    })
    .await
}

#[tokio::test]
async fn a_list_is_read_along_its_links() {
    let github = paged(|page, host| {
        let last = format!("<{host}/x?page=1>; rel=\"first\"");
        let next = format!(
            "<{host}/repositories/1/issues?state=all&page={}>; rel=\"next\", {last}",
            page + 1
        );
        Some(if page < 3 { next } else { last })
    })
    .await;
    assert_eq!(all(&github.client()).await.unwrap(), [1, 2, 3]);
    let paths: Vec<_> = github.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths[0], "/repos/octo/tool/issues?state=all&per_page=100");
    assert_eq!(paths[2], "/repositories/1/issues?state=all&page=3");
}

#[tokio::test]
async fn a_list_that_leads_in_a_circle_or_elsewhere_ends_with_an_error() {
    let circle = paged(|_, host| {
        Some(format!(
            "<{host}/repos/octo/tool/issues?state=all&page=2>; rel=\"next\""
        ))
    })
    .await;
    let error = all(&circle.client()).await.unwrap_err();
    assert!(matches!(error, GithubError::Endless { .. }), "{error}");
    assert_eq!(circle.seen().len(), 2);
    let elsewhere = ScriptedGithub::start(|_| json(200, &value!([9]))).await;
    let link = format!("<{}/repos?page=2>; rel=\"next\"", elsewhere.url);
    let github = paged(move |_, _| Some(link.clone())).await;
    let error = all(&github.client()).await.unwrap_err();
    assert!(matches!(error, GithubError::Malformed { .. }), "{error}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn an_enterprise_server_has_its_api_below_a_path() {
    let github = ScriptedGithub::start(|seen| {
        let next = format!(
            "<http://{}/api/v3/repositories/1/issues?page=2>; rel=\"next\"",
            seen.header("host")
        );
        match seen.path.as_str() {
            "/api/v3/repos/octo/tool/issues?state=all&per_page=100" => {
                with(200, &[("link", &next)], &value!([1]))
            }
            "/api/v3/repositories/1/issues?page=2" => json(200, &value!([2])),
            _ => json(404, &value!({})),
        }
    })
    .await;
    let (api, graphql) = (
        format!("{}/api/v3/", github.url),
        format!("{}/api/graphql", github.url),
    );
    let mut config = GithubConfig::new(&api, &graphql, GithubIdentity::Anonymous).unwrap();
    config.proxies = http_client::HttpProxies::none();
    let client = github::GithubClient::new(&config, deps(memory())).unwrap();
    assert_eq!(all(&client).await.unwrap(), [1, 2]);
    assert!(
        github
            .seen()
            .iter()
            .all(|seen| seen.header("authorization").is_empty())
    );
}

#[tokio::test]
async fn a_renamed_repository_is_followed_and_another_server_gets_no_token() {
    let elsewhere = ScriptedGithub::start(|_| json(200, &value!({"id": 9}))).await;
    let evil = format!("{}/repositories/1", elsewhere.url);
    let github = ScriptedGithub::start(move |seen| match seen.path.as_str() {
        "/repos/octo/tool" => with(301, &[("location", "/repositories/1")], &value!({})),
        "/repositories/1" => json(200, &value!({"id": 1})),
        "/repos/octo/loop" => with(302, &[("location", "/repos/octo/loop")], &value!({})),
        _ => with(301, &[("location", &evil)], &value!({})),
    })
    .await;
    let client = github.client();
    let repository = |name| RestCall::new(RestRoute::REPOSITORY, owner(), &["octo", name]);
    let answer: Value = client.get(&repository("tool")).await.unwrap();
    assert_eq!(answer["id"], 1);
    assert_eq!(
        github.seen()[1].header("authorization"),
        format!("Bearer {TOKEN}")
    );
    for (name, requests) in [("evil", 1), ("loop", 4)] {
        let before = github.seen().len();
        let error = client.get::<Value>(&repository(name)).await.unwrap_err();
        assert!(matches!(error, GithubError::Moved { .. }), "{error}");
        assert_eq!(github.seen().len() - before, requests, "{name}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn an_answer_that_fails_or_breaks_off_is_asked_for_again() {
    let github = ScriptedGithub::start(|seen| match seen.before {
        0 => json(502, &value!({"message": "Server Error"})),
        1 => {
            let broken = stream::iter([Ok("{\"id\":"), Err(std::io::Error::other("cut"))]);
            Response::new(Body::from_stream(broken))
        }
        _ => json(200, &value!({"id": 1})),
    })
    .await;
    let answer: Value = github.client().get(&repository()).await.unwrap();
    assert_eq!((answer["id"].as_u64(), github.seen().len()), (Some(1), 3));
}

#[tokio::test]
async fn an_answer_that_is_late_too_large_or_not_githubs_is_an_error() {
    let github = ScriptedGithub::start_slow(|seen| async move {
        match seen.path.as_str() {
            "/repos/octo/late" => std::future::pending().await,
            "/repos/octo/large" => Response::builder()
                .status(500)
                .body(Body::from(vec![b' '; (1 << 20) + 1]))
                .unwrap(),
            _ => Response::new(Body::from("<html>\nghs_secret")),
        }
    })
    .await;
    let mut pace = FAST;
    pace.request_timeout = Duration::from_millis(100);
    let client = github.client_with(GithubIdentity::Anonymous, memory(), pace);
    let error = async |name| {
        let call = RestCall::new(RestRoute::REPOSITORY, owner(), &["octo", name]);
        client.get::<Value>(&call).await.unwrap_err()
    };
    let large = error("large").await;
    assert!(matches!(large, GithubError::TooLarge { .. }), "{large}");
    let page = error("page").await;
    assert!(matches!(page, GithubError::Malformed { .. }), "{page}");
    assert!(!page.to_string().contains("ghs_secret"), "{page}");
    let began = Instant::now();
    let late = error("late").await;
    assert!(matches!(late, GithubError::Unavailable { .. }), "{late}");
    assert!(began.elapsed() >= pace.request_timeout * 5);
}

#[tokio::test]
async fn a_request_that_changes_something_is_sent_once() {
    let github = ScriptedGithub::start(|_| json(502, &value!({}))).await;
    let call = RestCall::new(
        RestRoute::HOOK_REDELIVERY,
        owner(),
        &["octo", "tool", "1", "2"],
    );
    let error = github.client().send(&call).await.unwrap_err();
    assert!(matches!(error, GithubError::Unavailable { .. }), "{error}");
    let seen = github.seen();
    assert_eq!((seen.len(), seen[0].method.as_str()), (1, "POST"));
}

#[tokio::test]
async fn a_github_that_fails_again_and_again_is_left_alone_for_a_while() {
    let github = ScriptedGithub::start(|seen| match seen.before {
        0..5 => json(503, &value!({})),
        _ => json(200, &value!({"id": 1})),
    })
    .await;
    let client = github.client();
    client.get::<Value>(&repository()).await.unwrap_err();
    assert_eq!(
        client.breakers(),
        (BreakerState::Open, BreakerState::Closed)
    );
    let error = client.get::<Value>(&repository()).await.unwrap_err();
    let GithubError::BreakerOpen { failures: 5, wait } = error else {
        panic!("{error}")
    };
    assert_eq!(github.seen().len(), 5, "it was not asked");
    tokio::time::sleep(wait).await;
    assert_eq!(client.breakers().0, BreakerState::HalfOpen);
    client.get::<Value>(&repository()).await.unwrap();
    assert_eq!(client.breakers().0, BreakerState::Closed);
}
