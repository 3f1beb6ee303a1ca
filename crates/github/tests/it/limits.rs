//! Rate limits: what GitHub asks for, for all clients of one account.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use github::{GithubError, GithubIdentity};
use serde_json::{Value, json as value};

use crate::server::{FAST, ScriptedGithub, TOKEN, json, memory, repository, with};

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test]
async fn retry_after_comes_before_a_reset_that_is_an_hour_away() {
    let github = ScriptedGithub::start(|seen| match seen.before {
        0 => {
            let reset = (unix_seconds() + 3600).to_string();
            let limits = [
                ("retry-after", "1"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", reset.as_str()),
            ];
            with(
                403,
                &limits,
                &value!({"message": "You have exceeded a secondary rate limit."}),
            )
        }
        _ => json(200, &value!({})),
    })
    .await;
    let began = Instant::now();
    github.client().get::<Value>(&repository()).await.unwrap();
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_secs(10),
        "{waited:?}"
    );
    assert_eq!(github.seen().len(), 2);
}

#[tokio::test]
async fn a_secondary_limit_stops_all_clients_of_the_account_and_no_others() {
    let github = ScriptedGithub::start(|seen| match seen.before {
        0 => with(429, &[("retry-after", "3600")], &value!({})),
        _ => json(200, &value!({})),
    })
    .await;
    let budget = memory();
    let identity = || GithubIdentity::Token(TOKEN.to_owned());
    let replicas = [(); 3].map(|()| github.client_with(identity(), budget.clone(), FAST));
    for client in &replicas {
        let error = client.get::<Value>(&repository()).await.unwrap_err();
        assert!(matches!(error, GithubError::RateLimited { .. }), "{error}");
    }
    assert_eq!(github.seen().len(), 1, "one of them was told");
    let other = GithubIdentity::Token("ghp_of_another".to_owned());
    let other = github.client_with(other, budget, FAST);
    other.get::<Value>(&repository()).await.unwrap();
}

#[tokio::test]
async fn limits_without_a_time_are_waited_for_longer_each_time() {
    let github = ScriptedGithub::start(|seen| match seen.before {
        0 | 1 => json(
            403,
            &value!({"message": "You have exceeded a secondary rate limit."}),
        ),
        _ => json(200, &value!({})),
    })
    .await;
    let began = Instant::now();
    github.client().get::<Value>(&repository()).await.unwrap();
    assert!(
        began.elapsed() >= FAST.first_limit_pause * 3,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_used_up_limit_is_waited_for_until_its_reset() {
    let github = ScriptedGithub::start(|seen| {
        let reset = unix_seconds() + 1;
        let reset = reset.to_string();
        match seen.before {
            0 => with(
                403,
                &[
                    ("x-ratelimit-limit", "60"),
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", reset.as_str()),
                    ("x-ratelimit-resource", "core"),
                ],
                &value!({"message": "API rate limit exceeded for user ID 1."}),
            ),
            _ => json(200, &value!({})),
        }
    })
    .await;
    let client = github.client();
    let impatient = repository().patience(Duration::from_millis(500));
    let error = client.get::<Value>(&impatient).await.unwrap_err();
    assert!(matches!(error, GithubError::RateLimited { .. }), "{error}");
    client.get::<Value>(&repository()).await.unwrap();
    assert_eq!(github.seen().len(), 2);
}
