//! Events for tests: varied, and always the same for the same number.

use std::time::Duration;

use bytes::Bytes;
use model::{
    EventFacts, EventId, EventOrigin, EventType, FormerPlace, GithubIds, OwnerId, RepositoryId,
    ResourceId, ResourceType, StoredEvent, TextAuthor, Timestamp, TraceContext,
};
use ports::LogEntry;

/// The receive time of [`event`] number 0.
const FIRST_RECEIVED_AT: Timestamp = Timestamp::from_unix_millis(1_790_000_000_000);

/// The `n`-th event. Facts, JSON and trace vary with `n`; its receive time is `n` seconds after
/// that of number 0.
#[must_use]
pub fn event(n: u64) -> StoredEvent {
    event_received_at(n, FIRST_RECEIVED_AT.plus(Duration::from_secs(n)))
}

/// Events number `from` to `to - 1`.
#[must_use]
pub fn events(from: u64, to: u64) -> Vec<StoredEvent> {
    (from..to).map(event).collect()
}

/// The `n`-th entry of a log, with a body that is no event; its id and its receive time are those of the `n`-th event.
#[must_use]
pub fn entry(n: u64) -> LogEntry {
    LogEntry {
        id: id(n),
        received_at: FIRST_RECEIVED_AT.plus(Duration::from_secs(n)),
        body: format!("body {n}").into(),
    }
}

/// One of the known names, or one that only a newer build knows: a log must store that too.
fn pick<T: Clone>(place: usize, known: &[T], newer: &str, open: fn(&str) -> T) -> T {
    let known = known.get(place % (known.len() + 1));
    known.cloned().unwrap_or_else(|| open(newer))
}

/// The `n`-th event with another receive time.
#[must_use]
pub fn event_received_at(n: u64, received_at: Timestamp) -> StoredEvent {
    let place = usize::try_from(n).unwrap_or(usize::MAX);
    let some = |every: u64, text: String| (!n.is_multiple_of(every)).then_some(text);
    let facts = EventFacts {
        id: id(n),
        event_type: pick(place, EventType::KNOWN, "exploded", EventType::open),
        action: some(6, "labeled".to_owned()),
        resource_type: pick(place, ResourceType::KNOWN, "wiki_page", ResourceType::open),
        resource_id: ResourceId::new(&format!("I_kwDO{n:x}")).expect("visible ASCII"),
        owner: some(7, format!("Octo-Org-{}", n % 3)),
        repo: some(5, format!("räpo-{}", n % 4)),
        number: (!n.is_multiple_of(3)).then_some(n.wrapping_mul(1_000_003)),
        ids: GithubIds {
            owner: (!n.is_multiple_of(7)).then_some(OwnerId(n % 3)),
            repository: (!n.is_multiple_of(5)).then_some(RepositoryId(n % 4)),
            resource: (!n.is_multiple_of(3)).then_some(n),
        },
        former: n.is_multiple_of(9).then(|| {
            Box::new(FormerPlace {
                owner: Some("Former-Org".to_owned()),
                repo: n.is_multiple_of(2).then(|| "former-repo".to_owned()),
            })
        }),
        actor: some(4, "mona[bot]".to_owned()),
        author: some(3, "octo-author".to_owned()).map(|login| {
            Box::new(TextAuthor {
                login: Some(login),
                association: n.is_multiple_of(2).then(|| "MEMBER".to_owned()),
            })
        }),
        source: pick(place, EventOrigin::KNOWN, "relay", EventOrigin::open),
        tags: (0..n % 4)
            .map(|tag| format!("tag {tag} \u{1f41b}"))
            .collect(),
        timestamp: received_at.minus(Duration::from_millis(n % 5000)),
        received_at,
    };
    StoredEvent {
        json: json(n, &facts),
        facts: facts.into(),
        trace: trace(n),
    }
}

/// The `n`-th state of the issue `Octo/Cat#number`, in the form in which an event of the log has it. A later
/// state has a later time.
#[must_use]
pub fn issue_event(number: u64, n: u64) -> StoredEvent {
    let at = FIRST_RECEIVED_AT.plus(Duration::from_secs(n));
    let node = format!("I_{number}");
    let facts = EventFacts {
        id: EventId::new(&format!("issue-{number}-{n}")).expect("visible ASCII"),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new(&node).expect("visible ASCII"),
        owner: Some("Octo".to_owned()),
        repo: Some("Cat".to_owned()),
        number: Some(number),
        ids: model::GithubIds::default(),
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: at,
        received_at: at,
    };
    let json = serde_json::json!({
        "id": facts.id.as_str(),
        "data": { "node_id": node, "updated_at": at.to_string(), "state": n },
        "metadata": { "event": "issues" },
    });
    StoredEvent {
        json: json.to_string().into(),
        facts: facts.into(),
        trace: None,
    }
}

fn id(n: u64) -> EventId {
    let delivery = format!("72d3162e-cc78-11e3-81ab-{n:012x}");
    let text = if n % 3 == 2 {
        format!("{delivery}.{n}")
    } else {
        delivery
    };
    EventId::new(&text).expect("visible ASCII")
}

/// JSON with bytes that a store could be tempted to change: spaces, key order, escapes, non-ASCII,
/// no body.
fn json(n: u64, facts: &EventFacts) -> Bytes {
    let title = serde_json::Value::from(format!("Ärger \"{n}\" \\ \n \u{1f980} \u{0}"));
    let filler = "x".repeat(usize::try_from(n % 11).unwrap_or(0) * 150);
    Bytes::from(format!(
        r#"{{ "z": {n},  "id":"{}","title":{title},"a":1.50,"data":{{"filler":"{filler}"}} }}"#,
        facts.id
    ))
}

fn trace(n: u64) -> Option<TraceContext> {
    let (trace, span, sampled) = (n + 1, n + 7, n % 2);
    let header = format!("00-{trace:032x}-{span:016x}-{sampled:02x}");
    if n % 4 == 3 {
        None
    } else {
        TraceContext::parse(&header)
    }
}
