//! Opens streams.

use std::sync::Arc;

use access::AuthError;

use crate::{
    bounds::MaxAge,
    error::HubError,
    feed::{Feed, OpeningFrames},
    format::StreamReader,
    hub::{Hub, StreamRequest, StreamStart},
    stream::{OpenStream, StreamLife},
    streams::NoRoom,
};

impl Hub {
    /// Opens a stream; `opening` builds its first frames, from the cursor at which it begins
    /// ([`Feed::cursor`]).
    ///
    /// # Errors
    /// The edge has not reached the log yet, is full, or cannot check the cursor now.
    pub async fn open<O: Into<OpeningFrames>>(
        self: &Arc<Self>,
        open: StreamRequest,
        opening: impl FnOnce(&Feed) -> O,
    ) -> Result<Feed, HubError> {
        let reader = StreamReader {
            newest_subscription: open.interest.newest_subscription,
            inbox: open.inbox,
            ..self.reader(open.scope)?
        };
        let StreamRequest {
            labels,
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
        let stream = OpenStream::new(
            kind,
            format,
            session,
            principal,
            interest,
            wants,
            StreamLife {
                opened_at: self.clock.now(),
                ends_at,
            },
        );
        if let Some(labels) = labels {
            stream.set_labels(labels);
        }
        let stream = Arc::new(stream);
        // Inserted into the slab before its position is taken, so that no event is missed in
        // between.
        let slot = self
            .streams
            .insert(&stream, self.bounds.max_streams)
            .map_err(|refusal| match refusal {
                NoRoom::Streams(full) => self.no_place(full),
                NoRoom::Filters(bound) => {
                    self.metrics.stream_refused();
                    HubError::TooManyFilters(bound)
                }
                NoRoom::Tasks(full) => {
                    self.metrics.stream_refused();
                    HubError::TooManyFollowedTasks(full)
                }
            })?;
        // Something may have been renamed since the interest was made.
        stream.follow_names(&self.names);
        self.metrics.set_match_cost(self.streams.budget.total());
        let may_read = stream.may_read();
        let epoch = reader.keys.epoch();
        let mut feed = Feed::new(Arc::clone(self), stream, slot, reader);
        if !may_read {
            // Revoked while the stream was being opened, perhaps before the revocation could end
            // it.
            return Err(HubError::Denied(AuthError::Unknown));
        }
        if self.epoch() != epoch {
            // The log was replaced just now, perhaps before the replacement could end this stream.
            return Err(HubError::NotReady);
        }
        let (resumed, is_elsewhere) = match &begin {
            StreamStart::After(cursor) => (cursor.tag, false),
            begin => (None, matches!(begin, StreamStart::Since(_))),
        };
        let principal = feed.principal_id().clone();
        let (position, truncated) = self.resolve_start(begin, &principal).await?;
        let tag = match is_elsewhere || truncated {
            true => self.look_up(position, &principal).await,
            false => resumed,
        };
        feed.begin_at(position, tag);
        let opening = opening(&feed).into();
        feed.begin(truncated, opening);
        Ok(feed)
    }
}
