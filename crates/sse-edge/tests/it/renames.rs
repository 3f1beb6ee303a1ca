//! Repositories and owners that are renamed, transferred and made anew under a former name: what streams, calls,
//! subscriptions and tokens named goes on with its id.

use std::sync::Arc;

use access::Authenticator;
use model::{
    EventFacts, EventId, FormerPlace, GithubIds, OwnerId, RepositoryId, ResourceType, StoredEvent,
    SystemClock,
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::{
    mcp_client::ModernClient,
    sse::{self, SseStream},
};

use super::{
    principals::{Tokens, headers},
    world::*,
};

/// The start of everything in a replay.
const BEGINNING: &str = "2020-01-01T00:00:00Z";
const OLD: &str = "the-token-of-whoever-named-the-old-repository";
const NEW: &str = "the-token-of-whoever-named-the-new-repository";
const OF_OWNER: &str = "the-token-of-whoever-sees-all-of-acme";
const ROCKET: &str = "repositories = [\"acme/rocket\"]";

/// An event of issue 7 in a repository with this id, whose name is `acme/<repo>`.
fn issue(id: &str, repo: &str, repository: u64) -> StoredEvent {
    let mut event = event(0, repo, 0);
    let facts = Arc::make_mut(&mut event.facts);
    facts.id = EventId::new(id).unwrap();
    facts.owner = Some("acme".to_owned());
    facts.ids = GithubIds {
        owner: Some(OwnerId(5)),
        repository: Some(RepositoryId(repository)),
        resource: None,
    };
    with_json(event)
}

/// The same, as an ingest stores it that knows no ids yet.
fn issue_without_ids(id: &str, repo: &str) -> StoredEvent {
    let mut event = issue(id, repo, 0);
    Arc::make_mut(&mut event.facts).ids = GithubIds::default();
    with_json(event)
}

/// `repository.renamed`, as ingest stores it.
fn renamed(id: &str, from: &str, to: &str, repository: u64) -> StoredEvent {
    let issue = issue(id, to, repository);
    with_json(StoredEvent {
        facts: Arc::new(EventFacts {
            resource_type: ResourceType::open("repository"),
            number: None,
            action: Some("renamed".to_owned()),
            former: Some(Box::new(FormerPlace {
                owner: Some("acme".to_owned()),
                repo: Some(from.to_owned()),
            })),
            ..EventFacts::clone(&issue.facts)
        }),
        ..issue
    })
}

/// `repository.transferred` from `acme` to another owner.
fn transferred(id: &str, repo: &str, owner: (&str, u64), repository: u64) -> StoredEvent {
    let mut event = renamed(id, repo, repo, repository);
    let facts = Arc::make_mut(&mut event.facts);
    facts.owner = Some(owner.0.to_owned());
    facts.ids.owner = Some(OwnerId(owner.1));
    with_json(event)
}

fn with_json(event: StoredEvent) -> StoredEvent {
    let facts = &event.facts;
    let json = json!({ "id": facts.id.as_str(), "receivedAt": facts.received_at.to_string(),
        "resource": { "owner": facts.owner, "repo": facts.repo } });
    StoredEvent {
        json: json.to_string().into(),
        ..event
    }
}

/// The ids of the next events of `GET /events/stream`.
async fn next_ids(stream: &mut SseStream, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let event = stream.next_event(SOON).await;
        let event = event.unwrap_or_else(|error| panic!("after {ids:?}: {error}"));
        if event.event.as_deref() == Some("event") {
            ids.push(id_of(&event.data.unwrap()));
        }
    }
    ids
}

fn id_of(json: &str) -> String {
    let event: Value = serde_json::from_str(json).unwrap();
    event["id"].as_str().unwrap().to_owned()
}

/// The ids of the events that a path answers.
async fn ids(node: &Node, token: Option<&str>, path: &str) -> Vec<String> {
    let headers = token.map_or_else(HeaderMap::new, |token| headers(token, None));
    let request = reqwest::Client::new().get(node.at(path)).headers(headers);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let events = answer["events"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    let ids = events.iter().map(|event| event["id"].as_str().unwrap());
    ids.map(ToOwned::to_owned).collect()
}

fn replay(filter: &str) -> String {
    format!("/events/replay/{BEGINNING}?{filter}")
}

const BY_OLD_NAME: &str = "owner=acme&repo=rocket";
const BY_NEW_NAME: &str = "owner=acme&repo=missile";

#[tokio::test]
async fn a_stream_goes_on_with_the_repository_that_it_named() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut streams = Vec::new();
    for node in [&a, &b] {
        let url = node.at(&format!("/events/stream?{BY_OLD_NAME}"));
        let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
        stream.next_event(SOON).await.unwrap();
        streams.push(stream);
    }
    let by_new_name = a.at(&format!("/events/stream?{BY_NEW_NAME}"));
    let mut by_new_name = sse::open(&by_new_name, HeaderMap::new()).await.unwrap();
    by_new_name.next_event(SOON).await.unwrap();
    for event in [
        issue("e1", "rocket", 1),
        renamed("e2", "rocket", "missile", 1),
        issue("e3", "missile", 1),
        // Another repository, which has the former name.
        issue("e4", "rocket", 2),
        renamed("e5", "missile", "probe", 1),
        issue("e6", "probe", 1),
        // Before its rename, delivered late.
        issue("e7", "rocket", 1),
        issue("e8", "probe", 1),
    ] {
        world.tell(event).await;
    }
    for stream in &mut streams {
        let seen = next_ids(stream, 7).await;
        assert_eq!(seen, ["e1", "e2", "e3", "e5", "e6", "e7", "e8"]);
    }
    let seen = next_ids(&mut by_new_name, 6).await;
    assert_eq!(seen, ["e2", "e3", "e5", "e6", "e7", "e8"]);
    for node in [&a, &b] {
        let renames = node.metric("forgewire_edge_renames_total{kind=\"repository\"}");
        assert_eq!(renames, 2);
        let rest = ["e1", "e2", "e3", "e5", "e6", "e7", "e8"];
        let all = ids(node, None, &replay("owner=acme&repo=probe")).await;
        assert_eq!(all, rest, "the whole history of the repository");
        // Given now, the name means who has it now.
        assert_eq!(ids(node, None, &replay(BY_OLD_NAME)).await, ["e4"]);
        assert_eq!(ids(node, None, &replay(BY_NEW_NAME)).await, rest);
    }
}

/// A page comes back with the last id that it has, to any edge, after its name has got another holder.
#[tokio::test]
async fn a_stream_that_comes_back_still_means_the_repository_that_it_named() {
    let (world, a, b) = EdgeWorld::two().await;
    let url = a.at(&format!("/events/stream?{BY_OLD_NAME}"));
    let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
    stream.next_event(SOON).await.unwrap();
    for event in [
        issue("e1", "rocket", 1),
        renamed("e2", "rocket", "missile", 1),
        issue("e3", "rocket", 2),
        issue("e4", "missile", 1),
    ] {
        world.tell(event).await;
    }
    assert_eq!(next_ids(&mut stream, 3).await, ["e1", "e2", "e4"]);
    let mut last = stream.last_id().unwrap().to_owned();
    drop(stream);
    let late = world.node().await;
    for (n, node) in [&b, &a, &late, &b].into_iter().enumerate() {
        let (own, other, live) = (format!("own{n}"), format!("other{n}"), format!("live{n}"));
        world.tell(issue(&other, "rocket", 2)).await;
        world.tell(issue(&own, "missile", 1)).await;
        let url = node.at(&format!("/events/stream?{BY_OLD_NAME}&lastEventId={last}"));
        let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
        let connected = stream.next_event(SOON).await.unwrap().json().unwrap();
        let told = notes(&connected);
        assert!(told.contains("id 1 here, now acme/missile"), "{connected}");
        world.tell(issue(&format!("more{n}"), "rocket", 2)).await;
        world.tell(issue(&live, "missile", 1)).await;
        assert_eq!(next_ids(&mut stream, 2).await, [own, live]);
        last = stream.last_id().unwrap().to_owned();
    }
    // Whoever names it now means who has it now, and still does so after a pause.
    let url = a.at(&format!("/events/stream?{BY_OLD_NAME}"));
    let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
    stream.next_event(SOON).await.unwrap();
    world.tell(issue("now", "rocket", 2)).await;
    assert_eq!(next_ids(&mut stream, 1).await, ["now"]);
    let last = stream.last_id().unwrap().to_owned();
    world.tell(issue("old", "missile", 1)).await;
    world.tell(issue("then", "rocket", 2)).await;
    let url = b.at(&format!("/events/stream?{BY_OLD_NAME}&lastEventId={last}"));
    let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
    assert_eq!(next_ids(&mut stream, 1).await, ["then"]);
}

/// While builds are mixed, some events of a repository have its id and others its name alone: those are found under the
/// name that they have.
#[tokio::test]
async fn events_of_an_ingest_that_knows_no_ids_are_found_by_the_name_that_they_have() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut streams = Vec::new();
    for (node, name) in [(&a, BY_OLD_NAME), (&b, BY_NEW_NAME)] {
        let url = node.at(&format!("/events/stream?{name}"));
        let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
        stream.next_event(SOON).await.unwrap();
        streams.push(stream);
    }
    for event in [
        issue_without_ids("e1", "rocket"),
        issue("e2", "rocket", 1),
        renamed("e3", "rocket", "missile", 1),
        issue_without_ids("e4", "missile"),
        issue("e5", "missile", 1),
        issue_without_ids("e6", "other"),
        issue("e7", "rocket", 2),
        issue_without_ids("e8", "missile"),
        issue("e9", "missile", 1),
    ] {
        world.tell(event).await;
    }
    let by_old = ["e1", "e2", "e3", "e5", "e9"];
    assert_eq!(next_ids(&mut streams[0], by_old.len()).await, by_old);
    let by_new = ["e3", "e4", "e5", "e8", "e9"];
    assert_eq!(next_ids(&mut streams[1], by_new.len()).await, by_new);
    let last = streams[1].last_id().unwrap().to_owned();
    let late = world.node().await;
    world.tell(issue_without_ids("e10", "missile")).await;
    for node in [&a, &late] {
        let url = node.at(&format!("/events/stream?{BY_NEW_NAME}&lastEventId={last}"));
        let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
        assert_eq!(next_ids(&mut stream, 1).await, ["e10"]);
    }
}

#[tokio::test]
async fn a_former_name_leads_to_its_repository_until_another_has_it() {
    let (world, a, b) = EdgeWorld::two().await;
    world.tell(issue("e1", "rocket", 1)).await;
    world.tell(renamed("e2", "rocket", "missile", 1)).await;
    world.tell(issue("e3", "missile", 1)).await;
    let late = world.node().await;
    for (n, node) in [&a, &b, &late].into_iter().enumerate() {
        until("the edge has followed", || async {
            let ids = ids(node, None, &replay(BY_OLD_NAME)).await;
            ids.len() == 3 + n && ids[..3] == ["e1", "e2", "e3"]
        })
        .await;
        let recent = ids(node, None, &format!("/events/recent?{BY_OLD_NAME}")).await;
        assert_eq!(recent[n..], ["e3", "e2", "e1"]);
        // Whoever asks now for the former name is shown what comes, too.
        let url = node.at(&format!("/events/stream?{BY_OLD_NAME}"));
        let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
        stream.next_event(SOON).await.unwrap();
        let id = format!("live{n}");
        world.tell(issue(&id, "missile", 1)).await;
        assert_eq!(next_ids(&mut stream, 1).await, [id]);
    }
}

#[tokio::test]
async fn a_session_that_comes_back_on_another_edge_still_means_what_it_named() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let filter = json!({ "filters": [{ "owner": "acme", "repo": "Rocket" }] });
    let call = client.call_tool(&a.url, "subscribe_to_events", filter);
    assert_ne!(call.await.unwrap()["isError"], true);
    let uri = "github://issues/ACME/rocket/7";
    client.subscribe(&a.url, uri).await.unwrap();
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    world.tell(issue("e1", "rocket", 1)).await;
    world.tell(renamed("e2", "rocket", "missile", 1)).await;
    world.tell(issue("e3", "rocket", 2)).await;
    world.tell(issue("e4", "missile", 1)).await;
    let mut seen = told(&mut stream, 5).await;
    assert_eq!(seen, [uri, "e1", "e2", uri, "e4"]);
    let last = stream.last_id().unwrap().to_owned();
    drop((stream, a));
    world.tell(issue("e5", "missile", 1)).await;
    let late = world.node().await;
    for (n, node) in [&b, &late].into_iter().enumerate() {
        let mut stream = client.open_stream(&node.url, Some(&last)).await.unwrap();
        let (other, own) = (format!("other{n}"), format!("own{n}"));
        world.tell(issue(&other, "rocket", 2)).await;
        world.tell(issue(&own, "missile", 1)).await;
        seen = told(&mut stream, 4 + 2 * n).await;
        seen.retain(|told| told != uri);
        let expected = ["e5", "own0", "own1"];
        assert_eq!(seen, expected[..2 + n]);
    }
}

/// What a session's stream tells next: ids of events, and URIs of resources.
async fn told(stream: &mut SseStream, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < count {
        let event = stream.next_event(SOON).await.unwrap();
        let Some(data) = event.data.filter(|data| !data.is_empty()) else {
            continue;
        };
        let message: Value = serde_json::from_str(&data).unwrap();
        let params = &message["params"];
        let id = params["data"]["event"]["id"].as_str();
        let id = id.or_else(|| params["data"]["id"].as_str());
        told.extend(id.or_else(|| params["uri"].as_str()).map(ToOwned::to_owned));
    }
    told
}

/// The text of the notes in an answer, or in the data of `connected`.
fn notes(answer: &Value) -> String {
    let notes = answer["notes"].as_array().cloned().unwrap_or_default();
    let notes = notes.iter().filter_map(Value::as_str);
    notes.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_answer_by_a_name_that_changed_hands_says_what_it_means_and_leads_to_the_former_holder()
 {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&b).await;
    let http = reqwest::Client::new();
    let get = async |node: &Node, path: &str| -> Value {
        http.get(node.at(path))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    world.tell(issue("e1", "rocket", 1)).await;
    world.tell(renamed("e2", "rocket", "missile", 1)).await;
    let body = json!({ "filters": { "owner": "acme", "repo": "rocket" } });
    let post = http.post(a.at("/events/subscribe")).json(&body);
    let before: Value = post.send().await.unwrap().json().await.unwrap();
    assert_eq!(notes(&before), "", "{before}");
    world.tell(issue("e3", "rocket", 2)).await;
    for node in [&a, &b] {
        until("the edge has followed", || async {
            ids(node, None, &replay(BY_OLD_NAME)).await == ["e3"]
        })
        .await;
    }
    let check = |what: &str, answer: &Value| {
        let told = notes(answer);
        let expected = "means the one with id 2 here. For the events of the others, filter by `acme/missile` (id 1).";
        assert!(told.ends_with(expected), "{what}: {answer}");
    };
    for path in [replay(BY_OLD_NAME), format!("/events/recent?{BY_OLD_NAME}")] {
        check(&path, &get(&a, &path).await);
    }
    let url = b.at(&format!("/events/stream?{BY_OLD_NAME}"));
    let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
    let connected = stream.next_event(SOON).await.unwrap();
    check("connected", &connected.json().unwrap());
    let post = http.post(b.at("/events/subscribe")).json(&body);
    let made: Value = post.send().await.unwrap().json().await.unwrap();
    check("subscribe", &made);
    // One that was made before still means the former holder.
    let address = format!(
        "/events/subscribe/{}",
        before["subscriptionId"].as_str().unwrap()
    );
    let told = notes(&get(&a, &address).await);
    assert!(told.contains("id 1 here, now acme/missile"), "{told}");
    let filter = json!({ "owner": "acme", "repo": "rocket" });
    for (tool, more) in [
        ("get_recent_events", json!({})),
        ("replay_events", json!({})),
        ("wait_for_events", json!({ "maxWaitSeconds": 1 })),
        ("subscribe_to_events", json!({})),
    ] {
        let mut arguments = json!({ "filters": [filter] });
        arguments
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let result = client.call_tool(&b.url, tool, arguments).await.unwrap();
        check(tool, &result["structuredContent"]);
    }
    for (uri, has_note) in [
        ("github://events/acme/rocket", true),
        ("github://events/acme/missile", false),
    ] {
        let read = client.read_resource(&b.url, uri).await.unwrap();
        let text = read[0]["text"].as_str().unwrap();
        let list: Value = serde_json::from_str(text).unwrap();
        match has_note {
            true => check(uri, &list),
            false => assert_eq!(notes(&list), "", "{uri}"),
        }
    }
    let path = format!("/events/recent?{BY_NEW_NAME}");
    assert_eq!(notes(&get(&a, &path).await), "", "one holder");
}

#[tokio::test]
async fn a_session_that_subscribed_under_both_names_hears_of_each_once_on_every_edge() {
    let (world, a, b) = EdgeWorld::two().await;
    world.tell(issue("e1", "rocket", 1)).await;
    world.tell(renamed("e2", "rocket", "missile", 1)).await;
    world.settle(&a).await;
    world.settle(&b).await;
    let uri = |repo: &str| format!("github://issues/acme/{repo}/7");
    let expected = [uri("missile"), uri("rocket")];
    let client = connect(&a).await;
    for uri in &expected {
        client.subscribe(&a.url, uri).await.unwrap();
    }
    let modern = ModernClient::new();
    let wanted = json!({ "resourceSubscriptions": expected });
    let mut listening = modern.listen(&b.url, wanted).await.unwrap();
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    world.tell(issue("e3", "missile", 1)).await;
    let mut seen = told(&mut stream, 2).await;
    seen.sort();
    assert_eq!(seen, expected, "live");
    let mut heard = Vec::new();
    for _ in 0..2 {
        let told = listening.next(SOON).await.unwrap();
        heard.push(told.params()["uri"].as_str().unwrap().to_owned());
    }
    heard.sort();
    assert_eq!(heard, expected, "listen");
    let last = stream.last_id().unwrap().to_owned();
    drop(stream);
    world.tell(issue("e4", "missile", 1)).await;
    world.tell(issue("e5", "rocket", 2)).await;
    let mut stream = client.open_stream(&b.url, Some(&last)).await.unwrap();
    let mut seen = told(&mut stream, 2).await;
    seen.sort();
    assert_eq!(seen, expected, "resumed elsewhere");
    world.tell(issue("e6", "missile", 1)).await;
    let mut seen = told(&mut stream, 2).await;
    seen.sort();
    assert_eq!(seen, expected, "no more of e4, nothing of e5");
}

#[tokio::test]
async fn a_listener_and_a_call_that_waits_go_on_with_what_they_named() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = ModernClient::new();
    let uri = "github://events/acme/rocket";
    let wanted = json!({ "resourceSubscriptions": [uri] });
    let mut listening = client.listen(&b.url, wanted).await.unwrap();
    let filter = json!({ "owner": "acme", "repo": "rocket", "resourceType": "issue" });
    let wait = json!({ "filters": [filter], "maxWaitSeconds": 30 });
    let waiting = client.call_tool(&a.url, "wait_for_events", wait);
    let happens = async {
        until("the call waits", || async {
            a.metric("forgewire_edge_match_cost") > 0
        })
        .await;
        world.tell(renamed("e1", "rocket", "missile", 1)).await;
        world.tell(issue("e2", "rocket", 2)).await;
        world.tell(issue("e3", "missile", 1)).await;
    };
    let (waited, ()) = tokio::join!(waiting, happens);
    let waited = waited.unwrap();
    assert!(
        waited.to_string().contains("\\\"e3\\\"") || waited.to_string().contains("\"e3\""),
        "{waited}"
    );
    assert!(!waited.to_string().contains("\"e2\""), "{waited}");
    // The rename and the event after it.
    for _ in 0..2 {
        let told = listening.next(SOON).await.unwrap();
        assert_eq!(told.params()["uri"].as_str(), Some(uri));
    }
    world.tell(issue("e4", "rocket", 2)).await;
    world.tell(issue("e5", "missile", 1)).await;
    let told = listening.next(SOON).await.unwrap();
    assert_eq!(told.params()["uri"].as_str(), Some(uri));
    let more = tokio::time::timeout(std::time::Duration::from_millis(200), listening.next(SOON));
    assert!(
        more.await.is_err(),
        "of the other repository it is told nothing"
    );
}

/// An edge under tokens.
async fn node_with_tokens(world: &EdgeWorld, tokens: &Tokens) -> Node {
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    world
        .node_for(&EdgeConfig::default(), world.bus.clone(), auth)
        .await
}

fn write(tokens: &Tokens, with_new: bool) {
    let mut entries = vec![
        (OLD, "old", ROCKET),
        (OF_OWNER, "owner", "owners = [\"acme\"]"),
    ];
    entries.extend(with_new.then_some((NEW, "new", ROCKET)));
    tokens.write(&entries);
}

#[tokio::test]
async fn a_repository_under_a_former_name_is_another_one_for_tokens_on_every_edge_and_after_a_restart()
 {
    let (world, tokens) = (EdgeWorld::new().await, Tokens::new());
    write(&tokens, false);
    let (a, b) = (
        node_with_tokens(&world, &tokens).await,
        node_with_tokens(&world, &tokens).await,
    );
    let mut stream = sse::open(&a.at("/events/stream"), headers(OLD, None))
        .await
        .unwrap();
    stream.next_event(SOON).await.unwrap();
    world.tell(issue("e1", "rocket", 1)).await;
    assert_eq!(next_ids(&mut stream, 1).await, ["e1"]);
    for node in [&a, &b] {
        until("the name is pinned", || async {
            ids(node, Some(OLD), &replay("")).await == ["e1"] && world.has_pins("old").await
        })
        .await;
    }
    // Nobody looks while it is renamed, and another one takes its name.
    drop((stream, a, b));
    world.tell(renamed("e2", "rocket", "missile", 1)).await;
    world.tell(issue("e3", "missile", 1)).await;
    world.tell(issue("e4", "rocket", 2)).await;
    write(&tokens, true);
    let (a, b) = (
        node_with_tokens(&world, &tokens).await,
        node_with_tokens(&world, &tokens).await,
    );
    for node in [&a, &b] {
        assert_eq!(ids(node, Some(OLD), &replay("")).await, ["e1", "e2", "e3"]);
        assert_eq!(ids(node, Some(NEW), &replay("")).await, ["e4"]);
        let all = ["e1", "e2", "e3", "e4"];
        assert_eq!(ids(node, Some(OF_OWNER), &replay("")).await, all);
    }
    let mut streams = Vec::new();
    for (node, token) in [(&a, OLD), (&b, NEW)] {
        let url = node.at("/events/stream");
        let mut stream = sse::open(&url, headers(token, None)).await.unwrap();
        stream.next_event(SOON).await.unwrap();
        streams.push(stream);
    }
    for event in [
        issue("e5", "missile", 1),
        issue("e6", "rocket", 2),
        transferred("e7", "rocket", ("octo", 6), 2),
        issue("e8", "missile", 1),
    ] {
        world.tell(event).await;
    }
    let moved = StoredEvent {
        facts: Arc::new(EventFacts {
            owner: Some("octo".to_owned()),
            ids: GithubIds {
                owner: Some(OwnerId(6)),
                repository: Some(RepositoryId(2)),
                resource: None,
            },
            ..EventFacts::clone(&issue("e9", "rocket", 2).facts)
        }),
        ..issue("e9", "rocket", 2)
    };
    world.tell(with_json(moved)).await;
    assert_eq!(next_ids(&mut streams[0], 2).await, ["e5", "e8"]);
    assert_eq!(next_ids(&mut streams[1], 3).await, ["e6", "e7", "e9"]);
    // Its owner learns that it has left, and sees no more of it.
    for node in [&a, &b] {
        let all = ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"];
        until("the edge has followed", || async {
            ids(node, Some(OF_OWNER), &replay("")).await == all
        })
        .await;
    }
}

#[tokio::test]
async fn an_edge_begins_with_the_names_that_are_stored_though_the_log_has_none_of_them() {
    let (world, tokens) = (EdgeWorld::keeping(20).await, Tokens::new());
    write(&tokens, true);
    let a = node_with_tokens(&world, &tokens).await;
    world.tell(issue("e1", "rocket", 1)).await;
    until("the names are pinned", || async {
        world.has_pins("old").await && world.has_pins("new").await
    })
    .await;
    world.tell(renamed("e2", "rocket", "missile", 1)).await;
    until("the rename is stored", || async {
        world.book().await.contains("missile")
    })
    .await;
    drop(a);
    for n in 0..40 {
        world.tell(issue(&format!("f{n}"), "other", 9)).await;
    }
    let b = node_with_tokens(&world, &tokens).await;
    world.tell(issue("e3", "rocket", 2)).await;
    world.tell(issue("e4", "missile", 1)).await;
    until("the edge has followed", || async {
        ids(&b, Some(OLD), &replay("")).await == ["e4"]
    })
    .await;
    assert_eq!(ids(&b, Some(OF_OWNER), &replay(BY_OLD_NAME)).await, ["e3"]);
    assert_eq!(ids(&b, Some(OF_OWNER), &replay(BY_NEW_NAME)).await, ["e4"]);
}

#[tokio::test]
async fn a_subscription_that_begins_in_the_past_means_what_its_names_mean_when_it_is_made() {
    let (world, a, b) = EdgeWorld::two().await;
    world.tell(issue("e0", "other", 9)).await;
    let since = {
        let url = a.at("/events/recent?limit=1");
        let answer: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        answer["nextCursor"].as_str().unwrap().to_owned()
    };
    for event in [
        issue("e1", "rocket", 1),
        renamed("e2", "rocket", "missile", 1),
        issue("e3", "rocket", 2),
    ] {
        world.tell(event).await;
    }
    for (repo, wanted) in [
        ("acme/rocket", &["e3", "e4"][..]),
        ("acme/missile", &["e1", "e2", "e5"]),
    ] {
        let asked = json!({ "filters": [{ "repo": repo }], "since": since });
        let request = reqwest::Client::new().post(b.at("/events/subscribe"));
        let made: Value = request
            .json(&asked)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let id = made["subscriptionId"].as_str().unwrap();
        if repo == "acme/rocket" {
            world.tell(issue("e4", "rocket", 2)).await;
            world.tell(issue("e5", "missile", 1)).await;
        }
        for node in [&a, &b] {
            let url = node.at(&format!(
                "/events/stream?subscription={id}&lastEventId={since}"
            ));
            let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
            assert_eq!(next_ids(&mut stream, wanted.len()).await, wanted, "{repo}");
        }
    }
}
