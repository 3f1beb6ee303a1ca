//! Cases for [`edge_records::PostedCallRecords`].

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use edge_records::{
    OpenPostedCall, PostedCallClaim, PostedCallName, PostedCallRecords, PostedCallState,
};
use model::{LeaseName, PostedCallId, PrincipalId, SessionId, StreamId};
use ports::{Collection, RecordKey, Records, Revision};

use crate::{Harness, records_fixture::spoil};

crate::case::cases! {
    "PC-01" Nothing a_claim_is_open_in_its_own_session_alone;
    "PC-01" Durable an_acknowledged_claim_outlives_a_reopen;
    "PC-02" Shared who_was_answered_for_is_told_and_who_has_answered_leaves_nothing;
    "PC-03" Nothing a_change_whose_outcome_was_unknown_is_made_again;
    "PC-04" Nothing a_call_that_the_store_lost_is_claimed_anew;
    "PC-05" Nothing a_damaged_call_concerns_itself_alone;
}

const POSTED_CALLS: Collection = Collection::new("posted-calls");

fn calls_of(store: &Arc<dyn Records>) -> PostedCallRecords {
    PostedCallRecords::new(Arc::clone(store))
}

fn session(name: &str) -> SessionId {
    SessionId::new(name).expect("letters")
}

fn call(of: &str, id: &str) -> PostedCallName {
    PostedCallName {
        owner: PrincipalId::new("team").expect("letters"),
        session: session(of),
        id: PostedCallId::new(id).expect("letters"),
    }
}

fn run_by(edge: &str) -> PostedCallState {
    PostedCallState {
        edge: LeaseName::new(edge).expect("letters"),
        to: StreamId::new("inbox").expect("letters"),
        lost: "{\"id\":7}".to_owned(),
    }
}

fn own(claim: PostedCallClaim) -> Result<Revision> {
    match claim {
        PostedCallClaim::Own(revision) => Ok(revision),
        PostedCallClaim::Answered => bail!("nobody has answered"),
    }
}

/// Ids and edges of the open calls of a session.
async fn open(calls: &PostedCallRecords, of: &str) -> Result<Vec<(String, String)>> {
    let owner = PrincipalId::new("team")?;
    let found = calls.open(&owner, &session(of)).await?.into_iter();
    let shown = |call: OpenPostedCall| (call.name.id.to_string(), call.state.edge.to_string());
    Ok(found.map(shown).collect())
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = expected.iter();
    pairs
        .map(|(id, edge)| ((*id).to_owned(), (*edge).to_owned()))
        .collect()
}

async fn a_claim_is_open_in_its_own_session_alone(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let calls = calls_of(&fixture.store);
    let first = own(calls.claim(&call("s", "one"), &run_by("a"), None).await?)?;
    for name in [call("s", "two"), call("s2", "one")] {
        own(calls.claim(&name, &run_by("a"), None).await?)?;
    }
    let again = calls
        .claim(&call("s", "one"), &run_by("b"), Some(first))
        .await?;
    let again = own(again)?;
    ensure!(again > first);
    ensure!(open(&calls, "s").await? == pairs(&[("one", "b"), ("two", "a")]));
    ensure!(open(&calls, "s2").await? == pairs(&[("one", "a")]));
    ensure!(open(&calls, "s3").await?.is_empty());
    let owner = PrincipalId::new("team")?;
    let found = calls.open(&owner, &session("s")).await?;
    let one = found.first().context("it is open")?;
    ensure!(
        (one.revision, &one.state) == (again, &run_by("b")),
        "{one:?}"
    );
    ensure!(one.name == call("s", "one"));
    let other = PrincipalId::new("other")?;
    ensure!(calls.open(&other, &session("s")).await?.is_empty());
    Ok(())
}

async fn an_acknowledged_claim_outlives_a_reopen(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let calls = calls_of(&fixture.store);
    own(calls.claim(&call("s", "one"), &run_by("a"), None).await?)?;
    drop((calls, fixture.store));
    let calls = calls_of(&fixture.handles.reopen().await?);
    ensure!(open(&calls, "s").await? == pairs(&[("one", "a")]));
    Ok(())
}

async fn who_was_answered_for_is_told_and_who_has_answered_leaves_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let (here, there) = (
        calls_of(&fixture.store),
        calls_of(&fixture.handles.peer().await?),
    );
    let (lost, kept) = (call("s", "lost"), call("s", "kept"));
    let first = own(here.claim(&lost, &run_by("a"), None).await?)?;
    let second = own(here.claim(&kept, &run_by("a"), None).await?)?;
    ensure!(open(&there, "s").await?.len() == 2);
    there.end(&lost, first, false).await?;
    here.end(&kept, second, true).await?;
    for calls in [&here, &there] {
        ensure!(open(calls, "s").await?.is_empty());
    }
    for last in [Some(first), None] {
        let claim = here.claim(&lost, &run_by("a-again"), last).await?;
        ensure!(claim == PostedCallClaim::Answered, "{claim:?}");
    }
    ensure!(open(&here, "s").await?.is_empty());
    Ok(())
}

async fn a_change_whose_outcome_was_unknown_is_made_again(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let calls = calls_of(&fixture.store);
    let name = call("s", "one");
    let first = own(calls.claim(&name, &run_by("a"), None).await?)?;
    ensure!(own(calls.claim(&name, &run_by("a"), None).await?)? == first);
    let second = own(calls.claim(&name, &run_by("b"), Some(first)).await?)?;
    // As if the answer to the last claim had been lost.
    ensure!(own(calls.claim(&name, &run_by("b"), Some(first)).await?)? == second);
    for _ in 0..2 {
        calls.end(&name, second, true).await?;
    }
    ensure!(open(&calls, "s").await?.is_empty());
    // Of a claim that another one overtook, the last one's state stays.
    let name = call("s", "two");
    let first = own(calls.claim(&name, &run_by("a"), None).await?)?;
    own(calls.claim(&name, &run_by("b"), Some(first)).await?)?;
    own(calls.claim(&name, &run_by("c"), Some(first)).await?)?;
    ensure!(open(&calls, "s").await? == pairs(&[("two", "c")]));
    Ok(())
}

async fn a_call_that_the_store_lost_is_claimed_anew(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let calls = calls_of(&fixture.store);
    let (one, unknown, edge) = (call("s", "one"), Some(Revision(7)), run_by("a").edge);
    ensure!(!calls.has_claim(&one, &edge).await?);
    let revision = own(calls.claim(&one, &run_by("a"), unknown).await?)?;
    ensure!(calls.has_claim(&one, &edge).await?);
    // The store has an earlier claim.
    ensure!(!calls.has_claim(&one, &run_by("b").edge).await?);
    ensure!(open(&calls, "s").await? == pairs(&[("one", "a")]));
    calls.end(&call("s", "two"), Revision(7), true).await?;
    calls.end(&one, revision, false).await?;
    ensure!(calls.has_claim(&one, &edge).await?, "it is over");
    Ok(())
}

async fn a_damaged_call_concerns_itself_alone(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let (calls, records) = (calls_of(&fixture.store), fixture.records());
    for id in ["one", "two"] {
        own(calls.claim(&call("s", id), &run_by("a"), None).await?)?;
    }
    let page = records.list(POSTED_CALLS, None, None, 10).await?;
    let found = page.records.into_iter().next().context("it is listed")?;
    let key = RecordKey {
        collection: POSTED_CALLS,
        id: found.id,
    };
    for damage in [&b""[..], b"\x02{}", b"\x01", b"\x01{", b"\x01[]"] {
        spoil(&*records, &key, damage).await?;
        ensure!(open(&calls, "s").await? == pairs(&[("two", "a")]));
    }
    Ok(())
}
