//! Opens streams.

use std::sync::Arc;

use access::{AuthError, NoPlace};
use model::Sequence;

use crate::{
    bounds::MaxAge,
    error::HubError,
    feed::{Feed, OpeningFrames},
    format::StreamReader,
    hub::{Hub, StreamRequest},
    stream::OpenStream,
    streams::NoRoom,
};

impl Hub {
    /// Opens a stream; `opening` builds its first frames from the cursor at which it begins.
    ///
    /// # Errors
    /// The edge has not reached the log yet, is full, or cannot check the cursor now.
    pub async fn open<O: Into<OpeningFrames>>(
        self: &Arc<Self>,
        open: StreamRequest,
        opening: impl FnOnce(&StreamReader, Sequence) -> O,
    ) -> Result<Feed, HubError> {
        if !self.has_started() {
            return Err(HubError::NotReady);
        }
        let reader = StreamReader {
            newest_subscription: open.interest.newest_subscription,
            inbox: open.inbox,
            ..self.reader(open.scope)
        };
        let StreamRequest {
            kind,
            format,
            session,
            principal,
            interest,
            begin,
            wants,
            ages,
            ..
        } = open;
        let age = self.bounds.age;
        let ends_at = match ages {
            true => age.end(self.second(), || self.random()),
            false => MaxAge::NEVER,
        };
        let stream = OpenStream::new(kind, format, session, principal, interest, wants, ends_at);
        let stream = Arc::new(stream);
        // Inserted into the slab before its position is taken, so that no event is missed in
        // between.
        let slot = self
            .streams
            .insert(&stream, self.bounds.max_streams)
            .map_err(|refusal| {
                self.metrics.stream_refused();
                match refusal {
                    NoRoom::Streams(NoPlace::Full { max }) => HubError::TooManyStreams {
                        max_streams: max,
                        bound: self.bounds.bound,
                    },
                    NoRoom::Streams(NoPlace::Share { own, .. }) => {
                        HubError::TooManyOwnStreams { own }
                    }
                    NoRoom::Filters(bound) => HubError::TooManyFilters(bound),
                }
            })?;
        self.metrics.set_match_cost(self.streams.budget.total());
        let may_read = stream.may_read();
        let mut feed = Feed::new(Arc::clone(self), stream, slot, reader.clone());
        if !may_read {
            // Revoked while the stream was being opened, perhaps before the revocation could end
            // it.
            return Err(HubError::Denied(AuthError::Unknown));
        }
        if self.epoch() != reader.keys.epoch() {
            // The log was replaced just now, perhaps before the replacement could end this stream.
            return Err(HubError::NotReady);
        }
        let (position, truncated) = self.resolve(begin).await?;
        feed.begin(position, truncated, opening(&reader, position).into());
        Ok(feed)
    }
}
