//! What happened to what the caller follows.

use model::{EventSubscription, Filter, FilterSet, Sequenced, Session};

use super::{
    budgets::{ids_of, largest_events, paged},
    *,
};

const TOOL: &str = "get_subscribed_events";

/// A server, its log, and the hub that follows it.
struct Followed {
    server: OfferRegistry,
    log: Arc<StoredLog<MemoryLogStore>>,
    hub: Arc<Hub>,
    next: u64,
}

impl Followed {
    async fn start() -> Self {
        let earlier = vec![event(1, "mine"), event(2, "theirs")];
        let (server, log, hub) = following_server(earlier, Toolset::new("none")).await;
        Self {
            server,
            log,
            hub,
            next: 3,
        }
    }

    /// An event of an owner; returns its id.
    async fn happens(&mut self, owner: &str) -> String {
        let item = event(self.next, owner);
        self.next += 1;
        self.comes(item).await
    }

    async fn comes(&self, item: StoredEvent) -> String {
        self.log.append(vec![item.clone()]).await.unwrap();
        let sequence = self.log.head().await.unwrap().last;
        let id = item.facts.id.to_string();
        self.hub
            .apply(event_flow::follow::Followed::Events(vec![Sequenced {
                sequence,
                item,
            }]));
        id
    }

    async fn subscribe(&self, caller: &Caller, client: &str, owner: &str) -> String {
        let asked = json!({ "clientId": client, "owner": owner });
        let made = call(&self.server, caller, "subscribe_to_events", asked).await;
        let id = made["structuredContent"]["subscriptionId"].as_str();
        id.unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    async fn ask(&self, caller: &Caller, arguments: Value) -> Value {
        let told = call(&self.server, caller, TOOL, arguments).await;
        assert_ne!(told["isError"], true, "{told}");
        told
    }
}

#[tokio::test]
async fn the_newest_events_of_ones_own_subscriptions_come_with_their_ids() {
    let mut world = Followed::start().await;
    let (me, other) = (
        caller(Visibility::all()),
        caller_named("other", Visibility::all()),
    );
    let none = world.ask(&me, json!({})).await;
    let note = none["structuredContent"]["notes"][0].as_str().unwrap();
    assert!(note.contains("call subscribe_to_events"), "{note}");
    let mine = world.subscribe(&me, "planner", "mine").await;
    let all = world.subscribe(&me, "planner", "theirs").await;
    let also = world.subscribe(&me, "other", "mine").await;
    let quiet = world.ask(&me, json!({})).await["structuredContent"].take();
    assert_eq!(
        (&quiet["subscriptions"], &quiet["count"]),
        (&json!(3), &json!(0))
    );
    assert!(
        quiet["notes"][0]
            .as_str()
            .unwrap()
            .contains("nothing has happened"),
        "{quiet}"
    );
    let first = world.happens("mine").await;
    world.happens("nobody").await;
    let second = world.happens("theirs").await;
    // Not what happened before it subscribed.
    let told = world.ask(&me, json!({})).await;
    assert_eq!(ids(&told), [&second, &first].map(String::as_str));
    let events = &told["structuredContent"]["events"];
    assert_eq!(events[0]["subscriptionIds"], json!([all]));
    assert_eq!(events[1]["subscriptionIds"], json!([mine, also]));
    for (arguments, expected) in [
        (json!({ "subscriptionId": mine }), vec![&first]),
        (json!({ "clientId": " planner " }), vec![&second, &first]),
        (json!({ "clientId": "other" }), vec![&first]),
        (json!({ "cursor": quiet["cursor"] }), vec![&first, &second]),
        (json!({ "limit": 1 }), vec![&second]),
    ] {
        let told = world.ask(&me, arguments.clone()).await;
        let expected: Vec<_> = expected.into_iter().map(String::as_str).collect();
        assert_eq!(ids(&told), expected, "{arguments}");
    }
    let newest = world.ask(&me, json!({ "limit": 1 })).await;
    let older = json!({ "before": newest["structuredContent"]["previousCursor"] });
    assert_eq!(ids(&world.ask(&me, older).await), [first.as_str()]);
    // Another principal has none of them.
    let told = world.ask(&other, json!({})).await;
    assert_eq!(ids(&told), [""; 0]);
    for wrong in [
        json!({ "subscriptionId": mine }),
        json!({ "subscriptionId": "no such" }),
    ] {
        let refused = call(&world.server, &other, TOOL, wrong.clone()).await;
        let text = refused["content"][0]["text"].as_str().unwrap();
        assert!(
            text.contains("no such subscription of yours"),
            "{wrong}: {text}"
        );
    }
    let both = json!({ "subscriptionId": mine, "clientId": "planner" });
    let refused = call(&world.server, &me, TOOL, both).await;
    assert_eq!(refused["isError"], true, "{refused}");
}

#[tokio::test]
async fn the_caller_sees_what_it_may_see_whatever_it_follows() {
    let mut world = Followed::start().await;
    let me = caller(Visibility::only(["mine"], []).unwrap());
    let made = call(
        &world.server,
        &me,
        "subscribe_to_events",
        json!({ "clientId": "all" }),
    );
    assert_ne!(made.await["isError"], true);
    world.happens("theirs").await;
    let seen = world.happens("mine").await;
    assert_eq!(ids(&world.ask(&me, json!({})).await), [seen.as_str()]);
}

/// The subscriptions of the session count too, and one that both have counts once.
#[tokio::test]
async fn a_session_has_its_own_subscriptions_beside_those_that_are_kept() {
    let mut world = Followed::start().await;
    let kept = world
        .subscribe(&caller(Visibility::all()), "planner", "mine")
        .await;
    let since = world.hub.position();
    let subscription = |id: &str, owner: &str, number| EventSubscription {
        id: SubscriptionId::new(id).unwrap(),
        filters: FilterSet::new(vec![Filter {
            owner: Some(owner.to_owned()),
            ..Filter::default()
        }])
        .unwrap(),
        since,
        created_at: Timestamp::default(),
        number,
        expires_at: None,
    };
    let session = json!({
        "id": "s", "owner": "me", "protocol_version": "2025-11-25", "client_info": {},
        "client_capabilities": {}, "initialized": true, "created_at": Timestamp::default(),
        "subscriptions": [], "resource_uris": {}, "streamed": false,
    });
    let mut session: Session = serde_json::from_value(session).unwrap();
    session.subscriptions = vec![
        subscription(&kept, "mine", 1),
        subscription("of-session", "theirs", 2),
    ];
    let me = Caller {
        client: CallClient {
            session: Some(Arc::new(session)),
            ..CallClient::default()
        }
        .into(),
        ..caller(Visibility::all())
    };
    let (first, second) = (world.happens("mine").await, world.happens("theirs").await);
    let told = world.ask(&me, json!({})).await;
    assert_eq!(ids(&told), [&second, &first].map(String::as_str));
    let told = &told["structuredContent"];
    assert_eq!(told["subscriptions"], 2);
    assert_eq!(told["events"][1]["subscriptionIds"], json!([kept]));
    let one = world
        .ask(&me, json!({ "subscriptionId": "of-session" }))
        .await;
    assert_eq!(ids(&one), [second.as_str()]);
}

/// A thousand subscriptions that are all compared with every event: each answer examines a part, and goes on.
#[tokio::test]
async fn a_thousand_subscriptions_cost_a_bounded_part_of_the_log_at_a_time() {
    let mut world = Followed::start().await;
    let me = caller(Visibility::all());
    for n in 0..1000 {
        let labels: Vec<_> = (0..30).map(|tag| format!("label {n} {tag}")).collect();
        let asked = json!({ "clientId": "many", "filters": [{ "tags": labels }] });
        let made = call(&world.server, &me, "subscribe_to_events", asked).await;
        assert_ne!(made["isError"], true, "{made}");
    }
    let wanted = world.subscribe(&me, "many", "mine").await;
    let first = world.happens("mine").await;
    for _ in 0..5000 {
        world.happens("nobody").await;
    }
    let last = world.happens("mine").await;
    let (mut found, mut before, mut calls) = (Vec::new(), Value::Null, 0);
    loop {
        let began = std::time::Instant::now();
        let told = world.ask(&me, json!({ "before": before })).await;
        println!("{:?}", began.elapsed());
        calls += 1;
        found.extend(ids(&told).into_iter().map(str::to_owned));
        let told = &told["structuredContent"];
        for event in told["events"].as_array().unwrap() {
            assert_eq!(event["subscriptionIds"], json!([wanted]));
        }
        before = told["previousCursor"].clone();
        if told["hasMore"] == false {
            break;
        }
    }
    assert_eq!(found, [last, first]);
    assert!((2..60).contains(&calls), "{calls} calls");
}

/// An event that a thousand want names some of them, and says how many more there are.
#[tokio::test]
async fn an_event_that_very_many_want_is_within_the_answer() {
    let mut world = Followed::start().await;
    let me = caller(Visibility::all());
    for _ in 0..1000 {
        world.subscribe(&me, "many", "mine").await;
    }
    for _ in 0..100 {
        world.happens("mine").await;
    }
    let told = world
        .ask(&me, json!({ "limit": 100, "maxBytes": 4096 }))
        .await;
    let text = told["content"][0]["text"].as_str().unwrap();
    assert!(text.len() <= 4096, "{}", text.len());
    let event = &told["structuredContent"]["events"][0];
    assert_eq!(event["subscriptionIds"].as_array().unwrap().len(), 8);
    assert_eq!(event["moreSubscriptions"], 992);
}

/// As every tool that shows events: an answer is one that an agent can read, and pages leave nothing out.
#[tokio::test]
async fn an_answer_fits_an_agent_whatever_the_events_are() {
    let world = Followed::start().await;
    let me = caller(Visibility::all());
    let start = world.ask(&me, json!({})).await["structuredContent"]["cursor"].take();
    for client in ["one", "two"] {
        let everything = json!({ "clientId": client });
        let made = call(&world.server, &me, "subscribe_to_events", everything).await;
        assert_ne!(made["isError"], true, "{made}");
    }
    let events = largest_events();
    let all = ids_of(&events);
    for event in events {
        world.comes(event).await;
    }
    for include in [json!([]), json!(["data"]), json!(["urls"])] {
        let newest = json!({ "include": include });
        assert_eq!(paged(&world.server, &me, TOOL, newest).await, all);
    }
    let (mut found, mut cursor) = (Vec::new(), start);
    loop {
        let told = world
            .ask(&me, json!({ "cursor": cursor, "maxBytes": 4096 }))
            .await;
        found.extend(ids(&told).into_iter().map(str::to_owned));
        cursor = told["structuredContent"]["cursor"].clone();
        if told["structuredContent"]["hasMore"] == false {
            break;
        }
    }
    assert_eq!(found, all);
}
