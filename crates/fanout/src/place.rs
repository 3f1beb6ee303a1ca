//! A place among the streams of an edge for the answer of a call that is resumed: it costs what a stream
//! costs, so it is counted, bounded and aged like one.

use std::sync::Arc;

use access::NoPlace;
use model::{PrincipalId, Timestamp};

use crate::{HubError, hub::Hub, metrics::StreamKind};

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub struct StreamPlace {
    hub: Arc<Hub>,
    principal: PrincipalId,
    /// The second of the hub in which the place has to be given back.
    ends_at: u32,
    opened_at: Timestamp,
}

impl Hub {
    /// Takes a place for the resumed answer of a call.
    ///
    /// # Errors
    /// As for a stream: all places are taken, or the principal has its share.
    pub fn take_stream_place(
        self: &Arc<Self>,
        principal: &PrincipalId,
    ) -> Result<StreamPlace, HubError> {
        let taken = self.streams.take_place(principal, self.bounds.max_streams);
        taken.map_err(|refusal| self.no_place(refusal))?;
        self.metrics.stream_opened(StreamKind::Call);
        Ok(StreamPlace {
            hub: Arc::clone(self),
            principal: principal.clone(),
            ends_at: self.bounds.age.end(self.second(), || self.random()),
            opened_at: self.clock.now(),
        })
    }

    /// The error for a client without a place.
    pub(crate) fn no_place(&self, refusal: NoPlace) -> HubError {
        self.metrics.stream_refused();
        match refusal {
            NoPlace::Full { max } => HubError::TooManyStreams {
                max_streams: max,
                bound: self.bounds.bound,
            },
            NoPlace::Share { own, .. } => HubError::TooManyOwnStreams { own },
        }
    }
}

impl StreamPlace {
    /// Whether the holder has reached the maximum age of a stream.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.hub.second() >= self.ends_at
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.hub.streams.give_back_place(&self.principal);
        let age = self.hub.clock.now().since(self.opened_at);
        self.hub.metrics.stream_closed(StreamKind::Call, age);
    }
}
