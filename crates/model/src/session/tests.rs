#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::{Epoch, Filter, Sequence};

/// A session as edges of every version store it.
#[test]
fn stored_names_stay_as_edges_of_other_versions_know_them() {
    let position = json!({ "epoch": 7, "sequence": 40 });
    let time = "2026-11-28T10:00:00.000Z";
    let stored = json!({
        "id": "s",
        "owner": "p",
        "protocol_version": "2025-11-25",
        "client_info": { "name": "agent" },
        "client_capabilities": { "roots": {} },
        "initialized": true,
        "created_at": time,
        "subscriptions": [{
            "id": "first",
            "filters": [{ "resourceType": "issue", "eventType": "created" }],
            "since": position,
            "created_at": time,
            "wish": 1,
        }],
        "resource_uris": { "github://issues/o/r/1": position },
        "resource_wishes": { "github://issues/o/r/1": 2 },
        "wishes": 2,
        "log_level": "info",
        "streamed": true,
        "stream_tag": 3,
        "ends_with_stream": false,
    });
    let session: Session = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(session.subscriptions[0].number, 1);
    assert_eq!(session.newest_subscription, 2);
    assert!(session.has_streamed);
    assert_eq!(serde_json::to_value(&session).unwrap(), stored);
}

#[test]
fn a_number_of_a_lost_time_is_not_given_out_again() {
    let at = Timestamp::from_unix_millis;
    assert_eq!(next_number(0, at(-1)), 1);
    assert_eq!(next_number(2, at(5)), 5000);
    assert_eq!(next_number(5000, at(5)), 5001);
    // The store lost number 6000 and gave out one more later.
    assert!(next_number(5000, at(7)) > next_number(5000, at(6)));
}

fn session() -> Session {
    Session {
        id: SessionId::new("s").unwrap(),
        owner: PrincipalId::new("p").unwrap(),
        protocol_version: "2025-11-25".into(),
        client_info: Value::Null,
        client_capabilities: Value::Null,
        initialized: true,
        created_at: Timestamp::default(),
        subscriptions: Vec::new(),
        resource_uris: BTreeMap::new(),
        resource_numbers: BTreeMap::new(),
        newest_subscription: 0,
        recent_subscriptions: Vec::new(),
        log_level: None,
        channel: None,
        has_streamed: false,
        streamed_subscription: None,
        stream_tag: 0,
        ends_with_stream: false,
        times: None,
        reader_sees: None,
        is_connection: false,
        broadcasts_through: Sequence::START,
    }
}

#[test]
fn a_number_that_the_store_lost_is_told_from_one_that_was_ended() {
    let mut session = session();
    let at = Timestamp::from_unix_millis;
    let first = session.next_subscription_number(at(1));
    let saved = session.clone();
    let lost = session.next_subscription_number(at(2));
    assert!(session.has_had_subscription(lost));
    session = saved;
    assert!(!session.has_had_subscription(lost));
    let later = session.next_subscription_number(at(3));
    assert!(
        later > lost && !session.has_had_subscription(lost),
        "by identity"
    );
    for known in [0, first, later] {
        assert!(session.has_had_subscription(known));
    }
    for n in 4..200 {
        session.next_subscription_number(at(n));
    }
    assert_eq!(session.recent_subscriptions.len(), MAX_RECENT_SUBSCRIPTIONS);
    assert!(
        session.has_had_subscription(first),
        "forgotten, so it is believed"
    );
    assert!(!session.has_had_subscription(session.newest_subscription + 1));
}

#[test]
fn the_record_of_an_older_build_goes_by_order_alone() {
    let mut session = Session {
        newest_subscription: 7,
        ..session()
    };
    assert!(session.has_had_subscription(5) && !session.has_had_subscription(8));
    let first = session.next_subscription_number(Timestamp::from_unix_millis(1));
    for known in [5, 7, first] {
        assert!(session.has_had_subscription(known), "{known}");
    }
    for unknown in [8, first + 1] {
        assert!(!session.has_had_subscription(unknown), "{unknown}");
    }
}

fn position(sequence: u64) -> LogPosition {
    LogPosition {
        epoch: Epoch(1),
        sequence: Sequence(sequence),
        tag: None,
    }
}

/// Subscribes to `filters` until the session refuses; returns its reason.
fn fill(session: &mut Session, filters: &[Filter]) -> SubscriptionBound {
    for _ in 1..1000 {
        let before = session.clone();
        let new = EventSubscription {
            id: SubscriptionId::new("sub").unwrap(),
            filters: FilterSet::new(filters.to_vec()).unwrap(),
            since: position(1),
            created_at: Timestamp::default(),
            number: 0,
            expires_at: None,
        };
        if let Err(bound) = session.subscribe(new, Timestamp::default()) {
            assert_eq!(*session, before, "a refusal changes nothing");
            return bound;
        }
    }
    panic!("the session takes everything");
}

#[test]
fn the_worst_subscriptions_stay_within_each_bound() {
    let narrow = |tags: Vec<String>| Filter {
        owner: Some("o".repeat(39)),
        repo: Some("r".repeat(100)),
        tags,
        ..Filter::default()
    };
    let short = |n: usize| (0..n).map(|n| n.to_string()).collect();
    let long = |n: usize| (0..n).map(|n| format!("{n:02}{}", "\u{1f680}".repeat(48)));
    for (filters, bound) in [
        (vec![], SubscriptionBound::Subscriptions),
        (vec![narrow(short(32)); 64], SubscriptionBound::Cost),
        (vec![narrow(long(32).collect())], SubscriptionBound::Bytes),
    ] {
        let mut session = session();
        assert_eq!(fill(&mut session, &filters), bound);
        assert!(session.subscriptions.len() <= MAX_SUBSCRIPTIONS);
        assert!(session.subscription_bytes() <= MAX_SUBSCRIPTION_BYTES);
        let costs = session.subscriptions.iter();
        assert!(costs.map(|s| s.filters.cost()).sum::<usize>() <= MAX_SESSION_COST);
    }
}

#[test]
fn the_longest_resources_stay_within_the_bytes_and_short_ones_reach_their_number() {
    for (repo, bound) in [
        ("r", SubscriptionBound::Resources),
        (&"r".repeat(100), SubscriptionBound::Bytes),
    ] {
        let mut session = session();
        let refused = (1..1000).find_map(|number| {
            let uri = format!("github://issues/{}/{repo}/{number}", "o".repeat(39));
            let before = session.clone();
            let refused = session.subscribe_to_resource(&uri, position(1), Timestamp::default());
            assert!(
                refused.is_ok() || session == before,
                "a refusal changes nothing"
            );
            refused.err()
        });
        assert_eq!(refused, Some(bound));
        assert!(session.subscription_bytes() <= MAX_SUBSCRIPTION_BYTES);
    }
}

#[test]
fn a_resource_is_one_however_its_uri_is_spelt() {
    let mut session = session();
    for (uri, since) in [("github://events/Octo", 1), ("GITHUB://events/%6Fcto/", 2)] {
        session
            .subscribe_to_resource(uri, position(since), Timestamp::default())
            .unwrap();
    }
    let known: Vec<_> = session.resource_uris.iter().collect();
    let spelt = "GITHUB://events/%6Fcto/".to_owned();
    assert_eq!(known, [(&spelt, &position(1))], "changes since the first");
    assert_eq!(session.resource_numbers.len(), 1);
    session.unsubscribe_from_resource("github://EVENTS/octo");
    assert!(session.resource_uris.is_empty() && session.resource_numbers.is_empty());
    // A URI of another scheme has one spelling.
    session
        .subscribe_to_resource("test://A", position(1), Timestamp::default())
        .unwrap();
    session.unsubscribe_from_resource("test://a");
    assert_eq!(session.resource_uris.len(), 1);
}

#[test]
fn a_subscription_lives_in_its_session_until_the_end_that_was_chosen_for_it() {
    let mut session = session();
    let at = Timestamp::from_unix_millis;
    for (id, expires_at) in [
        ("kept", None),
        ("later", Some(at(9))),
        ("soon", Some(at(5))),
    ] {
        let new = EventSubscription {
            id: SubscriptionId::new(id).unwrap(),
            filters: FilterSet::all(),
            since: position(1),
            created_at: at(1),
            number: 0,
            expires_at,
        };
        session.subscribe(new, at(1)).unwrap();
    }
    let newest = session.newest_subscription;
    for (now, ids, next) in [
        (4, &["kept", "later", "soon"][..], Some(at(5))),
        (5, &["kept", "later"], Some(at(9))),
        (9, &["kept"], None),
    ] {
        session.end_subscriptions(at(now));
        let left = session.subscriptions.iter().map(|own| own.id.as_str());
        assert_eq!(left.collect::<Vec<_>>(), ids);
        assert_eq!(session.next_end(), next);
        assert_eq!(session.newest_subscription, newest, "no number comes again");
    }
}
