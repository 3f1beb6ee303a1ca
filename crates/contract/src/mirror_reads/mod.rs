//! Cases for [`ports::MirrorReads`], on what the events of a log show.

mod fresh;
mod names;
mod pages;

use anyhow::{Result, ensure};
use ports::{MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirroredKind, MirroredState};

use crate::{ResourceReaderFixture, issue_event};

crate::case::cases! {
    "ML-01" Nothing pages::every_resource_is_in_a_list_once_in_its_order;
    "ML-01" Nothing pages::a_filter_leaves_out_what_does_not_fit;
    "ML-01" Nothing pages::what_changes_between_pages_is_not_lost;
    "ML-02" Nothing pages::many_states_are_given_in_the_order_of_their_addresses;
    "ML-03" Nothing fresh::lists_wait_for_the_events_of_the_log_and_say_if_they_cannot;
    "ML-03" Nothing fresh::without_a_position_lists_have_what_is_known;
    "ML-04" Nothing pages::the_cursor_of_another_list_is_refused;
    "ML-05" Nothing pages::what_is_not_mirrored_has_no_progress_and_is_not_compared;
    "ML-06" Nothing names::a_name_has_its_present_holder_or_none;
}

/// Issues that the cases list.
const ISSUES: u64 = 7;

fn listing(order: MirrorOrder, descending: bool) -> MirrorListing {
    MirrorListing {
        kind: MirroredKind::Issue,
        owner: "OCTO".to_owned(),
        repo: Some("cat".to_owned()),
        filter: MirrorFilter::default(),
        order,
        descending,
        limit: 3,
        after: None,
    }
}

fn address(number: u64) -> MirrorAddress {
    MirrorAddress {
        kind: MirroredKind::Issue,
        owner: "octo".to_owned(),
        repo: Some("CAT".to_owned()),
        number,
    }
}

/// The number of an issue, and which of its states it is.
fn nth(state: &MirroredState) -> Result<(u64, u64)> {
    let object: serde_json::Value = serde_json::from_slice(&state.json)?;
    let n = object["state"].as_u64().unwrap_or_default();
    Ok((state.address.number, n))
}

impl ResourceReaderFixture {
    /// A fixture whose log has one state of each issue, changed in the order of `states`, and whose mirror has them.
    async fn with_issues(self, states: impl Fn(u64) -> u64) -> Result<Self> {
        let events = (1..=ISSUES).map(|number| issue_event(number, states(number)));
        let seen = self.append(events.collect()).await?;
        self.mirror.get_many(&[], Some(seen), None).await?;
        Ok(self)
    }

    /// All pages of a list, from its beginning.
    async fn pages(&self, mut listing: MirrorListing) -> Result<Vec<(u64, u64)>> {
        let mut all = Vec::new();
        loop {
            let page = self.mirror.list(&listing, None, None).await?;
            ensure!(page.states.len() <= listing.limit, "a page is too long");
            for state in &page.states {
                all.push(nth(state)?);
            }
            let Some(next) = page.next else {
                return Ok(all);
            };
            listing.after = Some(next);
        }
    }
}
