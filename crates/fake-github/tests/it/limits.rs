//! Limits: by the hour, by the minute, at once; and that they end.

use std::time::Duration;

use fake_github::server::{FakeFault, FakeLimits};
use reqwest::Method;
use serde_json::json;

use crate::harness::{START, TOKEN, World};

const LABELS: &str = "/repos/octo/reactor/labels";

fn limits() -> FakeLimits {
    FakeLimits::default()
}

#[tokio::test]
async fn an_hour_is_used_up_and_comes_again() {
    let world = World::new().await;
    world.github.limit(FakeLimits {
        core: 3,
        ..limits()
    });
    for left in ["2", "1", "0"] {
        let page = world.get(LABELS).await;
        assert_eq!(
            (page.status, page.header("x-ratelimit-remaining")),
            (200, left)
        );
        assert_eq!(
            (
                page.header("x-ratelimit-limit"),
                page.header("x-ratelimit-resource")
            ),
            ("3", "core")
        );
    }
    let refused = world.get(LABELS).await;
    assert_eq!(
        (refused.status, refused.header("x-ratelimit-remaining")),
        (403, "0")
    );
    assert!(
        refused.body["message"]
            .as_str()
            .unwrap()
            .starts_with("API rate limit exceeded for user ID")
    );
    let reset: i64 = refused.header("x-ratelimit-reset").parse().unwrap();
    assert_eq!(reset, START.unix_millis() / 1000 + 3600);
    // To ask how much is left is free, even then.
    let state = world.get("/rate_limit").await;
    assert_eq!(
        (state.status, &state.body["resources"]["core"]["remaining"]),
        (200, &0.into())
    );
    assert_eq!(world.github.points(), 3);
    world.pass(3600);
    assert_eq!(world.get(LABELS).await.header("x-ratelimit-remaining"), "2");
}

#[tokio::test]
async fn without_a_token_there_is_little() {
    let world = World::new().await;
    let page = world.ask(Method::GET, LABELS, "", &[]).await;
    assert_eq!((page.status, page.header("x-ratelimit-limit")), (200, "60"));
    let bad = world.ask(Method::GET, LABELS, "ghp_wrong", &[]).await;
    assert_eq!(
        (bad.status, &bad.body["message"]),
        (401, &"Bad credentials".into())
    );
}

#[tokio::test]
async fn a_minute_has_points_too_and_says_how_long_to_wait() {
    let world = World::new().await;
    world.github.limit(FakeLimits {
        core_per_minute: 3,
        graphql_per_minute: 1,
        ..limits()
    });
    for _ in 0..3 {
        assert_eq!(world.get(LABELS).await.status, 200);
    }
    world.pass(20);
    let refused = world.get(LABELS).await;
    assert_eq!((refused.status, refused.header("retry-after")), (403, "40"));
    assert!(
        refused.body["message"]
            .as_str()
            .unwrap()
            .contains("secondary rate limit")
    );
    assert!(refused.header("x-ratelimit-remaining").is_empty());
    world.pass(40);
    assert_eq!(world.get(LABELS).await.status, 200);

    let ask = async || {
        world
            .graphql("{ viewer { login } }", json!({}))
            .await
            .status
    };
    assert_eq!([ask().await, ask().await], [200, 403]);
}

#[tokio::test]
async fn more_than_so_many_at_once_are_refused() {
    let world = World::new().await;
    world.github.limit(FakeLimits {
        concurrent: 1,
        ..limits()
    });
    world
        .github
        .break_next(LABELS, FakeFault::Slow(Duration::from_millis(400)), 1);
    let slow = world.get(LABELS);
    let other = async {
        // The first is on its way as soon as it is counted.
        while world.github.requests("GET /repos/{owner}/{repo}/labels") == 0 {
            tokio::task::yield_now().await;
        }
        world.get("/repos/octo/reactor").await
    };
    let (slow, other) = tokio::join!(slow, other);
    assert_eq!((slow.status, other.status), (200, 403));
    assert_eq!(world.get("/repos/octo/reactor").await.status, 200);
}

#[tokio::test]
async fn a_secondary_limit_can_come_at_once_with_either_status() {
    let world = World::new().await;
    for status in [403, 429] {
        let fault = FakeFault::Secondary {
            status,
            retry_after_seconds: Some(17),
        };
        world.github.break_next(LABELS, fault, 1);
        let refused = world.get(LABELS).await;
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (status, "17")
        );
    }
    assert_eq!(world.ask(Method::GET, LABELS, TOKEN, &[]).await.status, 200);
}
