//! RC-09, RC-10, RC-23: lists.

use std::sync::Arc;

use anyhow::{Result, ensure};
use model::RecordId;
use ports::NewRecord;

use super::{THINGS, WIDE, all, create, id, key, of, owner, record, replace};
use crate::Harness;

pub(super) async fn every_living_record_once_in_pages_by_id(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let (store, ttl) = (&*fixture.records(), fixture.short_ttl());
    ensure!(all(store, None, 10).await?.is_empty());
    for n in (0..23).rev() {
        let mut new = of(n % 3, n);
        if n == 20 {
            new = NewRecord { ttl, ..new };
        }
        create(store, &new, WIDE).await?;
    }
    for n in [0, 7, 22] {
        ensure!(store.end(&key(n)).await?, "there was one to end");
    }
    fixture.advance_time(ttl * 2).await;
    let living: Vec<_> = (0..23).filter(|n| ![0, 7, 20, 22].contains(n)).collect();
    let ids = |who: Option<u64>| -> Vec<RecordId> {
        let of_who = living
            .iter()
            .filter(|n| who.is_none_or(|who| *n % 3 == who));
        of_who.map(|n| id(*n)).collect()
    };
    for limit in [1, 3, 19, 20, 500] {
        assert_eq!(all(store, None, limit).await?, ids(None), "by {limit}");
        for who in 0..3 {
            let listed = all(store, Some(&owner(who)), limit).await?;
            assert_eq!(listed, ids(Some(who)), "of {who}, by {limit}");
        }
    }
    let page = store.list(THINGS, None, Some(&id(19)), 10).await?;
    assert_eq!(page.records.len(), 1, "only 21 is after 19");
    let stored = &page.records[0];
    assert_eq!(Some(stored), store.load(&key(21)).await?.as_ref());
    let higher = replace(store, 21, "new", stored.revision).await?;
    let page = store.list(THINGS, None, Some(&id(19)), 10).await?;
    assert_eq!(page.records[0].revision, higher);
    assert_eq!(&page.records[0].state[..], b"new");
    Ok(())
}

pub(super) async fn an_owners_records_among_many(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let store = fixture.records();
    // Names around the owner's, which a range of texts could take for it.
    const OTHERS: [&str; 6] = ["!", "a!", "a~", "aa", "a-", "b"];
    let mut creates = Vec::new();
    for n in 0..1100_u64 {
        let name = match n % 11 {
            0 => "a",
            rest => OTHERS[usize::try_from(rest)? % OTHERS.len()],
        };
        let new = NewRecord {
            owner: model::PrincipalId::new(name)?,
            ..record(n)
        };
        let store = Arc::clone(&store);
        creates.push(tokio::spawn(
            async move { create(&*store, &new, WIDE).await },
        ));
    }
    for create in creates {
        create.await??;
    }
    let of_a = model::PrincipalId::new("a")?;
    let expected: Vec<_> = (0..1100).step_by(11).map(id).collect();
    for limit in [7, 100, 1000] {
        assert_eq!(
            all(&*store, Some(&of_a), limit).await?,
            expected,
            "by {limit}"
        );
    }
    assert_eq!(all(&*store, None, 300).await?.len(), 1100);
    let nobody = model::PrincipalId::new("nobody")?;
    ensure!(all(&*store, Some(&nobody), 10).await?.is_empty());
    Ok(())
}

pub(super) async fn many_are_loaded_in_the_order_of_their_ids(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    for n in 0..6 {
        create(store, &of(n % 2, n), WIDE).await?;
    }
    ensure!(store.end(&key(3)).await?, "there was one to end");
    let wanted = [5, 3, 0, 99, 5, 2];
    let found = store.load_many(THINGS, &wanted.map(id)).await?;
    assert_eq!(found.len(), wanted.len());
    for (n, found) in wanted.into_iter().zip(found) {
        assert_eq!(found, store.load(&key(n)).await?, "{n}");
    }
    ensure!(store.load_many(THINGS, &[]).await?.is_empty());
    Ok(())
}

pub(super) async fn an_owners_records_under_a_prefix(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let store = fixture.records();
    // Around the prefix `p-`: it alone, texts that sort before and after it, and the same of another owner.
    const NAMES: [&str; 11] = [
        "p", "p!", "p-", "p--", "p-!", "p-1", "p-1-2", "p-~", "p.", "p.-1", "q",
    ];
    for (who, mark) in [(0, ""), (1, "'")] {
        for name in NAMES {
            // An id is unique in its collection.
            let mut new = of(who, 0);
            new.key.id = RecordId::new(&format!("{name}{mark}"))?;
            create(&*store, &new, WIDE).await?;
        }
    }
    let ended = ports::RecordKey {
        collection: THINGS,
        id: RecordId::new("p-1")?,
    };
    ensure!(store.end(&ended).await?);
    let prefix = RecordId::new("p-")?;
    for (who, expected) in [
        (0, &["p-!", "p--", "p-1-2", "p-~"][..]),
        (1, &["p-!'", "p-'", "p--'", "p-1'", "p-1-2'", "p-~'"][..]),
        (2, &[]),
    ] {
        for limit in [1, 2, 4, 100] {
            let (mut after, mut found) = (None, Vec::new());
            loop {
                let under = (&owner(who), &prefix);
                let page = store.list_under(THINGS, under, after.as_ref(), limit);
                let page = page.await?;
                ensure!(page.records.len() <= limit);
                found.extend(page.records.into_iter().map(|record| record.id.to_string()));
                match page.next {
                    Some(next) if Some(&next) > after.as_ref() => after = Some(next),
                    Some(next) => anyhow::bail!("backwards to {next}"),
                    None => break,
                }
            }
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected, "of {who}, by {limit}");
        }
    }
    let under = (&owner(0), &prefix);
    let before = RecordId::new("a")?;
    let page = store.list_under(THINGS, under, Some(&before), 100).await?;
    assert_eq!(
        page.records.len(),
        4,
        "what is before the prefix begins at it"
    );
    let beyond = RecordId::new("q")?;
    let page = store.list_under(THINGS, under, Some(&beyond), 100).await?;
    ensure!(page.records.is_empty() && page.next.is_none());
    Ok(())
}
