//! Cases for [`edge_records::NameRecords`].

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use edge_records::{NameRecords, NameRecordsError, StoredBook};
use futures_util::future::try_join_all;
use model::{Epoch, LogPosition, PrincipalId, Sequence};
use ports::{Collection, RecordKey, Records};

use crate::{Harness, records_fixture::spoil};

crate::case::cases! {
    "NR-01" Nothing what_was_stored_last_is_loaded;
    "NR-01" Durable what_was_acknowledged_outlives_a_reopen;
    "NR-01" Shared what_one_handle_stored_another_loads_at_once;
    "NR-02" Nothing of_two_that_loaded_the_same_one_stores;
    "NR-02" Shared what_all_handles_add_at_once_is_in_the_book;
    "NR-03" Nothing pins_are_their_principals_alone;
    "NR-05" Nothing parts_and_the_mark_are_records_of_their_own;
    "NR-04" Nothing what_another_build_stored_is_an_error_and_stays;
}

const NAMES: Collection = Collection::new("names");

type Book = StoredBook<String>;

fn names_of(store: &Arc<dyn Records>) -> NameRecords {
    NameRecords::new(Arc::clone(store))
}

fn book_of<T: ToString>(changes: &[T]) -> Book {
    StoredBook {
        through: LogPosition {
            epoch: Epoch(1),
            sequence: Sequence(changes.len() as u64),
            tag: None,
        },
        changes: changes.iter().map(ToString::to_string).collect(),
    }
}

fn principal(n: u64) -> PrincipalId {
    PrincipalId::new(&format!("}}team{{{n}}}%7d")).expect("visible ASCII")
}

async fn stored_book(names: &NameRecords) -> Result<Option<Book>> {
    let stored = names.load_book::<String>().await?;
    Ok(stored.map(|stored| stored.names))
}

async fn what_was_stored_last_is_loaded(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let names = names_of(&fixture.store);
    ensure!(stored_book(&names).await?.is_none(), "there was none");
    ensure!(names.store_book(&book_of(&["a"]), None).await?);
    ensure!(stored_book(&names).await? == Some(book_of(&["a"])));
    let before = names.load_book().await?;
    ensure!(
        names
            .store_book(&book_of(&["a", "b"]), before.as_ref())
            .await?
    );
    ensure!(stored_book(&names).await? == Some(book_of(&["a", "b"])));
    Ok(())
}

async fn what_was_acknowledged_outlives_a_reopen(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let names = names_of(&fixture.store);
    ensure!(names.store_book(&book_of(&["a"]), None).await?);
    ensure!(names.store_pins(&principal(1), &1, None).await?);
    drop((names, fixture.store));
    let names = names_of(&fixture.handles.reopen().await?);
    ensure!(stored_book(&names).await? == Some(book_of(&["a"])));
    let pins = names.load_pins::<u64>(&principal(1)).await?;
    ensure!(pins.is_some_and(|pins| pins.names == 1));
    Ok(())
}

async fn what_one_handle_stored_another_loads_at_once(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let peer = fixture.handles.peer().await?;
    let handles = [&fixture.store, &peer].map(names_of);
    let mut changes = Vec::new();
    for n in 0..20 {
        let (here, there) = (&handles[n % 2], &handles[(n + 1) % 2]);
        let before = here.load_book().await?;
        changes.push(n);
        ensure!(here.store_book(&book_of(&changes), before.as_ref()).await?);
        ensure!(stored_book(there).await? == Some(book_of(&changes)));
    }
    Ok(())
}

async fn of_two_that_loaded_the_same_one_stores(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let names = names_of(&fixture.store);
    ensure!(names.store_book(&book_of(&["a"]), None).await?);
    ensure!(!names.store_book(&book_of(&["b"]), None).await?);
    let first = names.load_book::<String>().await?;
    let second = first.clone();
    let (both, other) = (book_of(&["a", "b"]), book_of(&["a", "c"]));
    ensure!(names.store_book(&both, first.as_ref()).await?);
    ensure!(!names.store_book(&other, second.as_ref()).await?);
    ensure!(stored_book(&names).await? == Some(both));
    Ok(())
}

/// Adds a change to whatever the others have stored.
async fn add(names: &NameRecords, change: usize) -> Result<()> {
    loop {
        let before = names.load_book::<String>().await?;
        let mut changes = before
            .as_ref()
            .map_or_else(Vec::new, |before| before.names.changes.clone());
        changes.push(change.to_string());
        if names
            .store_book(&book_of(&changes), before.as_ref())
            .await?
        {
            return Ok(());
        }
    }
}

async fn what_all_handles_add_at_once_is_in_the_book(harness: Arc<dyn Harness>) -> Result<()> {
    const CHANGES: usize = 24;
    let fixture = harness.records().await?;
    let (second, third) = (fixture.handles.peer().await?, fixture.handles.peer().await?);
    let handles = [&fixture.store, &second, &third].map(names_of);
    let adding = (0..CHANGES).map(|n| add(&handles[n % 3], n));
    try_join_all(adding).await?;
    let book = stored_book(&handles[0]).await?.context("it was stored")?;
    let mut changes = book.changes;
    changes.sort_by_key(|change| change.parse::<usize>().ok());
    ensure!(changes == book_of(&(0..CHANGES).collect::<Vec<_>>()).changes);
    Ok(())
}

async fn pins_are_their_principals_alone(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let names = names_of(&fixture.store);
    for n in 1..4_u64 {
        ensure!(names.store_pins(&principal(n), &n, None).await?);
    }
    let before = names.load_pins::<u64>(&principal(2)).await?;
    ensure!(
        names
            .store_pins(&principal(2), &20, before.as_ref())
            .await?
    );
    let all: Vec<_> = (0..4).map(principal).collect();
    let pins = names.load_pins_of::<u64>(&all).await?;
    let pins: Vec<_> = pins
        .into_iter()
        .map(|pins| pins.map(|pins| pins.names))
        .collect();
    ensure!(pins == [None, Some(1), Some(20), Some(3)], "{pins:?}");
    Ok(())
}

async fn parts_and_the_mark_are_records_of_their_own(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let names = names_of(&fixture.store);
    ensure!(names.load_mark().await?.is_none() && names.load_places::<u64>(0).await?.is_none());
    ensure!(names.store_book(&book_of(&["a"]), None).await?);
    for part in 0..3 {
        ensure!(names.store_places(part, &vec![part as u64], None).await?);
    }
    let before = names.load_places::<u64>(1).await?;
    ensure!(names.store_places(1, &vec![7, 8], before.as_ref()).await?);
    ensure!(!names.store_places(1, &vec![9], before.as_ref()).await?);
    for (part, expected) in [(0, vec![0]), (1, vec![7, 8]), (2, vec![2])] {
        let stored = names.load_places::<u64>(part).await?;
        ensure!(
            stored.is_some_and(|stored| stored.names == expected),
            "part {part}"
        );
    }
    ensure!(names.store_mark(5, None).await? && !names.store_mark(6, None).await?);
    let mark = names.load_mark().await?;
    ensure!(mark.as_ref().is_some_and(|mark| mark.names == 5));
    ensure!(names.store_mark(6, mark.as_ref()).await?);
    ensure!(names.load_mark().await?.is_some_and(|mark| mark.names == 6));
    ensure!(stored_book(&names).await? == Some(book_of(&["a"])));
    Ok(())
}

async fn what_another_build_stored_is_an_error_and_stays(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let (names, records) = (names_of(&fixture.store), fixture.records());
    ensure!(names.store_book(&book_of(&["a"]), None).await?);
    for damage in [&b""[..], b"\x02{}", b"\x01", b"\x01{", b"\x01[]"] {
        let page = records.list(NAMES, None, None, 10).await?;
        let found = page.records.into_iter().next().context("it is listed")?;
        let key = RecordKey {
            collection: NAMES,
            id: found.id,
        };
        spoil(&*records, &key, damage).await?;
        match names.load_book::<String>().await {
            Err(NameRecordsError::Version(_) | NameRecordsError::Unreadable(_)) => {}
            read => anyhow::bail!("{damage:?}: {read:?}"),
        }
        ensure!(!names.store_book(&book_of(&["b"]), None).await?);
        let stored = records.load(&key).await?.context("it is there")?;
        ensure!(stored.state == damage, "{stored:?}");
    }
    Ok(())
}
