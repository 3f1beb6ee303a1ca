//! A source that travels with its response, for whoever drives it.

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

use crate::{Fill, Outgoing, Progress, Source, StreamBody, sync::Mutex};

/// The source of a response, in its extensions and in its body: the HTTP server takes it out for a reactor,
/// or leaves it to the body. Clones are the same source.
#[derive(Clone)]
pub struct Handover(Arc<Mutex<Option<Box<dyn Source>>>>);

impl Handover {
    /// Makes one of a source.
    #[must_use]
    pub fn new(source: Box<dyn Source>) -> Self {
        Self(Arc::new(Mutex::new(Some(source))))
    }

    /// The body for the case that nobody takes the source.
    #[must_use]
    pub fn body(&self) -> HandoverBody {
        HandoverBody {
            handover: Some(self.clone()),
            body: None,
        }
    }

    /// Takes the source, with its first frames: they go out with the response's head. `None` if somebody
    /// has it already, or if it ended with its first frames (then they are left to the body).
    #[must_use]
    pub fn take(&self) -> Option<(Bytes, Box<dyn Source>)> {
        let mut place = self.0.lock();
        let mut source = place.take()?;
        let mut cx = Context::from_waker(Waker::noop());
        match StreamBody::poll_next(&mut *source, &mut cx) {
            Poll::Pending => Some((Bytes::new(), source)),
            Poll::Ready((first, Fill::Frames)) => Some((first, source)),
            Poll::Ready((first, Fill::Last)) => {
                *place = Some(Box::new(Ended(first)));
                None
            }
        }
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handover")
    }
}

/// What is left of a source that has ended.
struct Ended(Bytes);

impl Source for Ended {
    fn poll_fill(&mut self, _: &mut Context<'_>, out: &mut Outgoing) -> Poll<Fill> {
        out.keep(|buffer| buffer.extend_from_slice(&self.0));
        Poll::Ready(Fill::Last)
    }

    fn taken(&mut self, _: Progress) {}

    fn gives_up(&self, _: Duration) -> bool {
        false
    }
}

/// The source of a [`Handover`] as a body, if it is still there at the first poll.
#[derive(Debug)]
pub struct HandoverBody {
    handover: Option<Handover>,
    body: Option<StreamBody>,
}

impl http_body::Body for HandoverBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(handover) = self.handover.take() {
            self.body = handover.0.lock().take().map(StreamBody::new);
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }
}
