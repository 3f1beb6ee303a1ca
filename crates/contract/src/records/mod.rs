//! Cases for [`ports::Records`].

mod bounds;
mod handles;
mod history;
mod life;
mod list;
mod revisions;
mod set_back;
mod spare;
mod unreadable;
mod weights;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes as State;
use model::{PrincipalId, RecordId};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, Records,
    RecordsError, Revision, StoredRecord,
};

use crate::noise::noise;

crate::case::cases! {
    "RC-01" Nothing life::what_was_created_is_loaded_as_it_was;
    "RC-01" Nothing life::what_is_not_there_is_none;
    "RC-02" Nothing revisions::of_a_hundred_creates_one_wins_and_all_get_its_record;
    "RC-03" Nothing revisions::replace_with_the_current_revision_stores_a_higher_one;
    "RC-03" Nothing revisions::replace_with_another_revision_changes_nothing;
    "RC-04" Nothing revisions::of_concurrent_replaces_one_wins;
    "RC-04" Nothing revisions::no_concurrent_change_is_lost;
    "RC-05" Nothing life::an_ended_record_stays_ended;
    "RC-05" Nothing life::of_several_ends_one_ends_it;
    "RC-05" Nothing revisions::a_replace_beside_an_end_brings_nothing_back;
    "RC-06" Nothing life::an_expired_record_is_missing_and_its_key_is_free;
    "RC-07" Nothing life::touch_and_replace_set_the_ttl_as_asked;
    "RC-08" Nothing life::collections_do_not_know_each_other;
    "RC-09" Nothing list::every_living_record_once_in_pages_by_id;
    "RC-09" Nothing list::an_owners_records_among_many;
    "RC-10" Nothing list::many_are_loaded_in_the_order_of_their_ids;
    "RC-11" Nothing bounds::beyond_a_number_a_record_is_refused_and_nothing_changes;
    "RC-12" Nothing weights::beyond_a_weight_a_record_is_refused_and_nothing_changes;
    "RC-12" Nothing weights::a_heavier_state_needs_room_and_a_lighter_one_gives_it_back;
    "RC-13" Nothing bounds::what_ended_or_expired_does_not_count;
    "RC-13" Nothing weights::what_ended_or_expired_weighs_nothing;
    "RC-14" Nothing bounds::creates_at_once_do_not_pass_the_bounds;
    "RC-15" Nothing spare::a_record_that_can_be_spared_makes_room;
    "RC-15" Nothing spare::a_refused_create_spares_nothing;
    "RC-15" Nothing spare::a_create_of_a_key_in_use_spares_nothing;
    "RC-16" Nothing weights::what_is_too_large_is_refused_and_changes_nothing;
    "RC-17" Durable handles::what_was_acknowledged_outlives_a_reopen;
    "RC-18" Shared handles::what_one_handle_changed_another_sees_at_once;
    "RC-18" Shared handles::winners_and_limits_hold_across_handles;
    "RC-19" GoesBack set_back::a_revision_of_a_lost_time_is_not_given_out_again;
    "RC-20" Nothing life::the_stores_time_is_the_one_that_records_expire_by;
    "RC-21" Nothing life::a_check_accepts_and_leaves_nothing;
    "RC-22" ForeignBytes unreadable::a_damaged_record_concerns_itself_alone;
    "RC-22" ForeignBytes unreadable::a_damaged_record_at_the_end_of_a_page_counts_once;
    "RC-23" Nothing list::an_owners_records_under_a_prefix;
    "RC-03" Nothing history::random_calls_answer_as_a_table_would;
}

/// The collection of most cases.
const THINGS: Collection = Collection::new("things");
/// Another one.
const OTHERS: Collection = Collection::new("others");
/// A time to live that exceeds the duration of every case.
const LONG_TTL: Duration = Duration::from_secs(3600);
/// One step of weight in bytes.
const STEP: u64 = RecordLimits::WEIGHT_STEP_BYTES;

/// More than layers add to a state.
const LAYER_BYTES: usize = 512;

/// Limits that no case reaches.
const WIDE: RecordLimits = RecordLimits {
    max_records: 100_000,
    max_records_per_owner: 100_000,
    max_bytes: 256 << 20,
    max_bytes_per_owner: 256 << 20,
    spare_ttl: Duration::ZERO,
};

/// An owner; odd numbers have characters that a store could handle wrongly in a key.
fn owner(n: u64) -> PrincipalId {
    let name = match n % 2 {
        0 => format!("user:{n}@example.org"),
        _ => format!("}}a{{{n}}}%7d!"),
    };
    PrincipalId::new(&name).expect("visible ASCII")
}

/// The `n`-th id; they sort like numbers up to 9999, and have characters that a key could handle wrongly.
fn id(n: u64) -> RecordId {
    let odd = if n.is_multiple_of(3) { "}!{" } else { "-x" };
    RecordId::new(&format!("thing_{n:04}{odd}")).expect("visible ASCII")
}

fn key(n: u64) -> RecordKey {
    RecordKey {
        collection: THINGS,
        id: id(n),
    }
}

/// The `n`-th record, of owner 0.
fn record(n: u64) -> NewRecord {
    NewRecord {
        key: key(n),
        owner: owner(0),
        state: format!("state {n}").into(),
        ttl: LONG_TTL,
    }
}

/// The `n`-th record, of an owner.
fn of(who: u64, n: u64) -> NewRecord {
    NewRecord {
        owner: owner(who),
        ..record(n)
    }
}

/// A state of this weight in steps, with some room for what layers add.
fn heavy(steps: u64) -> State {
    let bytes = usize::try_from(steps * STEP).expect("a small number");
    noise(bytes - LAYER_BYTES).into()
}

/// Creates a record that has to be created.
async fn create(store: &dyn Records, record: &NewRecord, limits: RecordLimits) -> Result<Revision> {
    match store.create(record, limits).await? {
        RecordCreation::Created(revision) => Ok(revision),
        other => anyhow::bail!("{} is taken: {other:?}", record.key.id),
    }
}

/// Replaces the state of the `n`-th record, and leaves its time to live as it is.
async fn replace(
    store: &dyn Records,
    n: u64,
    state: impl Into<State>,
    expected: Revision,
) -> Result<Revision, RecordsError> {
    let life = RecordLife::Unchanged;
    store
        .replace(&key(n), state.into(), expected, life, WIDE)
        .await
}

/// The `n`-th record, which has to be there.
async fn loaded(store: &dyn Records, n: u64) -> Result<StoredRecord> {
    let found = store.load(&key(n)).await?;
    found.with_context(|| format!("{} is not stored", id(n)))
}

/// Checks that the record is stored as given, under that revision, and with no longer time to live.
async fn is_stored(store: &dyn Records, record: &NewRecord, revision: Revision) -> Result<()> {
    let found = store.load(&record.key).await?;
    let found = found.with_context(|| format!("{} is not stored", record.key.id))?;
    ensure!(found.revision == revision, "{found:?} under {revision:?}");
    let same =
        (&found.id, &found.owner, &found.state) == (&record.key.id, &record.owner, &record.state);
    ensure!(same, "{found:?} instead of {record:?}");
    let expires_at = store.expires_at(&record.key).await?;
    ensure!(expires_at == Some(found.expires_at), "{expires_at:?}");
    let latest = store.time().await?.plus(record.ttl);
    ensure!(found.expires_at <= latest, "{found:?} outlives {latest}");
    Ok(())
}

/// Checks that every call but a create reports the record as missing.
async fn is_missing(store: &dyn Records, n: u64) -> Result<()> {
    for revision in 0..4 {
        let found = store.load(&key(n)).await?;
        ensure!(found.is_none(), "{found:?}");
        ensure!(store.expires_at(&key(n)).await?.is_none(), "it has an end");
        let replaced = replace(store, n, "new", Revision(revision)).await;
        let missing = matches!(replaced, Err(RecordsError::Missing));
        ensure!(missing, "{replaced:?}");
        ensure!(!store.touch(&key(n), LONG_TTL).await?, "it can be touched");
        ensure!(!store.end(&key(n)).await?, "it can be ended");
    }
    let listed = all(store, None, 1000).await?;
    ensure!(!listed.contains(&id(n)), "{} is listed", id(n));
    Ok(())
}

/// The ids of a list, read in pages of a size.
async fn all(
    store: &dyn Records,
    owner: Option<&PrincipalId>,
    limit: usize,
) -> Result<Vec<RecordId>> {
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = store.list(THINGS, owner, after.as_ref(), limit).await?;
        ensure!(page.records.len() <= limit, "more than {limit}");
        found.extend(page.records.into_iter().map(|record| record.id));
        let Some(next) = page.next else {
            return Ok(found);
        };
        ensure!(Some(&next) > after.as_ref(), "backwards to {next}");
        after = Some(next);
    }
}

/// Checks that a create is refused and changes nothing.
async fn is_refused(store: &dyn Records, record: &NewRecord, limits: RecordLimits) -> Result<()> {
    let before = all(store, None, 1000).await?;
    let refused = store.create(record, limits).await;
    let no_room = matches!(refused, Err(RecordsError::NoRoom { .. }));
    ensure!(no_room, "{refused:?}");
    ensure!(store.load(&record.key).await?.is_none(), "it is stored");
    ensure!(all(store, None, 1000).await? == before, "the list changed");
    Ok(())
}
