//! Filters and URIs as people write them, and the worst that one client may ask for.

use model::{
    SessionId,
    limits::{MAX_SESSION_COST, MAX_SUBSCRIPTION_BYTES, MAX_SUBSCRIPTIONS},
};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use testkit::{
    mcp_client::{McpClient, ModernClient},
    sse,
};

use super::world::*;

async fn get(url: Url) -> (StatusCode, Value) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn ids(list: &Value) -> Vec<&str> {
    let events = list["events"].as_array().unwrap();
    let ids = events.iter().map(|event| event["id"].as_str().unwrap());
    ids.collect()
}

/// Calls a tool; returns its data, or the text of its error.
async fn tool(
    client: &McpClient,
    node: &Node,
    name: &str,
    arguments: Value,
) -> Result<Value, String> {
    let result = client.call_tool(&node.url, name, arguments).await.unwrap();
    match result["isError"] == true {
        true => Err(result["content"][0]["text"].as_str().unwrap().to_owned()),
        false => Ok(result["structuredContent"].clone()),
    }
}

/// Subscribes with what `filters` makes of a number until the session refuses; returns the reason.
async fn fill(client: &McpClient, node: &Node, filters: impl Fn(usize) -> Value) -> String {
    for number in 0..=MAX_SUBSCRIPTIONS {
        let arguments = json!({ "filters": filters(number) });
        if let Err(reason) = tool(client, node, "subscribe_to_events", arguments).await {
            return reason;
        }
    }
    panic!("the session takes everything");
}

#[tokio::test]
async fn the_worst_subscriptions_of_a_client_are_bounded_and_others_get_their_events() {
    let (world, a, _b) = EdgeWorld::two().await;
    let filter = |tags: Vec<String>| json!({ "owner": "octo", "tags": tags });
    let many = |number: usize| {
        let one = |n: usize| {
            let tags = (1..32).map(|tag| format!("t{tag}"));
            filter(tags.chain([format!("{number} {n}")]).collect())
        };
        json!([one(1), one(2)])
    };
    let long = |number: usize| {
        let tag = |n: usize| format!("{number:02}{n:02}{}", "\u{1f680}".repeat(46));
        json!([filter((0..32).map(tag).collect())])
    };
    let mut streams = Vec::new();
    let (by_cost, by_bytes) = (connect(&a).await, connect(&a).await);
    let refused = [
        fill(&by_cost, &a, many).await,
        fill(&by_bytes, &a, long).await,
    ];
    for (client, (refused, bound)) in [by_cost, by_bytes].iter().zip(
        refused
            .into_iter()
            .zip([MAX_SESSION_COST, MAX_SUBSCRIPTION_BYTES]),
    ) {
        let names_it = refused.starts_with("filters: ") && refused.contains(&bound.to_string());
        assert!(
            names_it && refused.contains("end a subscription"),
            "{refused}"
        );
        let id = SessionId::new(client.session_id().unwrap()).unwrap();
        let session = world.stored_session(&id).await;
        assert!(session.subscription_bytes() <= MAX_SUBSCRIPTION_BYTES);
        let record = serde_json::to_vec(&session).unwrap().len();
        assert!(record <= MAX_SUBSCRIPTION_BYTES + 2048, "{record}");
        streams.push(client.open_stream(&a.url, None).await.unwrap());
    }
    let honest = connect(&a).await;
    subscribe(&honest, &a, "cat").await;
    let mut stream = honest.open_stream(&a.url, None).await.unwrap();
    let cost = a.metric("forgewire_edge_match_cost");
    assert!(cost <= 3 * MAX_SESSION_COST as u64, "{cost}");
    let before = a.metric("forgewire_edge_match_comparisons_total");
    let labels = (0..100).map(|n| format!("label {n}")).collect();
    let event = world.happens_with_labels("cat", labels).await;
    assert_eq!(next_events(&mut stream, 1).await, [event]);
    let work = a.metric("forgewire_edge_match_comparisons_total") - before;
    assert!(work <= cost, "{work} of {cost}");
    assert!(
        work > MAX_SESSION_COST as u64 / 2,
        "the filters are compared: {work}"
    );
}

#[tokio::test]
async fn a_name_is_understood_or_refused_by_name_in_tools_and_rest_alike() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let cat = world.happens("cat").await;
    world.happens("dog").await;
    for (field, value) in [
        ("repo", "octo/Cat"),
        ("repo", "https://github.com/Octo/cat"),
        ("repo", "https://github.com/octo/cat/issues/7"),
        ("resourceId", "github://issues/octo/cat/7"),
        ("owner", "git@github.com:octo/cat.git"),
        ("repo", "/octo/cat/"),
        ("repo", "octo/cat#7"),
        ("resourceId", "octo/cat#7"),
        ("repo", "gh:octo/cat.wiki"),
    ] {
        let filters = json!({ "filters": [{ field: value, "actor": "@Mona" }] });
        let found = tool(&client, &b, "get_recent_events", filters).await;
        assert_eq!(ids(&found.unwrap()), [cat.as_str()], "{value}");
        let mut url = a.at("/events/recent");
        url.query_pairs_mut()
            .append_pair(field, value)
            .append_pair("actor", "@Mona");
        let (status, found) = get(url).await;
        assert_eq!((status, ids(&found)), (StatusCode::OK, vec![cat.as_str()]));
    }
    for (field, value, fix) in [
        ("repo", "https://gitlab.com/octo/cat", "github.com"),
        ("repo", "octo/cat#x", "github.com"),
        ("repo", "@octo", "put it into owner"),
        ("owner", "the octo", "for instance octo"),
        ("actor", "mona@example.com", "for instance mona"),
        ("resourceId", "#7", "node id"),
        ("resourceId", "R_1:refs/heads/100%", "`%25`"),
        (
            "resourceId",
            "https://github.com/octo/cat/tree/main",
            "give owner, repo and number",
        ),
    ] {
        let filters = json!({ "filters": [{ field: value }] });
        for name in ["get_recent_events", "replay_events", "subscribe_to_events"] {
            let refused = tool(&client, &b, name, filters.clone()).await.unwrap_err();
            let named = format!("filters[0].{field}: ");
            assert!(
                refused.starts_with(&named) && refused.contains(fix),
                "{refused}"
            );
        }
        let mut url = a.at("/events/stream");
        url.query_pairs_mut().append_pair(field, value);
        let (status, refused) = get(url).await;
        let text = refused.to_string();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        assert!(text.contains(field) && text.contains(fix), "{text}");
    }
}

#[tokio::test]
async fn an_event_is_found_by_its_own_kind_id_and_action_on_every_surface() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    for (kind, id, action) in [
        ("branch", "R_1:refs/heads/f%C3%BCr", "push"),
        ("installation", "installation/77", "suspend"),
        ("quantum_leap", "QL_4", "leapt"),
        (
            "repository_dispatch",
            "R_1:repository_dispatch/x",
            "Deploy to Café",
        ),
    ] {
        let of = [
            ("resourceType", kind),
            ("resourceId", id),
            ("action", action),
        ];
        let at = |node: &Node, path: &str| {
            let mut url = node.at(path);
            url.query_pairs_mut().extend_pairs(of);
            url
        };
        let mut stream = sse::open(&at(&b, "/events/stream"), Default::default())
            .await
            .unwrap();
        let connected = stream.next_event(SOON).await.unwrap();
        let has_note = kind == "quantum_leap";
        let notes = &connected.json().unwrap()["notes"];
        assert_eq!(notes.is_array(), has_note, "{kind}: {notes}");
        let happened = world
            .happens_as(|facts| {
                facts.resource_type = model::ResourceType::open(kind);
                facts.resource_id = model::ResourceId::new(id).unwrap();
                facts.action = Some(action.to_owned());
            })
            .await;
        let told = stream.next_event(SOON).await.unwrap();
        assert_eq!(told.json().unwrap()["id"], happened.as_str(), "{kind}");
        let (status, found) = get(at(&a, "/events/recent")).await;
        assert_eq!(
            (status, ids(&found)),
            (StatusCode::OK, vec![happened.as_str()])
        );
        assert_eq!(found["notes"].is_array(), has_note, "{found}");
        let asked: serde_json::Map<_, _> = of
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        for name in ["get_recent_events", "replay_events"] {
            let found = tool(&client, &b, name, asked.clone().into()).await.unwrap();
            assert_eq!(ids(&found), [happened.as_str()], "{kind} {name}");
            assert_eq!(found["notes"].is_array(), has_note, "{found}");
        }
    }
}

#[tokio::test]
async fn labels_and_numbers_are_read_alike_in_rest_and_in_tools() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let label = "needs review, urgent";
    let event = world.happens_with_labels("cat", vec![label.into()]).await;
    world
        .happens_with_labels("cat", vec!["urgent".into()])
        .await;
    for tags in [r#""Needs review, urgent""#, r#"bug,"needs review, urgent""#] {
        let mut url = a.at("/events/recent");
        url.query_pairs_mut().append_pair("tags", tags);
        let (status, found) = get(url).await;
        assert_eq!(
            (status, ids(&found)),
            (StatusCode::OK, vec![event.as_str()])
        );
    }
    for one in [
        json!({ "number": "#7", "tags": [label] }),
        json!({ "number": 7, "tags": r#""needs review, urgent""# }),
        json!({ "tags": "urgent" }),
    ] {
        let found = tool(&client, &a, "replay_events", json!({ "filters": one })).await;
        assert_eq!(ids(&found.unwrap()).len(), 1, "a filter without its list");
    }
    for not_filters in [
        json!(["octo/cat"]),
        json!([["issue"]]),
        json!([null]),
        json!("octo"),
    ] {
        let filters = json!({ "filters": not_filters });
        let refused = tool(&client, &a, "replay_events", filters)
            .await
            .unwrap_err();
        assert!(refused.contains("acme/rocket"), "{refused}");
    }
    for (tags, fix) in [
        (r#""say "hi"""#, "doubled"),
        (label, "use a list of labels"),
    ] {
        let filters = json!({ "filters": [{ "tags": tags }] });
        let refused = tool(&client, &a, "get_recent_events", filters).await;
        let refused = refused.unwrap_err();
        assert!(
            refused.contains("filters[0].tags") && refused.contains(fix),
            "{refused}"
        );
    }
    for (name, value) in [("number", "#7"), ("number", " 7.0 ")] {
        let mut url = a.at("/events/recent");
        url.query_pairs_mut().append_pair(name, value);
        let (status, found) = get(url).await;
        assert_eq!((status, ids(&found).len()), (StatusCode::OK, 2));
    }
}

#[tokio::test]
async fn spellings_of_a_uri_are_one_resource_and_the_client_sees_its_own() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let spelt = "GITHUB://Events/%6Fcto/Cat/";
    client
        .subscribe(&a.url, "github://events/octo/cat")
        .await
        .unwrap();
    client.subscribe(&b.url, spelt).await.unwrap();
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    world.happens("cat").await;
    let told = next(&mut stream).await;
    assert_eq!(told.params()["uri"], spelt);
    quiet(&mut stream).await;
    client
        .unsubscribe(&b.url, "github://events/OCTO/cat")
        .await
        .unwrap();
    subscribe(&client, &b, "cat").await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    let event = world.happens("cat").await;
    assert_eq!(next_events(&mut stream, 1).await, [event]);
    for uri in [spelt, "github://issues/OCTO/cat/%37/"] {
        let contents = client.read_resource(&a.url, uri).await.unwrap();
        assert_eq!(contents[0]["uri"], uri);
    }
}

#[tokio::test]
async fn a_listener_that_spells_a_resource_twice_is_told_once() {
    let (world, a, _b) = EdgeWorld::two().await;
    let uris = ["GITHUB://events/octo", "github://events/OCTO/"];
    let filter = json!({ "resourceSubscriptions": uris });
    let mut stream = ModernClient::new().listen(&a.url, filter).await.unwrap();
    let honoured = json!({ "resourceSubscriptions": [uris[0]] });
    assert_eq!(stream.acknowledged_filter(), &honoured);
    for _ in 0..2 {
        world.happens("cat").await;
        let told = stream.next(SOON).await.unwrap();
        assert_eq!(told.params()["uri"], uris[0]);
    }
}

#[tokio::test]
async fn a_template_is_completed_in_any_spelling() {
    let (world, a, _b) = EdgeWorld::two().await;
    world.happens("cat").await;
    let client = connect(&a).await;
    for template in [
        "github://events/{owner}/{repo}",
        "GITHUB://EVENTS/{owner}/%7Brepo%7D/",
    ] {
        let params = json!({
            "ref": { "type": "ref/resource", "uri": template },
            "argument": { "name": "repo", "value": "c" },
            "context": { "arguments": { "owner": "@octo" } },
        });
        let result = client.call(&a.url, "completion/complete", params).await;
        assert_eq!(result.unwrap()["completion"]["values"], json!(["cat"]));
    }
}

#[tokio::test]
async fn an_open_stream_of_events_takes_the_same_spellings() {
    let (world, a, _b) = EdgeWorld::two().await;
    let mut url = a.at("/events/stream");
    url.query_pairs_mut()
        .append_pair("repo", "https://github.com/octo/cat/issues/7");
    let mut stream = sse::open(&url, Default::default()).await.unwrap();
    stream.next_event(SOON).await.unwrap();
    world.happens("dog").await;
    let event = world.happens("cat").await;
    let frame = stream.next_event(SOON).await.unwrap();
    assert!(frame.data.unwrap().contains(&format!("\"id\":\"{event}\"")));
}
