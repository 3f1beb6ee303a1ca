//! Refusals of GitHub and of the ingest: the relay waits, follows, or ends with the fix.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, header};
use webhook_relay::RelaySource;

use crate::{
    list::{answer, api, hook},
    world::{Ingest, Logs, Relay, Server, TOKEN, json, list},
};

const SECONDARY: &str = r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}"#;

#[tokio::test]
async fn a_secondary_rate_limit_is_waited_for_though_it_names_no_time() {
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=2);
    hook.lock().unwrap().refusals = vec![(403, SECONDARY.to_owned()), (429, String::new())];
    let api = api(&hook).await;
    let source = RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
    let pause = Duration::from_millis(80);
    let begin = Instant::now();
    let relay = Relay::paced(source, &ingest.server.url(), pause);
    ingest.until_guids(&["guid-1", "guid-2"]).await;
    assert!(begin.elapsed() >= pause * 2, "{:?}", begin.elapsed());
    relay.finish().await;
}

#[tokio::test]
async fn a_renamed_repository_is_found_on_the_same_host_once() {
    let logs = Logs::start();
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=5);
    let served = Arc::clone(&hook);
    let moved = Arc::new(Mutex::new(0));
    let count = Arc::clone(&moved);
    let api = Server::start(move |path, headers: &HeaderMap| {
        if let Some(rest) = path.strip_prefix("/repos/o/r/") {
            *count.lock().unwrap() += 1;
            let mut response = json(301, r#"{"message":"Moved Permanently"}"#);
            let target = format!(
                "http://{}/repositories/77/{rest}",
                headers[header::HOST].to_str().unwrap()
            );
            let target = HeaderValue::from_str(&target).unwrap();
            response.headers_mut().insert(header::LOCATION, target);
            return response;
        }
        assert!(path.starts_with("/repositories/77/hooks"), "{path}");
        answer(&mut served.lock().unwrap(), path)
    })
    .await;
    let source = RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
    let relay = Relay::start(source, &ingest.server.url());
    ingest.until(5).await;
    relay.finish().await;
    assert_eq!(*moved.lock().unwrap(), 1);
    assert_eq!(
        logs.count("give --repository its present name"),
        1,
        "{}",
        logs.text()
    );
}

#[tokio::test]
async fn a_redirect_to_another_host_or_without_end_ends_the_relay_and_the_token_stays() {
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let visited = Arc::new(Mutex::new(0));
    let visits = Arc::clone(&visited);
    let other = Server::start(move |_, _| {
        *visits.lock().unwrap() += 1;
        json(200, "[]")
    })
    .await;
    let elsewhere = format!("{}/repos/o/r/hooks", other.url());
    for (target, words) in [
        (elsewhere.as_str(), "another host"),
        ("/again", "on and on"),
        ("", "no place"),
    ] {
        let location = HeaderValue::from_str(target).unwrap();
        let api = Server::start(move |_, _| {
            let mut response = json(301, "");
            response
                .headers_mut()
                .insert(header::LOCATION, location.clone());
            response
        })
        .await;
        let source = RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
        let ended = Relay::start(source, &ingest.server.url()).ended().await;
        assert!(
            ended.contains(words) && ended.contains("--repository"),
            "{ended}"
        );
    }
    assert_eq!(*visited.lock().unwrap(), 0);
}

#[tokio::test]
async fn what_only_the_operator_can_mend_ends_the_relay_with_the_fix() {
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let forbidden = r#"{"message":"Resource not accessible by personal access token"}"#;
    for (status, body, words) in [
        (401, "", "github.token_file"),
        (
            403,
            forbidden,
            "Resource not accessible by personal access token",
        ),
        (404, "", "--hook"),
        (451, "", "451"),
        (200, "[]", "has no webhook"),
        (
            200,
            r#"[{"id":1},{"id":2}]"#,
            "2 webhooks (1, 2): name one with --hook",
        ),
    ] {
        let hook = hook([]);
        hook.lock().unwrap().refusals = vec![(status, body.to_owned())];
        let api = api(&hook).await;
        let source = RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
        let ended = Relay::start(source, &ingest.server.url()).ended().await;
        assert!(ended.contains(words) && !ended.contains(TOKEN), "{ended}");
    }
}

#[tokio::test]
async fn an_address_that_is_no_ingest_ends_the_relay_but_not_an_ingest_that_is_replaced() {
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=2);
    let api = api(&hook).await;
    let source = |name: &str| RelaySource::Deliveries(list(&api.url(), &folder.path().join(name)));
    for status in [404, 405, 302, 403] {
        ingest.refuse([status]);
        let ended = Relay::start(source("first"), &ingest.server.url())
            .ended()
            .await;
        assert!(
            ended.contains("no ingest is there") && ended.contains("--to"),
            "{ended}"
        );
    }
    let relay = Relay::start(source("second"), &ingest.server.url());
    ingest.until(2).await;
    ingest.refuse([404; 20]);
    hook.lock().unwrap().ids.push(3);
    ingest.until_guids(&["guid-1", "guid-2", "guid-3"]).await;
    relay.finish().await;
    ingest.refuse([401]);
    let ended = Relay::start(source("third"), &ingest.server.url())
        .ended()
        .await;
    assert!(ended.contains("WEBHOOK_SECRET"), "{ended}");
}

#[tokio::test]
async fn a_damaged_cursor_ends_the_relay_with_the_fix() {
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook([]);
    let api = api(&hook).await;
    let cursor = folder.path().join("cursor");
    std::fs::write(&cursor, "").unwrap();
    let source = RelaySource::Deliveries(list(&api.url(), &cursor));
    let ended = Relay::start(source, &ingest.server.url()).ended().await;
    assert!(
        ended.contains("it is empty") && ended.contains("remove it"),
        "{ended}"
    );
}
