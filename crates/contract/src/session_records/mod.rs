//! Cases for [`edge_records::SessionRecords`].

mod bounds;
mod handles;
mod life;
mod list;
mod revisions;
mod set_back;
mod unreadable;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use edge_records::SessionRecords;
use model::Session;
use ports::Records;

use crate::{
    Harness, RecordsFixture,
    sessions::{ROOMY, position, session},
};

crate::case::cases! {
    "SS-01" Nothing life::what_was_created_is_loaded_as_it_was;
    "SS-01" Nothing life::what_is_not_there_is_none;
    "SS-02" Nothing revisions::of_several_creates_one_wins;
    "SS-03" Nothing revisions::replace_with_the_current_revision_stores_a_higher_one;
    "SS-03" Nothing revisions::replace_with_another_revision_changes_nothing;
    "SS-04" Nothing life::an_ended_session_stays_ended;
    "SS-04" Nothing life::of_several_ends_one_ends_it;
    "SS-04" Nothing revisions::a_replace_beside_an_end_brings_nothing_back;
    "SS-05" Nothing life::an_untouched_session_goes_after_its_ttl;
    "SS-05" Nothing life::an_expired_session_is_missing_to_every_call;
    "SS-06" Nothing life::touch_restarts_the_ttl_and_keeps_the_revision;
    "SS-06" Nothing life::replace_restarts_the_ttl;
    "SS-07" Nothing list::every_living_session_once_in_pages_by_id;
    "SS-08" Nothing revisions::of_concurrent_replaces_one_wins;
    "SS-08" Nothing revisions::no_concurrent_change_is_lost;
    "SS-08" Shared handles::of_concurrent_replaces_over_handles_one_wins;
    "SS-09" Durable handles::what_was_acknowledged_outlives_a_reopen;
    "SS-10" Shared handles::what_one_handle_stored_another_loads_at_once;
    "SS-11" Nothing bounds::beyond_the_stores_bound_a_session_is_refused;
    "SS-11" Nothing bounds::beyond_its_owners_bound_a_session_is_refused;
    "SS-12" Nothing bounds::what_ended_does_not_count;
    "SS-12" Nothing bounds::what_expired_does_not_count;
    "SS-12" Nothing bounds::what_was_touched_counts_for_as_long_as_it_lives;
    "SS-13" Nothing bounds::creates_at_once_do_not_pass_the_bounds;
    "SS-13" Shared handles::creates_at_once_over_handles_do_not_pass_the_bounds;
    "SS-14" GoesBack set_back::a_revision_of_a_lost_time_is_not_given_out_again;
    "SS-15" Nothing life::the_stores_time_is_the_one_that_sessions_expire_by;
    "SS-15" Shared handles::every_handle_has_the_same_time;
    "SS-16" Nothing life::a_check_accepts_and_leaves_nothing;
    "SS-17" Nothing unreadable::a_session_of_another_version_concerns_itself_alone;
    "SS-18" Nothing bounds::beyond_the_bytes_a_session_is_refused_and_may_shrink;
}

/// A time to live that exceeds the duration of every case.
const LONG_TTL: Duration = Duration::from_secs(3600);

/// A store of sessions for one case.
struct SessionFixture {
    store: Arc<SessionRecords>,
    of: RecordsFixture,
}

fn sessions_of(store: &Arc<dyn Records>) -> Arc<SessionRecords> {
    Arc::new(SessionRecords::new(Arc::clone(store)))
}

/// A fresh store without sessions.
async fn fixture(harness: &Arc<dyn Harness>) -> Result<SessionFixture> {
    let of = harness.records().await?;
    let store = sessions_of(&of.store);
    Ok(SessionFixture { store, of })
}

impl SessionFixture {
    fn short_ttl(&self) -> Duration {
        self.of.short_ttl()
    }

    async fn advance_time(&self, time: Duration) {
        self.of.advance_time(time).await;
    }

    /// Another handle on the store.
    async fn peer(&self) -> Result<Arc<SessionRecords>> {
        Ok(sessions_of(&self.of.handles.peer().await?))
    }

    async fn reopen(&mut self) -> Result<()> {
        self.store = sessions_of(&self.of.handles.reopen().await?);
        Ok(())
    }
}

/// The same session with a visible change.
fn changed(session: &Session, mark: u64) -> Session {
    let mut changed = session.clone();
    changed.initialized = true;
    changed.client_info = serde_json::json!({ "mark": mark });
    changed.subscriptions.pop();
    changed
}
