//! A source that travels with its response to its driver.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;

use crate::{
    FillResult, OutgoingFrames, SendProgress, StreamBody, StreamSource, body::poll_frame_of,
    sync::Mutex,
};

/// The source of a response, in its extensions and in its body: the HTTP server takes it out for a
/// reactor, or leaves it to the body and asks here whether the client is still worth waiting for. Clones
/// share the same source.
#[derive(Clone)]
pub struct Handover(Arc<Mutex<Place>>);

struct Place {
    /// `None` once it has been taken or has ended.
    source: Option<Box<dyn StreamSource>>,
    /// Whether the body may have more at once.
    has_more: bool,
}

impl Handover {
    /// Wraps a source.
    #[must_use]
    pub fn new(source: Box<dyn StreamSource>) -> Self {
        Self(Arc::new(Mutex::new(Place {
            source: Some(source),
            has_more: true,
        })))
    }

    /// The body, for the case that the source is not taken.
    #[must_use]
    pub fn body(&self) -> HandoverBody {
        HandoverBody(self.clone())
    }

    /// Takes the source with its first frames, which are sent with the response's head. `None` if it has
    /// been taken already, or if it ended with its first frames (then they are left to the body).
    #[must_use]
    pub fn take(&self) -> Option<(Bytes, Box<dyn StreamSource>)> {
        let mut place = self.0.lock();
        let mut source = place.source.take()?;
        let mut cx = Context::from_waker(Waker::noop());
        match StreamBody::poll_next(&mut *source, &mut cx) {
            Poll::Pending => Some((Bytes::new(), source)),
            Poll::Ready(Some((first, FillResult::Frames))) => Some((first, source)),
            Poll::Ready(Some((first, FillResult::Last))) => {
                place.source = Some(Box::new(EndedSource(first)));
                None
            }
            Poll::Ready(None) => {
                place.source = Some(Box::new(EndedSource(Bytes::new())));
                None
            }
        }
    }

    /// Whether the source gives up a client that has been behind for this long and takes nothing now
    /// ([`StreamSource::should_give_up`]). `None` if the source has been taken or has ended.
    #[must_use]
    pub fn should_give_up(&self, behind: Duration) -> Option<bool> {
        let place = self.0.lock();
        place
            .source
            .as_ref()
            .map(|source| source.should_give_up(behind))
    }

    /// The socket of the body is full ([`StreamSource::release`]).
    pub fn release(&self) {
        if let Some(source) = &mut self.0.lock().source {
            source.release();
        }
    }

    /// Whether the last poll of the body still found something to send: then its client is behind, even
    /// if it has taken all that was written.
    #[must_use]
    pub fn has_more(&self) -> bool {
        let place = self.0.lock();
        place.source.is_some() && place.has_more
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handover")
    }
}

/// The remaining frames of a source that has ended.
struct EndedSource(Bytes);

impl StreamSource for EndedSource {
    fn poll_fill(&mut self, _: &mut Context<'_>, out: &mut OutgoingFrames) -> Poll<FillResult> {
        out.push_unrepeatable(|buffer| buffer.extend_from_slice(&self.0));
        Poll::Ready(FillResult::Last)
    }

    fn record_progress(&mut self, _: SendProgress) {}

    fn should_give_up(&self, _: Duration) -> bool {
        false
    }
}

/// The source of a [`Handover`] as a body, as long as it is not taken. Dropping it closes the stream.
#[derive(Debug)]
pub struct HandoverBody(Handover);

impl http_body::Body for HandoverBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut place = self.0.0.lock();
        let polled = poll_frame_of(&mut place.source, cx);
        place.has_more = polled.is_ready();
        polled
    }
}

impl Drop for HandoverBody {
    fn drop(&mut self) {
        // Outside the lock: dropping a source runs code of its own.
        let source = self.0.0.lock().source.take();
        drop(source);
    }
}
