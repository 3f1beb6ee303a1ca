//! Three replicas with one Redis, as three processes would share it, against a GitHub that counts.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::response::Response;
use futures_util::future::join_all;
use github::{GithubClient, GithubError, GithubIdentity, GithubPace};
use parking_lot::Mutex;
use serde_json::{Value, json as value};
use store_redis::{RedisConfig, RedisSessionStore};
use testkit::servers::RedisServer;
use tokio::time::{Instant, sleep_until};

use crate::server::{FAST, ScriptedGithub, TOKEN, json, repository, with};

/// Requests in a window, and its length: short, and GitHub's reset has whole seconds.
const LIMIT: usize = 100;
const WINDOW_SECONDS: u64 = 4;
const WINDOWS: u64 = 3;
const WORKERS: usize = 8;

/// What GitHub has counted in each window since the first one, and what it has refused.
#[derive(Default)]
struct CountedWindows {
    accepted: Vec<(u64, usize)>,
    refused: usize,
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn counted(windows: &Mutex<CountedWindows>) -> Response {
    let window = unix().as_secs() / WINDOW_SECONDS;
    let mut windows = windows.lock();
    if windows
        .accepted
        .last()
        .is_none_or(|(last, _)| *last != window)
    {
        windows.accepted.push((window, 0));
    }
    let (_, used) = windows.accepted.last_mut().unwrap();
    let is_refused = *used >= LIMIT;
    *used = (*used + 1).min(LIMIT);
    let remaining = (LIMIT - *used).to_string();
    windows.refused += usize::from(is_refused);
    let (limit, reset) = (
        LIMIT.to_string(),
        ((window + 1) * WINDOW_SECONDS).to_string(),
    );
    let headers = [
        ("x-ratelimit-limit", limit.as_str()),
        ("x-ratelimit-remaining", remaining.as_str()),
        ("x-ratelimit-reset", reset.as_str()),
        ("x-ratelimit-resource", "core"),
    ];
    with(if is_refused { 403 } else { 200 }, &headers, &value!({}))
}

async fn three(
    github: &ScriptedGithub,
    redis: &RedisServer,
    pace: GithubPace,
) -> Vec<GithubClient> {
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let store = RedisSessionStore::connect(RedisConfig::new(redis.url()))
            .await
            .unwrap();
        let identity = GithubIdentity::Token(TOKEN.to_owned());
        replicas.push(github.client_with(identity, Arc::new(store), pace));
    }
    replicas
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_use_all_of_a_limit_and_no_more() {
    let redis = RedisServer::start().unwrap();
    let windows: Arc<Mutex<CountedWindows>> = Arc::default();
    let counter = Arc::clone(&windows);
    let github = ScriptedGithub::start(move |_| counted(&counter)).await;
    let mut pace = FAST;
    pace.window = Duration::from_secs(WINDOW_SECONDS);
    let replicas = three(&github, &redis, pace).await;
    // Until the first report nobody knows of a limit.
    replicas[0].get::<Value>(&repository()).await.unwrap();
    // From the beginning of a window, for as long as some last, without the end of the last.
    let window = Duration::from_secs(WINDOW_SECONDS);
    let first = (unix().as_secs() / WINDOW_SECONDS + 1) * WINDOW_SECONDS;
    let begin = Instant::now() + Duration::from_secs(first).saturating_sub(unix());
    let end = begin + window * u32::try_from(WINDOWS).unwrap() - Duration::from_millis(300);
    sleep_until(begin).await;
    let workers = replicas
        .iter()
        .flat_map(|client| (0..WORKERS).map(move |_| client));
    join_all(workers.map(|client| async move {
        while Instant::now() < end {
            let patience = end.saturating_duration_since(Instant::now());
            match client.get::<Value>(&repository().patience(patience)).await {
                Ok(_) => {}
                Err(GithubError::RateLimited { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }))
    .await;
    let mut windows = windows.lock();
    windows
        .accepted
        .retain(|(window, _)| *window >= first / WINDOW_SECONDS);
    println!(
        "accepted in each window of {LIMIT}: {:?}, refused {}",
        windows.accepted, windows.refused
    );
    assert_eq!(
        (windows.accepted.len() as u64, windows.refused),
        (WINDOWS, 0)
    );
    for (_, accepted) in &windows.accepted {
        assert!(*accepted * 50 >= LIMIT * 49, "{accepted} of {LIMIT}");
    }
}

#[tokio::test]
async fn a_secondary_limit_of_one_replica_stops_all_three() {
    let redis = RedisServer::start().unwrap();
    let github = ScriptedGithub::start(|seen| match seen.before {
        0 => with(
            403,
            &[("retry-after", "2")],
            &value!({"message": "You have exceeded a secondary rate limit."}),
        ),
        _ => json(200, &value!({})),
    })
    .await;
    let replicas = three(&github, &redis, FAST).await;
    let began = Instant::now();
    let impatient = repository().patience(Duration::from_millis(200));
    for client in &replicas {
        let error = client.get::<Value>(&impatient).await.unwrap_err();
        assert!(matches!(error, GithubError::RateLimited { .. }), "{error}");
    }
    assert_eq!(github.seen().len(), 1);
    // All three wait for it, and none comes early.
    let call = repository();
    let answers = join_all(replicas.iter().map(|client| client.get::<Value>(&call))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(
        began.elapsed() >= Duration::from_millis(1900),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(github.seen().len(), 4);
}
