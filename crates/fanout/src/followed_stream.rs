//! An open stream as those see it who follow subscriptions for it: they change what it wants, end it, and read
//! how far it has come.

use std::sync::{Arc, Weak};

use model::{LogPosition, Sequence};
use parking_lot::Mutex;

use crate::{
    format::StreamEnd,
    hub::Hub,
    interest::{FollowedSubscription, InterestLog, StreamInterest},
    stream::OpenStream,
};

/// How far the socket of a stream's client has taken the events that the stream wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenPosition {
    /// The revision of the interest with which it came here: what was added since may be missing before it.
    pub revision: u64,
    /// The generation of the log to which the position belongs ([`Hub::generation`]).
    pub generation: u32,
    /// Every wanted event up to here was taken.
    pub position: LogPosition,
}

/// Where a stream says how far it has come.
#[derive(Debug, Default)]
pub(crate) struct StreamProgress(Mutex<Option<TakenPosition>>);

impl StreamProgress {
    pub(crate) fn record(&self, taken: TakenPosition) {
        *self.0.lock() = Some(taken);
    }
}

/// A stream that follows subscriptions. It does not keep the stream open.
#[derive(Debug, Clone)]
pub struct FollowedStream {
    hub: Weak<Hub>,
    stream: Weak<OpenStream>,
    progress: Arc<StreamProgress>,
}

impl FollowedStream {
    pub(crate) fn new(
        hub: &Arc<Hub>,
        stream: &Arc<OpenStream>,
        progress: Arc<StreamProgress>,
    ) -> Self {
        Self {
            hub: Arc::downgrade(hub),
            stream: Arc::downgrade(stream),
            progress,
        }
    }

    /// Whether the stream is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stream.strong_count() > 0
    }

    /// How far the client has come; `None` before the stream has begun.
    #[must_use]
    pub fn taken(&self) -> Option<TakenPosition> {
        *self.progress.0.lock()
    }

    /// Replaces what the stream wants: what is new is sent from its own position on, and nothing twice. A revision
    /// older than the present one is ignored.
    pub fn set_subscriptions<'f>(
        &self,
        subscriptions: impl IntoIterator<Item = FollowedSubscription<'f>>,
        revision: u64,
        newest_subscription: u64,
    ) {
        if let (Some(hub), Some(stream)) = (self.hub.upgrade(), self.stream.upgrade()) {
            let interest = hub.interest_in(subscriptions, revision, newest_subscription);
            stream.set_interest(interest);
            stream.follow_names(hub.names());
        }
    }

    /// Replaces what the stream wants by an interest that was made before; as [`Self::set_subscriptions`].
    pub fn set_interest(&self, interest: StreamInterest) {
        if let (Some(hub), Some(stream)) = (self.hub.upgrade(), self.stream.upgrade()) {
            stream.set_interest(interest);
            // Something may have been renamed since it was made.
            stream.follow_names(hub.names());
        }
    }

    /// Ends the stream; the first reason stays.
    pub fn end(&self, ending: StreamEnd) {
        if let Some(stream) = self.stream.upgrade() {
            stream.end(ending);
        }
    }
}

impl Hub {
    /// The interest in subscriptions, on this edge. `newest_subscription` is what the stream's event ids say of
    /// the subscriptions that it knows.
    #[must_use]
    pub fn interest_in<'f>(
        &self,
        subscriptions: impl IntoIterator<Item = FollowedSubscription<'f>>,
        revision: u64,
        newest_subscription: u64,
    ) -> StreamInterest {
        let log = InterestLog {
            timeline: &self.timeline(),
            names: self.names(),
        };
        let interest = StreamInterest::of_subscriptions(subscriptions, revision, log);
        let interest = interest.begun_by(self.position().sequence);
        interest.knowing(newest_subscription)
    }

    /// The start of this edge's log, as a position that is stored: everything comes after it.
    #[must_use]
    pub fn log_start(&self) -> LogPosition {
        LogPosition {
            epoch: self.epoch(),
            sequence: Sequence::START,
            tag: None,
        }
    }
}
