//! GitHub's list: every delivery is relayed, or left out by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json as value};
use webhook_relay::RelaySource;

use crate::world::{Ingest, Logs, Relay, Server, json, list};

/// A webhook's deliveries, as GitHub's API gives them.
#[derive(Default)]
pub(crate) struct Hook {
    pub(crate) ids: Vec<u64>,
    /// Answers of single deliveries instead of the right ones.
    pub(crate) details: BTreeMap<u64, (u16, String)>,
    /// Paths in the order of the requests.
    pub(crate) asked: Vec<String>,
    /// Answers of the next requests instead of the right ones.
    pub(crate) refusals: Vec<(u16, String)>,
}

pub(crate) type SharedHook = Arc<Mutex<Hook>>;

pub(crate) fn hook(ids: impl IntoIterator<Item = u64>) -> SharedHook {
    Arc::new(Mutex::new(Hook {
        ids: ids.into_iter().collect(),
        ..Hook::default()
    }))
}

fn whole(id: u64) -> Value {
    value!({"id": id, "guid": format!("guid-{id}"), "event": "issues", "request": {"headers": {}, "payload": {"n": id}}})
}

/// What the API answers to a path below the repository.
pub(crate) fn answer(hook: &mut Hook, path: &str) -> Response {
    hook.asked.push(path.to_owned());
    if let Some((status, body)) = hook.refusals.pop() {
        return json(status, body);
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if path.ends_with("/hooks") {
        return json(200, r#"[{"id":7}]"#);
    }
    if let Some((_, id)) = path.split_once("/deliveries/") {
        let id: u64 = id.parse().unwrap();
        return match hook.details.get(&id) {
            Some((status, body)) => json(*status, body.clone()),
            None => json(200, whole(id).to_string()),
        };
    }
    let number = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, number) = pairs.find(|(known, _)| *known == name)?;
        number.parse::<usize>().ok()
    };
    let (skipped, most) = (number("cursor").unwrap_or(0), number("per_page").unwrap());
    let newest = hook.ids.iter().rev().skip(skipped).take(most);
    let page: Vec<_> = newest
        .map(|id| value!({"id": id, "guid": format!("guid-{id}")}))
        .collect();
    let mut response = json(200, Value::from(page).to_string());
    if skipped + most < hook.ids.len() {
        let link = format!(
            "<https://elsewhere/?cursor={}>; rel=\"next\"",
            skipped + most
        );
        response
            .headers_mut()
            .insert(header::LINK, HeaderValue::from_str(&link).unwrap());
    }
    response
}

pub(crate) async fn api(hook: &SharedHook) -> Server {
    let hook = Arc::clone(hook);
    Server::start(move |path, _: &HeaderMap| answer(&mut hook.lock().unwrap(), path)).await
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_is_left_out_by_name_and_the_next_ones_arrive() {
    let logs = Logs::start();
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=9);
    let mut no_event = whole(1);
    no_event["event"] = Value::Null;
    let mut no_request = whole(3);
    no_request["request"] = Value::Null;
    let mut no_payload = whole(4);
    no_payload["request"]["payload"] = Value::Null;
    hook.lock().unwrap().details = [
        (1, (200, no_event.to_string())),
        (2, (200, "x".repeat((64 << 20) + 1))),
        (3, (200, no_request.to_string())),
        (4, (200, no_payload.to_string())),
        (6, (404, "{}".to_owned())),
        (7, (500, String::new())),
        (8, (422, "{}".to_owned())),
    ]
    .into();
    let api = api(&hook).await;
    let cursor = folder.path().join("cursor");
    let source = RelaySource::Deliveries(list(&api.url(), &cursor));
    let relay = Relay::start(source, &ingest.server.url());
    ingest.until_guids(&["guid-5", "guid-9"]).await;
    relay.finish().await;
    let text = logs.text();
    for id in [1, 2, 3, 4, 6, 7, 8] {
        let (id, guid) = (format!("id={id} "), format!("guid-{id}"));
        let named =
            |line: &&str| line.contains("left out") && line.contains(&id) && line.contains(&guid);
        assert_eq!(text.lines().filter(named).count(), 1, "{id}: {text}");
    }
}

#[tokio::test]
async fn an_outage_of_github_leaves_nothing_out() {
    let logs = Logs::start();
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1..=3);
    // The list is answered, and no delivery is: many more times than one is asked for by itself.
    hook.lock().unwrap().details = (1..=3).map(|id| (id, (502, String::new()))).collect();
    let api = api(&hook).await;
    let source = RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
    let relay = Relay::start(source, &ingest.server.url());
    logs.until("GitHub answers 502").await;
    while logs.count("GitHub answers 502") < 30 {
        tokio::task::yield_now().await;
    }
    hook.lock().unwrap().details.clear();
    ingest.until_guids(&["guid-1", "guid-2", "guid-3"]).await;
    relay.finish().await;
    assert_eq!(logs.count("left out"), 0, "{}", logs.text());
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end_and_a_limit_does_not_begin_it_anew() {
    let logs = Logs::start();
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let hook = hook(1001..=2300);
    // The hooks, and then pages: the eighth is refused once.
    let served = Arc::clone(&hook);
    let limited = Arc::new(Mutex::new(false));
    let api = Server::start(move |path, _: &HeaderMap| {
        let mut hook = served.lock().unwrap();
        if path.ends_with("cursor=700") && !std::mem::replace(&mut *limited.lock().unwrap(), true) {
            return json(429, "");
        }
        answer(&mut hook, path)
    })
    .await;
    let source = RelaySource::Deliveries(list(&api.url(), &folder.path().join("cursor")));
    let relay = Relay::start(source, &ingest.server.url());
    let guids: Vec<_> = (1001..=2300).map(|id| format!("guid-{id}")).collect();
    let guids: Vec<_> = guids.iter().map(String::as_str).collect();
    ingest.until_guids(&guids).await;
    relay.finish().await;
    let text = logs.text();
    assert_eq!(
        logs.count("reading GitHub's list of deliveries"),
        1,
        "{text}"
    );
    assert!(!text.contains("no longer lists"), "{text}");
    let asked = hook.lock().unwrap().asked.clone();
    let pages: Vec<_> = asked
        .iter()
        .filter(|path| path.contains("cursor="))
        .collect();
    let once: BTreeSet<_> = pages.iter().collect();
    assert_eq!((pages.len(), once.len()), (12, 12), "{pages:?}");
}

#[tokio::test]
async fn a_relay_that_was_away_too_long_says_what_it_may_have_missed() {
    let logs = Logs::start();
    let (ingest, folder) = (Ingest::start().await, tempfile::tempdir().unwrap());
    let cursor = folder.path().join("cursor");
    std::fs::write(&cursor, r#"{"repository":"o/r","hook":7,"lastDelivery":3}"#).unwrap();
    let hook = hook(8..=9);
    let api = api(&hook).await;
    let source = RelaySource::Deliveries(list(&api.url(), &cursor));
    let relay = Relay::start(source, &ingest.server.url());
    ingest.until_guids(&["guid-8", "guid-9"]).await;
    hook.lock().unwrap().ids.push(10);
    ingest.until_guids(&["guid-8", "guid-9", "guid-10"]).await;
    relay.finish().await;
    let text = logs.text();
    assert_eq!(
        logs.count("no longer lists the last relayed delivery"),
        1,
        "{text}"
    );
    assert!(text.contains("after=3 oldest=8"), "{text}");
}
