//! SS-17: sessions that another build wrote, or that are damaged.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use edge_records::SessionRecordsError;
use model::{RecordId, Session};
use ports::{Collection, RecordKey, RecordLife, RecordLimits, Records};

use super::{LONG_TTL, ROOMY, fixture, session};
use crate::Harness;

const SESSIONS: Collection = Collection::new("sessions");

/// Puts another state in the place of a session's.
async fn spoil(records: &dyn Records, session: &Session, state: Bytes) -> Result<()> {
    let key = RecordKey {
        collection: SESSIONS,
        id: RecordId::new(session.id.as_str())?,
    };
    let found = records.load(&key).await?.context("it is stored")?;
    let (life, limits) = (RecordLife::Unchanged, RecordLimits::default());
    records
        .replace(&key, state, found.revision, life, limits)
        .await?;
    Ok(())
}

pub(super) async fn a_session_of_another_version_concerns_itself_alone(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, records) = (&fixture.store, fixture.of.records());
    let sessions: Vec<_> = (0..9).map(session).collect();
    for session in &sessions {
        store.create(session, LONG_TTL, ROOMY).await?;
    }
    let of_another_id = [b"\x01", &serde_json::to_vec(&session(1))?[..]].concat();
    let damages = [
        &b""[..],
        b"\x02{}",
        b"\x01{}",
        b"\x01nonsense",
        &of_another_id,
    ];
    let (spoilt, whole): (Vec<_>, Vec<_>) =
        sessions.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    for ((_, session), damage) in spoilt.iter().zip(damages) {
        spoil(&*records, session, Bytes::copy_from_slice(damage)).await?;
        let loaded = store.load(&session.id).await;
        let Err(SessionRecordsError::Unreadable { source }) = loaded else {
            bail!("{damage:?}: {loaded:?}");
        };
        let text = source.to_string();
        let names_both = text.contains("version 2") && text.contains("version 1");
        ensure!(damage.first() != Some(&2) || names_both, "{text}");
    }
    for limit in [1, 2, 100] {
        let (mut after, mut found, mut unreadable) = (None, Vec::new(), 0);
        loop {
            let page = store.list(after.as_ref(), limit).await?;
            found.extend(page.sessions.into_iter().map(|found| found.session));
            unreadable += page.unreadable;
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        let expected = whole.iter().map(|(_, session)| (*session).clone());
        let expected: Vec<_> = expected.collect();
        ensure!(found == expected, "in pages of {limit}: {found:?}");
        ensure!(
            unreadable == spoilt.len(),
            "in pages of {limit}: {unreadable}"
        );
    }
    for (_, session) in spoilt {
        ensure!(store.end(&session.id).await?);
        ensure!(store.load(&session.id).await?.is_none());
    }
    ensure!(store.list(None, 100).await?.unreadable == 0);
    Ok(())
}
