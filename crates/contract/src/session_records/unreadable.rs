//! SS-17: sessions that another build wrote, or that are damaged.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use edge_records::SessionRecordsError;
use model::{RecordId, Session};
use ports::{Collection, RecordKey};

use super::{LONG_TTL, ROOMY, fixture, session};
use crate::{Harness, records_fixture::spoil};

const SESSIONS: Collection = Collection::new("sessions");

fn key_of(session: &Session) -> Result<RecordKey> {
    Ok(RecordKey {
        collection: SESSIONS,
        id: RecordId::new(session.id.as_str())?,
    })
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
        spoil(&*records, &key_of(session)?, damage.to_vec()).await?;
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
