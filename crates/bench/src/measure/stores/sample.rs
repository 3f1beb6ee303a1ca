//! Events as ingest stores them, about 1 KB each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use anyhow::Result;
use model::{
    EventFacts, EventId, EventOrigin, EventType, ResourceId, ResourceType, StoredEvent, Timestamp,
};

/// Bytes of an event's JSON.
pub(super) const JSON_BYTES: usize = 800;

static RUNS: AtomicU64 = AtomicU64::new(0);

/// A number that makes the ids of a load differ from those of every other.
pub(super) fn next_run() -> u64 {
    RUNS.fetch_add(1, Ordering::Relaxed)
}

/// The id of an event: random as those of GitHub are, so that neighbours in time are none in an index.
pub(super) fn id(run: u64, number: u64) -> String {
    let mixed = ((u128::from(run) << 64) | (u128::from(number) + 1))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let hex = format!("{mixed:032x}");
    let [a, b, c, d, e] = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// An event about an issue.
pub(super) fn event(run: u64, number: u64) -> Result<StoredEvent> {
    let id = id(run, number);
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = Timestamp::from_unix_millis(i64::try_from(elapsed.as_millis())?);
    let json = format!(r#"{{"id":"{id}","filler":"{:x<JSON_BYTES$}"}}"#, "");
    Ok(StoredEvent {
        facts: Arc::new(EventFacts {
            id: EventId::new(&id)?,
            event_type: EventType::UPDATED,
            action: None,
            resource_type: ResourceType::ISSUE,
            resource_id: ResourceId::new("I_bench")?,
            owner: Some("forgewire".to_owned()),
            repo: Some(format!("bench-{}", number % 100)),
            number: Some(number),
            ids: model::GithubIds::default(),
            former: None,
            actor: Some("bench".to_owned()),
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: now,
            received_at: now,
        }),
        json: json.into(),
        trace: None,
    })
}
