//! Sessions for tests.

use std::collections::BTreeMap;

use edge_records::SessionLimits;
use model::{
    Epoch, EventSubscription, Filter, FilterSet, LogPosition, PrincipalId, ResourceType, Sequence,
    Session, SessionId, SessionTimes, SubscriptionId, Timestamp,
};

/// Bounds that only the cases about bounds reach.
pub(crate) const ROOMY: SessionLimits = SessionLimits {
    max_sessions: 1_000_000,
    max_sessions_per_owner: 1_000_000,
    max_bytes: 1 << 40,
    max_bytes_per_owner: 1 << 40,
};

/// A position; its epoch needs all 64 bits.
pub(crate) fn position(n: u64) -> LogPosition {
    LogPosition {
        epoch: Epoch(u64::MAX - n),
        sequence: Sequence(n),
        tag: None,
    }
}

fn subscription(name: &str, filters: Vec<Filter>) -> EventSubscription {
    EventSubscription {
        id: SubscriptionId::new(name).expect("a token"),
        filters: FilterSet::new(filters).expect("few filters"),
        since: position(41),
        created_at: Timestamp::from_unix_millis(1_790_000_000_456),
        number: 3,
        expires_at: Some(Timestamp::from_unix_millis(1_790_000_100_789)),
    }
}

/// The `n`-th session: every field is filled, and varies with `n`. Ids sort like numbers up to
/// 9999.
#[must_use]
pub fn session(n: u64) -> Session {
    let bugs = Filter {
        resource_type: Some(ResourceType::ISSUE),
        owner: Some("Octo".into()),
        tags: vec!["b\u{fc}g".into()],
        ..Filter::default()
    };
    // Made on a newer edge: an older one keeps it as it is.
    let newer = Filter {
        resource_type: Some(ResourceType::open("wiki_page")),
        ..Filter::default()
    };
    let subscriptions = vec![
        subscription("sub-1", vec![bugs, newer, Filter::default()]),
        subscription("sub-2", Vec::new()),
    ];
    Session {
        id: SessionId::new(&format!("session_{n:04}-x")).expect("a token"),
        owner: PrincipalId::new(&format!("user:{n}@example.org")).expect("visible ASCII"),
        protocol_version: "2025-11-25".into(),
        client_info: serde_json::json!({"name": "cli\u{e9}nt", "version": "1.0", "n": n}),
        client_capabilities: serde_json::json!({"sampling": {}, "roots": {"listChanged": true}}),
        initialized: n % 2 == 1,
        created_at: Timestamp::from_unix_millis(1_790_000_000_123),
        subscriptions,
        resource_uris: BTreeMap::from([
            ("github://issues/o/r/7".into(), position(7)),
            ("github://events".into(), position(0)),
        ]),
        resource_numbers: BTreeMap::from([("github://events".into(), n)]),
        newest_subscription: n + 1,
        recent_subscriptions: (0..n % 3).collect(),
        log_level: (n.is_multiple_of(2)).then(|| "warning".into()),
        channel: (n % 4 > 1).then_some(n.is_multiple_of(2)),
        has_streamed: n % 3 == 1,
        streamed_subscription: (n % 3 == 1).then_some(n),
        stream_tag: n,
        ends_with_stream: n % 2 == 1,
        times: n.is_multiple_of(2).then_some(SessionTimes {
            idle_seconds: n,
            max_seconds: 2 * n,
        }),
        reader_sees: None,
        is_connection: n % 5 == 1,
        broadcasts_through: Sequence(n % 4),
    }
}
