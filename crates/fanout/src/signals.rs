//! Signals from other parts of the edge to open streams, and queries about them.

use std::{collections::BTreeSet, sync::Arc};

use access::Principal;
use mcp::{channel::has_channels, notification::ListKind, task::TaskId};
use model::{CursorScope, PrincipalId, Session, SessionId};
use ports::ListChanges;
use tracing::warn;

use crate::{
    announcement::Announcement,
    audience::{AudienceMember, ClientLabels},
    budget::{MatchBound, MatchShare},
    format::{StreamEnd, StreamFormat},
    hub::Hub,
    inbox::MailStream,
    interest::{InterestLog, StreamInterest},
    metrics::GapReason,
    stream::OpenStream,
};

impl Hub {
    /// Number of open streams, with the answers of calls that are resumed.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.taken()
    }

    /// Number of positions of the log whose events are in memory; some may have no event.
    #[must_use]
    pub fn positions_in_memory(&self) -> u64 {
        let (base, head) = (self.ring.base(), self.ring.head());
        head.0.saturating_sub(base.0)
    }

    /// The sessions whose stream is open here.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionId> {
        self.streams.sessions()
    }

    /// The principal that reads the stream of a session, if that is open here.
    #[must_use]
    pub fn session_reader(&self, session: &SessionId) -> Option<Arc<Principal>> {
        let stream = self.streams.of_session(session)?;
        Some(Arc::clone(&stream.principal))
    }

    /// Whether the stream of a session is open here.
    #[must_use]
    pub fn has_session(&self, session: &SessionId) -> bool {
        self.streams.of_session(session).is_some()
    }

    /// Checks whether a client has the event ids of its session's stream: the newest subscription covered
    /// by an id that was sent before the last check. The stream has been open since, so the client has
    /// that id, unless its connection is broken and nobody has noticed yet.
    #[must_use]
    pub fn check_covered(&self, session: &SessionId) -> Option<u64> {
        self.streams.of_session(session)?.check_covered()
    }

    /// Ends the stream of a session that ended.
    pub fn end_session(&self, session: &SessionId) {
        if let Some(stream) = self.streams.of_session(session) {
            stream.end(StreamEnd::SessionEnded);
        }
    }

    /// A newer stream of the session was opened, maybe on another edge: ends the stream here if its
    /// tag is lower than `stays`.
    pub fn take_over(&self, session: &SessionId, stays: u64) {
        if let Some(stream) = self.streams.of_session(session)
            && stream.session.as_ref().is_some_and(|(_, tag)| *tag < stays)
        {
            stream.end(StreamEnd::TakenOver);
        }
    }

    /// Whether a principal may have filters with this cost ([`model::Filter::cost`]) in addition to those of its
    /// open streams here. The session's stream may be on another edge, which decides for itself.
    ///
    /// # Errors
    /// The bound that they would exceed.
    pub fn check_match_cost(&self, principal: &PrincipalId, more: usize) -> Result<(), MatchBound> {
        self.streams.budget.check(principal, more)
    }

    /// Takes a share of what a principal's filters may cost, for a call that waits for an event: it compares every
    /// event with its filters, as a stream does.
    ///
    /// # Errors
    /// The bound that the call would exceed.
    pub fn take_match_share(
        &self,
        principal: &PrincipalId,
        cost: usize,
    ) -> Result<MatchShare, MatchBound> {
        self.streams.budget.take(principal, cost)
    }

    /// The interest of a session at this revision, on this edge.
    #[must_use]
    pub fn interest_of(&self, session: &Session, revision: u64) -> StreamInterest {
        let log = InterestLog {
            timeline: &self.timeline(),
            names: &self.names,
        };
        let interest = StreamInterest::of_session(session, revision, log);
        let interest = interest.as_channel(self.channel_of(session));
        interest.begun_by(self.ring.head())
    }

    /// The scope of the cursors in the channel of a session, if its events are notifications of a channel: its client
    /// asked for that, or is known to have channels. A connection of `/mcp/sse` has a form of its own.
    #[must_use]
    pub fn channel_of(&self, session: &Session) -> Option<CursorScope> {
        let (info, capabilities) = (&session.client_info, &session.client_capabilities);
        let by_client = || has_channels(info, capabilities);
        let is_channel = self.has_channels
            && !session.is_connection
            && session.channel.unwrap_or_else(by_client);
        is_channel.then(|| CursorScope::events(&session.owner))
    }

    /// Whether clients with channels get their events as notifications of a channel.
    #[must_use]
    pub fn has_channels(&self) -> bool {
        self.has_channels
    }

    /// The stored state of the session changed to this revision: updates the interest of its
    /// stream.
    pub fn session_changed(&self, session: &Session, revision: u64) {
        let Some(stream) = self.streams.of_session(&session.id) else {
            return;
        };
        stream.set_labels(ClientLabels::of(session));
        let interest = stream.interest();
        let is_newer = revision > interest.revision;
        if is_newer && !session.has_had_subscription(interest.newest_subscription) {
            // The store lost what the stream knew, and has been changed since.
            self.session_put_back(session, revision);
        } else {
            stream.set_interest(self.interest_of(session, revision));
            stream.follow_names(&self.names);
        }
    }

    /// The revision of the session from which the interest of its stream here was built.
    #[must_use]
    pub fn session_revision(&self, session: &SessionId) -> Option<u64> {
        let stream = self.streams.of_session(session)?;
        Some(stream.interest().revision)
    }

    /// The store has an older revision of the session than the one that its stream had when the store was
    /// read, so the store went back to an earlier state: the stream takes what is there now, and its client
    /// is told.
    pub fn session_put_back(&self, session: &Session, revision: u64) {
        if let Some(stream) = self.streams.of_session(&session.id) {
            warn!(session = %session.id, "the session store lost the last changes of a session");
            self.record_set_back();
            stream.set_labels(ClientLabels::of(session));
            stream.put_back(self.interest_of(session, revision));
            stream.follow_names(&self.names);
        }
    }

    /// Counts a reader that found that the store of sessions went back to an earlier state.
    pub fn record_set_back(&self) {
        self.metrics.gap(GapReason::StoreWentBack);
    }

    /// A stream of the session's mailbox may have new messages; returns whether the stream of the
    /// session is here.
    pub fn notify_mail(&self, session: &SessionId, mail: MailStream) -> bool {
        let stream = self.streams.of_session(session);
        stream.is_some_and(|stream| {
            stream.notify_mail(mail);
            true
        })
    }

    /// Hints may have been lost: the stream of every session reads its mailbox.
    pub fn read_all_mail(&self) {
        for session in self.sessions() {
            self.notify_mail(&session, MailStream::Inbox);
            self.notify_mail(&session, MailStream::Answers);
        }
    }

    /// Makes the streams that carry answers, and whose slot falls into slice `slice` of `slices`,
    /// check for answers without a hint.
    pub fn check_answers(&self, slice: usize, slices: usize) {
        self.streams.check_answers(slice, slices);
    }

    /// The tasks that streams here follow, with their owners.
    #[must_use]
    pub fn followed_tasks(&self) -> BTreeSet<(PrincipalId, TaskId)> {
        self.streams.followed_tasks()
    }

    /// A task changed: the streams of its owner that follow it read it again when their clients can take
    /// it.
    pub fn notify_task(&self, owner: &PrincipalId, task: &TaskId) {
        for stream in self.streams.of_task(task) {
            if stream.principal().id == *owner {
                stream.notify_task(task);
            }
        }
    }

    /// Notifies the streams that asked for changes of lists.
    pub fn notify_lists(&self, lists: ListChanges) {
        self.streams
            .for_slice(0, 1, |stream| stream.notify_lists(lists));
    }

    /// Ends the streams whose reader's token is no longer valid, or has other rights.
    pub fn end_revoked(&self) {
        self.streams.for_slice(0, 1, OpenStream::end_if_revoked);
    }

    /// Offers a message to the open streams of those clients that `fits` admits. Never blocks.
    pub fn announce(
        &self,
        announcement: &Arc<Announcement>,
        fits: impl Fn(&AudienceMember<'_>) -> bool,
    ) {
        self.streams.for_slice(0, 1, |stream| {
            if stream.ending().is_some() || !stream.may_read() {
                return;
            }
            let labels = stream.labels();
            let member = AudienceMember {
                kind: stream.kind,
                principal: stream.principal(),
                labels: labels.as_deref(),
                protocol_version: match &stream.format {
                    StreamFormat::Listen { version, .. } => Some(version.as_str()),
                    _ => None,
                },
            };
            if suits(announcement, stream) && fits(&member) {
                stream.announce(announcement);
            }
        });
    }

    /// Makes the connections of `/mcp/sse` whose slot falls into slice `slice` of `slices` send a heartbeat.
    pub fn beat_by_name(&self, slice: usize, slices: usize) {
        self.streams.beat_by_name(slice, slices);
    }
}

/// Whether a stream can carry a message to many clients: a listen stream has what its client opted in to, and no
/// more.
fn suits(announcement: &Announcement, stream: &OpenStream) -> bool {
    let StreamFormat::Listen { .. } = &stream.format else {
        return true;
    };
    let list = announcement.list();
    let wants_list = list.is_some_and(|list| stream.news.wants_lists(only(list)));
    let interest = stream.interest();
    let mut uris = interest.requested_uris();
    wants_list
        || announcement
            .resource()
            .is_some_and(|resource| uris.any(|uri| uri == resource))
}

fn only(list: ListKind) -> ListChanges {
    ListChanges {
        tools: list == ListKind::Tools,
        prompts: list == ListKind::Prompts,
        resources: list == ListKind::Resources,
    }
}
