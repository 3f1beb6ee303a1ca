//! RC-03 and all the others in turn: random calls on a few records, whose answers are compared with a table.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use model::RecordId;
use ports::{NewRecord, RecordCreation, RecordLife, RecordLimits, Records, RecordsError, Revision};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{LONG_TTL, STEP, WIDE, all, heavy, id, key, of, owner};
use crate::Harness;

/// Calls of one history.
const CALLS: usize = 400;
/// Histories of one case, each with its own seed.
const HISTORIES: u64 = 3;
/// Room for five records and nine steps, four records and five steps per owner.
const TIGHT: RecordLimits = RecordLimits {
    max_records: 5,
    max_records_per_owner: 4,
    max_bytes: 9 * STEP,
    max_bytes_per_owner: 5 * STEP,
    ..WIDE
};

/// What the store should hold.
#[derive(Default)]
struct Table {
    living: BTreeMap<u64, Row>,
    ended: Vec<u64>,
}

struct Row {
    who: u64,
    steps: u64,
    revision: Revision,
}

impl Table {
    fn steps(&self, who: Option<u64>) -> u64 {
        let rows = self.living.values();
        let theirs = rows.filter(|row| who.is_none_or(|who| who == row.who));
        theirs.map(|row| row.steps).sum()
    }

    fn count(&self, who: u64) -> usize {
        self.living.values().filter(|row| row.who == who).count()
    }

    fn has_room(&self, who: u64, more: u64) -> bool {
        self.steps(None) + more <= 9 && self.steps(Some(who)) + more <= 5
    }
}

pub(super) async fn random_calls_answer_as_a_table_would(harness: Arc<dyn Harness>) -> Result<()> {
    for seed in 0..HISTORIES {
        let fixture = harness.records().await?;
        let (store, mut rng) = (fixture.records(), StdRng::seed_from_u64(seed));
        let mut table = Table::default();
        for call in 0..CALLS {
            let done = step(&*store, &mut table, &mut rng).await;
            done.with_context(|| format!("call {call} of seed {seed}"))?;
        }
    }
    Ok(())
}

async fn step(store: &dyn Records, table: &mut Table, rng: &mut StdRng) -> Result<()> {
    let n = rng.random_range(0..24);
    match rng.random_range(0..10) {
        0..=3 => create(store, table, rng, n).await,
        4..=6 => replace(store, table, rng, n).await,
        7 => {
            let touched = store.touch(&key(n), LONG_TTL).await?;
            ensure!(touched == table.living.contains_key(&n), "touch of {n}");
            Ok(())
        }
        8 => {
            let ended = store.end(&key(n)).await?;
            ensure!(ended == table.living.remove(&n).is_some(), "end of {n}");
            if ended {
                table.ended.push(n);
            }
            Ok(())
        }
        _ => compare(store, table).await,
    }
}

async fn create(store: &dyn Records, table: &mut Table, rng: &mut StdRng, n: u64) -> Result<()> {
    let (who, steps) = (rng.random_range(0..3), rng.random_range(1..4));
    let new = NewRecord {
        state: heavy(steps),
        ..of(who, n)
    };
    let created = store.create(&new, TIGHT).await;
    if let Some(row) = table.living.get(&n) {
        let same = matches!(
            &created,
            Ok(RecordCreation::Exists(there)) if there.revision == row.revision
        );
        ensure!(same, "{n} is there: {created:?}");
    } else if table.ended.contains(&n) {
        ensure!(
            matches!(created, Ok(RecordCreation::Ended)),
            "{n} has ended: {created:?}"
        );
    } else if table.living.len() < 5 && table.count(who) < 4 && table.has_room(who, steps) {
        let Ok(RecordCreation::Created(revision)) = created else {
            anyhow::bail!("{n} has room: {created:?}");
        };
        let row = Row {
            who,
            steps,
            revision,
        };
        table.living.insert(n, row);
    } else {
        let refused = matches!(created, Err(RecordsError::NoRoom { .. }));
        ensure!(refused, "{n} has no room: {created:?}");
    }
    Ok(())
}

async fn replace(store: &dyn Records, table: &mut Table, rng: &mut StdRng, n: u64) -> Result<()> {
    let (steps, is_late) = (rng.random_range(1..4), rng.random_bool(0.2));
    let current = table.living.get(&n).map_or(Revision(1), |row| row.revision);
    let expected = Revision(current.0 + u64::from(is_late));
    let life = match rng.random_bool(0.5) {
        true => RecordLife::For(LONG_TTL),
        false => RecordLife::Unchanged,
    };
    let replaced = store
        .replace(&key(n), heavy(steps), expected, life, TIGHT)
        .await;
    let Some(row) = table.living.get(&n) else {
        ensure!(
            matches!(replaced, Err(RecordsError::Missing)),
            "{replaced:?}"
        );
        return Ok(());
    };
    let (who, before) = (row.who, row.steps);
    match replaced {
        Err(RecordsError::Conflict { current: told }) => {
            ensure!(is_late && told == current, "{told:?} for {current:?}");
        }
        Err(RecordsError::NoRoom { .. }) => {
            let more = steps.saturating_sub(before);
            ensure!(
                !is_late && more > 0 && !table.has_room(who, more),
                "{n} has room"
            );
        }
        Ok(revision) => {
            let fits = steps <= before || table.has_room(who, steps - before);
            ensure!(
                !is_late && fits && revision > current,
                "{revision:?} after {current:?}"
            );
            let row = Row {
                who,
                steps,
                revision,
            };
            table.living.insert(n, row);
        }
        Err(other) => return Err(other.into()),
    }
    Ok(())
}

/// Compares lists and records.
async fn compare(store: &dyn Records, table: &Table) -> Result<()> {
    let ids = |who: Option<u64>| -> Vec<RecordId> {
        let rows = table.living.iter();
        let theirs = rows.filter(|(_, row)| who.is_none_or(|who| who == row.who));
        theirs.map(|(n, _)| id(*n)).collect()
    };
    ensure!(all(store, None, 2).await? == ids(None), "the list differs");
    for who in 0..3 {
        let listed = all(store, Some(&owner(who)), 2).await?;
        ensure!(listed == ids(Some(who)), "the list of {who} differs");
    }
    for (n, row) in &table.living {
        let found = store.load(&key(*n)).await?;
        let found = found.with_context(|| format!("{n} is gone"))?;
        let is_same = found.revision == row.revision && found.state == heavy(row.steps);
        ensure!(is_same && found.owner == owner(row.who), "{n} differs");
    }
    Ok(())
}
