//! ML-01, ML-02, ML-04 and ML-05: what lists have.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ports::{MirrorFilter, MirrorListing, MirrorOrder, MirroredKind, ResourceError};

use super::{ISSUES, address, listing, nth};
use crate::{Harness, issue_event};

/// The state of an issue: the later numbers changed earlier.
fn reversed(number: u64) -> u64 {
    20 - number
}

pub(super) async fn every_resource_is_in_a_list_once_in_its_order(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness
        .resource_reader()
        .await?
        .with_issues(reversed)
        .await?;
    let in_order: Vec<_> = (1..=ISSUES)
        .map(|number| (number, reversed(number)))
        .collect();
    let backwards: Vec<_> = in_order.iter().rev().copied().collect();
    for (order, descending, expected) in [
        (MirrorOrder::Number, false, &in_order),
        (MirrorOrder::Number, true, &backwards),
        (MirrorOrder::Updated, false, &backwards),
        (MirrorOrder::Updated, true, &in_order),
    ] {
        let read = fixture.pages(listing(order, descending)).await?;
        assert_eq!(&read, expected, "{order:?} {descending}");
    }
    let of_owner = MirrorListing {
        repo: None,
        ..listing(MirrorOrder::Number, false)
    };
    assert_eq!(fixture.pages(of_owner).await?, in_order);
    Ok(())
}

pub(super) async fn a_filter_leaves_out_what_does_not_fit(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness
        .resource_reader()
        .await?
        .with_issues(reversed)
        .await?;
    let filtered = |filter| MirrorListing {
        filter,
        ..listing(MirrorOrder::Number, false)
    };
    let since = issue_event(1, reversed(3)).facts.timestamp;
    let recent = filtered(MirrorFilter {
        updated_since: Some(since),
        ..MirrorFilter::default()
    });
    let read = fixture.pages(recent).await?;
    assert_eq!(read, [1, 2, 3].map(|number| (number, reversed(number))));
    let none = [
        MirrorFilter {
            words: vec!["absent".to_owned()],
            ..MirrorFilter::default()
        },
        MirrorFilter {
            labels: vec!["bug".to_owned()],
            ..MirrorFilter::default()
        },
    ];
    for filter in none {
        ensure!(fixture.pages(filtered(filter)).await?.is_empty());
    }
    let unassigned = filtered(MirrorFilter {
        assignee: Some("none".to_owned()),
        ..MirrorFilter::default()
    });
    assert_eq!(fixture.pages(unassigned).await?.len() as u64, ISSUES);
    for elsewhere in [
        MirrorListing {
            kind: MirroredKind::PullRequest,
            ..listing(MirrorOrder::Number, false)
        },
        MirrorListing {
            repo: Some("dog".to_owned()),
            ..listing(MirrorOrder::Number, false)
        },
    ] {
        ensure!(fixture.pages(elsewhere).await?.is_empty());
    }
    Ok(())
}

pub(super) async fn what_changes_between_pages_is_not_lost(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    for descending in [false, true] {
        let fixture = harness.resource_reader().await?.with_issues(|n| n).await?;
        let mut listing = listing(MirrorOrder::Updated, descending);
        let first = fixture.mirror.list(&listing, None, None).await?;
        // One that is not in the first page.
        let seen = fixture.append(vec![issue_event(4, 30)]).await?;
        fixture.mirror.get_many(&[], Some(seen), None).await?;
        listing.after = first.next;
        ensure!(listing.after.is_some(), "there are more");
        let mut read = fixture.pages(listing).await?;
        for state in &first.states {
            read.push(nth(state)?);
        }
        for number in 1..=ISSUES {
            let times = read.iter().filter(|(read, _)| *read == number).count();
            ensure!(
                times == 1 || (number == 4 && times > 1),
                "{number} is in {times} pages"
            );
        }
    }
    Ok(())
}

pub(super) async fn many_states_are_given_in_the_order_of_their_addresses(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness
        .resource_reader()
        .await?
        .with_issues(reversed)
        .await?;
    let addresses = [5, 99, 2, 5].map(address);
    let states = fixture.mirror.get_many(&addresses, None, None).await?;
    let found = states
        .iter()
        .map(|state| state.as_ref().map(nth).transpose());
    let found: Vec<_> = found.collect::<Result<_>>()?;
    let state = |number| Some((number, reversed(number)));
    assert_eq!(found, [state(5), None, state(2), state(5)]);
    let first = states[0].as_ref().context("the fifth issue")?;
    let event = issue_event(5, reversed(5));
    assert_eq!(first.node_id, event.facts.resource_id);
    assert_eq!(first.updated_at, event.facts.timestamp);
    let many = vec![address(1); MirrorListing::MAX_LIMIT + 1];
    let refused = fixture.mirror.get_many(&many, None, None).await;
    ensure!(
        matches!(refused, Err(ResourceError::Refused { .. })),
        "{refused:?}"
    );
    Ok(())
}

pub(super) async fn the_cursor_of_another_list_is_refused(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness
        .resource_reader()
        .await?
        .with_issues(reversed)
        .await?;
    let first = listing(MirrorOrder::Number, false);
    let page = fixture.mirror.list(&first, None, None).await?;
    let next = page.next.context("there are more")?;
    let with = |after: &str, descending, repo: Option<&str>| MirrorListing {
        after: Some(after.to_owned()),
        descending,
        repo: repo.map(str::to_owned),
        ..first.clone()
    };
    fixture
        .mirror
        .list(&with(&next, false, Some("CAT")), None, None)
        .await?;
    for other in [
        with(&next, true, Some("cat")),
        with(&next, false, Some("dog")),
        with(&next, false, None),
        with("none", false, Some("cat")),
        with(&format!("{next}A"), false, Some("cat")),
    ] {
        let refused = fixture.mirror.list(&other, None, None).await;
        let is_refused = matches!(refused, Err(ResourceError::Refused { field: "after", .. }));
        ensure!(is_refused, "{other:?}: {refused:?}");
    }
    Ok(())
}

pub(super) async fn what_is_not_mirrored_has_no_progress_and_is_not_compared(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness
        .resource_reader()
        .await?
        .with_issues(reversed)
        .await?;
    let page = fixture
        .mirror
        .list(&listing(MirrorOrder::Number, false), None, None)
        .await?;
    assert_eq!(page.as_of, None, "events alone show no whole list");
    ensure!(fixture.mirror.progress(None).await?.is_empty());
    for place in [Some("octo/cat"), None] {
        ensure!(!fixture.mirror.compare_now(place, None).await?);
    }
    Ok(())
}
