//! The worst subscriptions that one principal may have: the work of an event stays within its bound, others
//! get their events, and nothing waits for the comparisons.

use std::{collections::BTreeSet, sync::Arc};

use event_flow::follow::Followed;
use futures_util::FutureExt;
use model::{
    EventSubscription, Filter, FilterSet, LogPosition, PrincipalId, Sequence, Sequenced, Session,
    SessionId, StoredEvent, SubscriptionBound, SubscriptionId, Timestamp,
    limits::{MAX_FILTER_TAGS, MAX_SESSION_COST},
};

use super::{
    budget::MatchBound,
    error::HubError,
    feed::Feed,
    fixture::{self, GatedLog},
    format::{StreamEnd, StreamFormat},
    hub::{Hub, StreamRequest, StreamStart},
    interest::{InterestLog, StreamInterest},
    limits::{MAX_EDGE_COST, MAX_PRINCIPAL_COST},
    news::NewsSelection,
    ring::{Ring, RingEntry, RingRead},
    timeline::LogTimeline,
};
use crate::metrics::StreamKind;
use access::{NameDirectory, Permissions, Principal, Visibility};

/// Labels of an event at GitHub's own bound.
const LABELS: usize = 100;

fn principal(name: &str) -> Arc<Principal> {
    let id = PrincipalId::new(name).unwrap();
    let principal = Principal::new(id, Permissions::default(), Visibility::all());
    Arc::new(principal)
}

/// An event with as many labels as there can be.
fn event(sequence: u64) -> Sequenced<StoredEvent> {
    let mut event = fixture::event(sequence, "cat", 0);
    Arc::make_mut(&mut event.item.facts).tags = (0..LABELS).map(|n| format!("label {n}")).collect();
    event
}

fn session(name: &str) -> Session {
    Session {
        id: SessionId::new(name).unwrap(),
        ..fixture::session()
    }
}

/// A subscription to filters that differ in a tag, and of which none matches.
fn subscription(session: &str, number: usize, filters: usize) -> EventSubscription {
    let filter = |n: usize| {
        let tags = (1..MAX_FILTER_TAGS).map(|tag| format!("t{tag}"));
        Filter {
            owner: Some("octo".to_owned()),
            tags: tags.chain([format!("{session} {number} {n}")]).collect(),
            ..Filter::default()
        }
    };
    EventSubscription {
        id: SubscriptionId::new(&format!("sub-{number}")).unwrap(),
        filters: FilterSet::new((0..filters).map(filter).collect()).unwrap(),
        since: LogPosition {
            epoch: fixture::EPOCH,
            sequence: Sequence::START,
            tag: None,
        },
        created_at: Timestamp::default(),
        number: 0,
        expires_at: None,
    }
}

/// Subscriptions that a session may have at most, with two filters each.
const SUBSCRIPTIONS: usize = MAX_SESSION_COST / (2 * (2 + MAX_FILTER_TAGS));

/// A session that has all the subscriptions that it may have.
fn worst_session(name: &str) -> Session {
    Session {
        subscriptions: (0..SUBSCRIPTIONS)
            .map(|number| subscription(name, number, 2))
            .collect(),
        ..session(name)
    }
}

#[test]
fn a_session_may_have_these_subscriptions_and_no_more() {
    let mut asked = session("one");
    for subscription in worst_session("one").subscriptions {
        asked.subscribe(subscription, Timestamp::default()).unwrap();
    }
    let more = subscription("one", SUBSCRIPTIONS, 2);
    let more = asked.subscribe(more, Timestamp::default());
    assert_eq!(more, Err(SubscriptionBound::Cost));
    let log = InterestLog {
        timeline: &LogTimeline::new(fixture::EPOCH, 0),
        names: &NameDirectory::default(),
    };
    let interest = StreamInterest::of_session(&asked, 1, log);
    assert!(interest.cost() <= MAX_SESSION_COST);
}

fn open(hub: &Arc<Hub>, principal: &Arc<Principal>, session: &Session) -> Result<Feed, HubError> {
    let open = StreamRequest {
        labels: None,
        wants: NewsSelection::default(),
        kind: StreamKind::Session,
        format: StreamFormat::Session,
        scope: fixture::scope(),
        session: Some((session.id.clone(), 1)),
        inbox: Sequence::START,
        principal: Arc::clone(principal),
        interest: hub.interest_of(session, 1),
        begin: StreamStart::Head,
        ages: false,
    };
    let feed = hub.open(open, |_| bytes::Bytes::new()).now_or_never();
    feed.expect("the log is not asked")
}

fn hub() -> Arc<Hub> {
    let hub = fixture::hub(&GatedLog::open(), Ring::new(1000, 1 << 20), 10_000);
    hub.apply(fixture::started(fixture::EPOCH, 0));
    hub
}

/// Opens streams of worst sessions until the edge refuses one.
fn fill(hub: &Arc<Hub>, principal: &Arc<Principal>) -> (Vec<Feed>, HubError) {
    let mut feeds = Vec::new();
    loop {
        let session = worst_session(&format!("{}-{}", principal.id, feeds.len()));
        match open(hub, principal, &session) {
            Ok(feed) => feeds.push(feed),
            Err(refusal) => return (feeds, refusal),
        }
    }
}

#[test]
fn the_worst_filters_of_a_principal_cost_an_event_no_more_than_its_bound() {
    let hub = hub();
    let (alice, bob) = (principal("alice"), principal("bob"));
    let (feeds, refusal) = fill(&hub, &alice);
    assert!(matches!(
        refusal,
        HubError::TooManyFilters(MatchBound::Principal)
    ));
    let text = refusal.to_string();
    assert!(
        text.contains("your open streams") && text.contains("fewer filters"),
        "{text}"
    );
    let waiting = hub.take_match_share(&alice.id, MAX_SESSION_COST);
    assert_eq!(waiting.err(), Some(MatchBound::Principal));
    // The others are not concerned.
    let mut one = session("bob");
    one.subscriptions.push(EventSubscription {
        filters: fixture::repo_filter("cat"),
        ..subscription("bob", 0, 1)
    });
    let bobs = open(&hub, &bob, &one).unwrap();
    let work = hub.streams.mark(&RingEntry::new(event(1), 0));
    assert_eq!(work.streams, 1, "Bob's");
    assert!(work.comparisons <= MAX_PRINCIPAL_COST + 2, "{work:?}");
    assert!(
        work.comparisons > MAX_PRINCIPAL_COST / 2,
        "the bound is what stops it: {work:?}"
    );
    drop((feeds, bobs));
    assert_eq!(hub.streams.budget.total(), 0, "every share is given back");
}

#[test]
fn the_worst_filters_of_all_cost_an_event_no_more_than_the_bound_of_the_edge() {
    let hub = hub();
    let mut feeds = Vec::new();
    for n in 0.. {
        let (own, refusal) = fill(&hub, &principal(&format!("p{n}")));
        feeds.extend(own);
        if matches!(refusal, HubError::TooManyFilters(MatchBound::Edge)) {
            break;
        }
    }
    let work = hub.streams.mark(&RingEntry::new(event(1), 0));
    assert!(work.comparisons <= MAX_EDGE_COST, "{work:?}");
    assert!(work.comparisons > MAX_EDGE_COST / 2, "{work:?}");
}

#[test]
fn a_session_that_outgrows_its_share_loses_its_stream_and_is_told() {
    let hub = hub();
    let alice = principal("alice");
    let small = session("small");
    let feed = open(&hub, &alice, &small).unwrap();
    let (_feeds, _) = fill(&hub, &alice);
    // It subscribed on another edge, which does not know of the streams here.
    let grown = Session {
        id: small.id.clone(),
        ..worst_session("grown")
    };
    hub.session_changed(&grown, 2);
    assert_eq!(feed.stream().ending(), Some(StreamEnd::TooManyFilters));
    let room = hub.check_match_cost(&alice.id, MAX_SESSION_COST);
    assert_eq!(room, Err(MatchBound::Principal));
}

#[test]
fn an_event_is_published_while_readers_of_the_ring_compare() {
    let ring = Ring::new(1000, 1 << 20);
    ring.restart(Sequence::START, None);
    let push = |sequence| ring.push(Arc::new(RingEntry::new(event(sequence), 0)));
    (1..=40).for_each(push);
    let mut seen = BTreeSet::new();
    let read = ring.read(Sequence::START, 100, |entry| {
        // This would deadlock on a lock held here.
        push(40 + entry.sequence.0);
        seen.insert(entry.sequence.0)
    });
    assert_eq!(seen, (1..=100).collect());
    let (through, more) = (Sequence(100), true);
    assert_eq!(read, RingRead::Read { through, more });
}

#[test]
fn a_reader_gets_nothing_of_a_ring_that_was_reset_under_it() {
    let ring = Ring::new(1000, 1 << 20);
    ring.restart(Sequence::START, None);
    let push = |sequence| ring.push(Arc::new(RingEntry::new(event(sequence), 0)));
    (1..=40).for_each(push);
    let mut seen = 0;
    let read = ring.read(Sequence::START, 100, |entry| {
        if entry.sequence == Sequence(10) {
            ring.set_back(Sequence(5), None);
            (6..=80).for_each(push);
        }
        seen += 1;
        true
    });
    assert!(
        seen < 40,
        "what was copied before, and nothing of the new part"
    );
    let RingRead::Read {
        through,
        more: true,
    } = read
    else {
        panic!("{read:?}");
    };
    assert_eq!(through, Sequence(seen));
}

#[test]
fn an_event_of_the_log_reaches_a_stream_beside_the_worst_filters() {
    let hub = hub();
    let (_feeds, _) = fill(&hub, &principal("alice"));
    let bob = session("bob");
    let feed = open(&hub, &principal("bob"), &bob).unwrap();
    feed.set_interest(fixture::interest(2, &[("cat", 0)], &[]));
    hub.apply(Followed::Events(vec![event(1)]));
    let mark = feed.stream().take_pending();
    assert_eq!(mark.map(|mark| mark.first), Some(Sequence(1)));
}
