//! Cases for [`ports::LogStore`]: what it promises of bytes. The rest of its contract is that of the event log
//! over it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use model::{EntryDigest, EntryTag, Sequence};
use ports::{EntryContent, EntryName, LogEntry, LogStore, MAX_PAGE_BYTES, ReadEntry};

use crate::{Harness, entry, noise::noise};

crate::case::cases! {
    "LS-01" Nothing a_body_is_read_as_it_was_appended;
    "LS-01" Nothing the_largest_body_is_taken;
    "LS-02" Nothing the_body_that_was_first_stays;
    "LS-03" Nothing an_entry_has_its_time_and_its_name;
    "LS-04" Nothing times_are_those_of_the_entries;
    "LS-05" Nothing a_page_ends_with_its_bytes;
    "LS-06" ForeignBytes foreign_bytes_stop_no_reader;
    "LS-07" Authenticating what_no_role_appended_has_no_name;
}

/// The largest body that the suite appends.
const LARGE_BYTES: usize = 900 * 1024;

fn with_body(n: u64, body: impl Into<Bytes>) -> LogEntry {
    LogEntry {
        body: body.into(),
        ..entry(n)
    }
}

/// Bodies that a store or a layer could be tempted to change, or to take for its own.
fn odd_bodies() -> Vec<Bytes> {
    let mut bodies: Vec<_> = (0..=u8::MAX).map(|byte| vec![byte].into()).collect();
    bodies.extend((0xb0..=u8::MAX).map(|byte| vec![byte; 300].into()));
    bodies.extend([0, 1, 9, 4096, 70_000].map(|bytes| vec![b'a'; bytes].into()));
    bodies.extend([3, 255, 5000].map(|bytes| noise(bytes).into()));
    bodies
}

/// All entries, read in pages.
async fn all(store: &dyn LogStore, limit: usize) -> Result<Vec<ReadEntry>> {
    let (mut after, mut read) = (Sequence::START, Vec::new());
    loop {
        let page = store.read_after(after, limit).await?;
        ensure!(page.entries.len() <= limit, "more than {limit}");
        ensure!(page.at_head || page.through > after, "no way on");
        read.extend(page.entries);
        after = page.through;
        if page.at_head {
            return Ok(read);
        }
    }
}

/// What an entry holds, which has to be readable.
fn content(entry: &ReadEntry) -> Result<&EntryContent> {
    let content = entry.content.as_ref();
    content.map_err(|fault| anyhow::anyhow!("{}: {fault}", entry.sequence))
}

async fn a_body_is_read_as_it_was_appended(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.log_store().await?;
    let store = &*fixture.store;
    let bodies = odd_bodies();
    let entries = (0..).zip(&bodies);
    let entries = entries
        .map(|(n, body)| with_body(n, body.clone()))
        .collect();
    store.append(entries).await?;
    for limit in [7, 500] {
        let read = all(store, limit).await?;
        ensure!(read.len() == bodies.len(), "{} entries", read.len());
        for (read, body) in read.iter().zip(&bodies) {
            ensure!(content(read)?.body == *body, "{} differs", read.sequence);
        }
    }
    let last = store.head().await?.last;
    let mut backwards = store.read_before(last.next(), bodies.len()).await?;
    backwards.reverse();
    for (read, body) in backwards
        .iter()
        .zip(&bodies[bodies.len() - backwards.len()..])
    {
        ensure!(content(read)?.body == *body, "{} differs", read.sequence);
    }
    Ok(())
}

async fn the_largest_body_is_taken(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.log_store().await?;
    let store = &*fixture.store;
    let bytes = store.max_body_bytes().min(LARGE_BYTES);
    for (n, body) in [(0, noise(bytes)), (1, vec![b'a'; bytes])] {
        store.append(vec![with_body(n, body.clone())]).await?;
        let read = all(store, 1).await?;
        let read = read.last().context("nothing was stored")?;
        ensure!(content(read)?.body == body, "body {n} differs");
    }
    Ok(())
}

async fn the_body_that_was_first_stays(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.log_store().await?;
    let store = &*fixture.store;
    let first = store.append(vec![with_body(1, "first")]).await?;
    let again = vec![with_body(2, "second"), with_body(1, "again")];
    let again = store.append(again).await?;
    ensure!(again[1].duplicate && again[1].sequence == first[0].sequence);
    let read = all(store, 10).await?;
    let bodies: Vec<_> = read.iter().map(content).collect::<Result<_>>()?;
    let bodies: Vec<_> = bodies.iter().map(|held| &held.body[..]).collect();
    ensure!(bodies == [&b"first"[..], b"second"], "{bodies:?}");
    Ok(())
}

async fn an_entry_has_its_time_and_its_name(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.log_store().await?;
    let store = &*fixture.store;
    let entries: Vec<_> = (0..40).map(entry).collect();
    store.append(entries.clone()).await?;
    // In pages of few entries, which are read one by one, and of many.
    for limit in [3, 500] {
        for (read, entry) in all(store, limit).await?.iter().zip(&entries) {
            ensure!(content(read)?.received_at == entry.received_at);
            ensure!(read.name.digest() == Some(EntryDigest::of(&entry.id)));
            ensure!(read.name.tag() == EntryTag::of(&entry.id));
        }
    }
    Ok(())
}

async fn times_are_those_of_the_entries(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.log_store().await?;
    let store = &*fixture.store;
    let bodies = ["", "1", "\u{1}\n"].map(str::to_owned);
    let entries =
        (0..30).map(|n| with_body(n, bodies[usize::try_from(n % 3).unwrap_or(0)].clone()));
    let written = store.append(entries.collect()).await?;
    for n in [0, 1, 14, 29] {
        let found = store.seek(entry(n).received_at).await?.position;
        let sequence = written[usize::try_from(n)?].sequence;
        ensure!(found < sequence, "{found} is past entry {n}");
    }
    ensure!(store.trim(entry(20).received_at).await? == 20);
    let left = all(store, 500).await?;
    ensure!(left.len() == 10 && left[0].sequence == written[20].sequence);
    Ok(())
}

async fn a_page_ends_with_its_bytes(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.log_store().await?;
    let store = &*fixture.store;
    let bytes = MAX_PAGE_BYTES / 3;
    let most = MAX_PAGE_BYTES + bytes;
    let entries = (0..12).map(|n| with_body(n, noise(bytes)));
    for entry in entries {
        store.append(vec![entry]).await?;
    }
    let weigh = |entries: &[ReadEntry]| -> Result<usize> {
        let bodies = entries.iter().map(|entry| Ok(content(entry)?.body.len()));
        bodies.sum()
    };
    let page = store.read_after(Sequence::START, 500).await?;
    let weight = weigh(&page.entries)?;
    ensure!(
        !page.entries.is_empty() && !page.at_head && weight <= most,
        "{weight}"
    );
    let newest = store.read_before(Sequence(u64::MAX), 500).await?;
    let weight = weigh(&newest)?;
    ensure!(!newest.is_empty() && weight <= most, "{weight}");
    ensure!(all(store, 500).await?.len() == 12, "pages leave some out");
    Ok(())
}

async fn foreign_bytes_stop_no_reader(harness: Arc<dyn Harness>) -> Result<()> {
    const FOREIGN: [&[u8]; 6] = [
        b"",
        b"\x02",
        b"\xc1\xff\xff\xff\xffabc",
        b"\xc3abc",
        b"\xff\xff",
        b"{\"a\":1}",
    ];
    let fixture = harness.log_store().await?;
    let store = &*fixture.store;
    for (n, foreign) in (0..).zip(FOREIGN) {
        store.append(vec![entry(n)]).await?;
        fixture.plant(foreign).await?;
    }
    store.append(vec![entry(20)]).await?;
    for limit in [1, 4, 500] {
        let read = all(store, limit).await?;
        ensure!(
            read.len() == 13,
            "{} entries in pages of {limit}",
            read.len()
        );
        for (n, own) in (0..6).zip(read.iter().step_by(2)) {
            ensure!(content(own)?.body == entry(n).body, "entry {n} differs");
        }
    }
    let newest = store.read_before(Sequence(u64::MAX), 500).await?;
    ensure!(newest.len() == 13, "{} entries backwards", newest.len());
    Ok(())
}

async fn what_no_role_appended_has_no_name(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.log_store().await?;
    let keyed = fixture.keyed;
    let keyed = keyed.context("the adapter says `authenticating` but its log has no `keyed`")?;
    keyed.new.append(vec![entry(0)]).await?;
    keyed.stranger.append(vec![entry(1)]).await?;
    keyed.unsigned.append(vec![entry(2)]).await?;
    keyed.old.append(vec![entry(3)]).await?;
    let read = all(&*keyed.new, 500).await?;
    let faults: Vec<_> = read.iter().map(|entry| entry.content.is_err()).collect();
    ensure!(faults == [false, true, true, false], "{read:?}");
    for unknown in &read[1..3] {
        ensure!(unknown.name == EntryName::Unknown, "{unknown:?}");
    }
    Ok(())
}
