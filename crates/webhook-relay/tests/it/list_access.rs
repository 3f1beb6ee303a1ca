//! What says nothing about one delivery leaves none out: access that is lost, another spelling, a new name.

use axum::response::Response;
use http::HeaderMap;
use webhook_relay::{CursorPlace, DeliveryList, RelaySource};

use crate::{
    list::{answer, api, hook},
    world::{Ingest, Logs, Relay, Server, TOKEN, json, list},
};

#[tokio::test]
async fn access_that_is_lost_after_the_list_ends_the_relay_and_leaves_nothing_out() {
    let logs = Logs::start();
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=5);
    let api = api(&hook).await;
    let source = || RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
    for status in [404, 410] {
        hook.lock().unwrap().details = (1..=5).map(|id| (id, (status, String::new()))).collect();
        let ended = Relay::start(source(), &ingest.server.url()).ended().await;
        assert!(ended.contains(&status.to_string()), "{ended}");
    }
    hook.lock().unwrap().details.clear();
    let relay = Relay::start(source(), &ingest.server.url());
    ingest
        .until_guids(&["guid-1", "guid-2", "guid-3", "guid-4", "guid-5"])
        .await;
    relay.finish().await;
    assert_eq!(logs.count("left out"), 0, "{}", logs.text());
}

#[tokio::test]
async fn a_limit_or_an_outage_during_the_look_at_others_ends_nothing_and_leaves_nothing_out() {
    let logs = Logs::start();
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=2);
    hook.lock().unwrap().details = [(1, (404, String::new())), (2, (502, String::new()))].into();
    let api = api(&hook).await;
    let source = RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
    let relay = Relay::start(source, &ingest.server.url());
    logs.until("GitHub answers 502").await;
    hook.lock().unwrap().details.clear();
    ingest.until_guids(&["guid-1", "guid-2"]).await;
    relay.finish().await;
    assert_eq!(logs.count("left out"), 0, "{}", logs.text());
}

#[tokio::test]
async fn the_only_new_delivery_is_left_out_if_github_has_an_older_one_and_not_it() {
    let logs = Logs::start();
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=1);
    let api = api(&hook).await;
    let source = RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
    let relay = Relay::start(source, &ingest.server.url());
    ingest.until(1).await;
    {
        let mut hook = hook.lock().unwrap();
        hook.details = [(2, (404, String::new()))].into();
        hook.ids.push(2);
    }
    logs.until("left out").await;
    hook.lock().unwrap().ids.push(3);
    ingest.until_guids(&["guid-1", "guid-3"]).await;
    relay.finish().await;
    assert_eq!(logs.count("left out"), 1, "{}", logs.text());
}

#[tokio::test]
async fn a_first_start_begins_after_the_newest_entry_that_can_be_read() {
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=3);
    let served = hook.clone();
    let api = Server::start(move |path, _: &HeaderMap| {
        if path.contains("per_page") && path.contains("/deliveries") {
            let mut hook = served.lock().unwrap();
            hook.asked.push(path.to_owned());
            let newest = hook.ids.iter().rev();
            let known: Vec<_> = newest.map(|id| format!(r#"{{"id":{id}}}"#)).collect();
            return json(200, format!(r#"[{{"id":"new"}},{}]"#, known.join(",")));
        }
        answer(&mut served.lock().unwrap(), path)
    })
    .await;
    let mut list = list(&api.url(), &folder.path().join("cursor"));
    list.from_beginning = false;
    let logs = Logs::start();
    let relay = Relay::start(RelaySource::Deliveries(list), &ingest.server.url());
    logs.until("after=3").await;
    hook.lock().unwrap().ids.push(4);
    ingest.until_guids(&["guid-4"]).await;
    relay.finish().await;
}

/// A repository that answers to every spelling, and to its name after a rename.
fn anywhere(hook: &crate::list::SharedHook, path: &str) -> Response {
    let lower = path.to_ascii_lowercase();
    let names = ["/repos/octo/tool", "/repos/octo/kit"];
    let rest = names.iter().find_map(|name| lower.strip_prefix(name));
    match rest {
        Some(rest) => answer(&mut hook.lock().unwrap(), rest),
        None => json(404, ""),
    }
}

#[tokio::test]
async fn a_relay_goes_on_under_another_spelling_and_under_the_present_name_of_the_repository() {
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=1);
    let served = hook.clone();
    let api = Server::start(move |path, _: &HeaderMap| anywhere(&served, path)).await;
    let file = folder.path().join("relay-hook-7.json");
    let folder = CursorPlace::Folder(folder.path().to_owned());
    let started = |name: &str, cursor: CursorPlace| {
        let interval = std::time::Duration::from_millis(2);
        let list = DeliveryList::new(&api.url(), name, Some(TOKEN), cursor, interval).unwrap();
        Relay::start(RelaySource::Deliveries(list), &ingest.server.url())
    };
    let logs = Logs::start();
    let relay = started("octo/tool", folder.clone());
    logs.until("after=1").await;
    relay.finish().await;
    let mut expected = Vec::new();
    for (id, name, place) in [
        (2, "Octo/Tool", folder.clone()),
        (3, "https://github.com/octo/tool", folder.clone()),
        (4, "octo/kit", folder),
        (5, "octo/kit", CursorPlace::File(file.clone())),
    ] {
        hook.lock().unwrap().ids.push(id);
        let relay = started(name, place);
        expected.push(format!("guid-{id}"));
        let guids: Vec<_> = expected.iter().map(String::as_str).collect();
        ingest.until_guids(&guids).await;
        relay.finish().await;
    }
}
