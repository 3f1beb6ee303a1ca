//! Cases for [`ports::ResourceReader`] and [`ports::ResourceFinder`], which one mirror serves.

mod find;
mod fresh;
mod state;

use std::time::Duration;

use anyhow::{Context, Result};
use model::{LogPosition, ResourceUri, StoredEvent};
use ports::{EventLog, ResourceState};

use crate::{ResourceReaderFixture, issue_event};

crate::case::cases! {
    "RR-01" Nothing state::the_newest_state_is_given_in_every_spelling;
    "RR-01" Nothing state::what_no_event_mentions_is_none;
    "RR-02" Nothing fresh::a_read_waits_for_the_event_that_a_caller_knows;
    "RR-02" Nothing fresh::a_reader_that_stays_behind_says_so;
    "RR-03" Nothing fresh::a_position_that_the_log_does_not_have_is_not_waited_for;
    "RR-03" Nothing fresh::without_the_log_the_callers_position_decides;
    "RR-04" Nothing fresh::without_a_position_the_answer_is_what_is_known;
    "RF-01" Nothing find::a_resource_is_found_by_its_node_id;
    "RF-02" Nothing find::a_finder_waits_for_the_events_of_the_log_and_says_if_it_cannot;
}

/// Time for which a follower is held back while a read waits: long enough for a read that does not wait
/// to end, shorter than the deadline of the reader.
const HELD_BACK: Duration = Duration::from_millis(300);

/// The number of the issue that the cases read.
const NUMBER: u64 = 7;

fn uri(number: u64) -> ResourceUri {
    ResourceUri::parse(&format!("github://issues/octo/cat/{number}")).expect("a resource")
}

impl ResourceReaderFixture {
    /// Appends events and returns the position of the last one.
    pub(crate) async fn append(&self, events: Vec<StoredEvent>) -> Result<LogPosition> {
        let epoch = self.log.head().await?.epoch;
        let appended = self.log.append(events).await?;
        let sequence = appended.last().context("an event")?.sequence;
        Ok(LogPosition {
            epoch,
            sequence,
            tag: None,
        })
    }

    /// Appends the `n`-th state of the issue.
    async fn happens(&self, n: u64) -> Result<LogPosition> {
        self.append(vec![issue_event(NUMBER, n)]).await
    }

    async fn get(&self, seen: Option<LogPosition>) -> Result<Option<ResourceState>> {
        Ok(self.reader.get_resource(&uri(NUMBER), seen, None).await?)
    }
}

/// The id of the event that reported the state.
fn event_of(state: Option<ResourceState>) -> Option<String> {
    state.map(|state| state.event_id.to_string())
}

/// As [`event_of`], for the `n`-th state of the issue.
fn nth(n: u64) -> Option<String> {
    Some(issue_event(NUMBER, n).facts.id.to_string())
}
