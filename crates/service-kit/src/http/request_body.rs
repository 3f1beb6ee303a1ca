//! The body of a request, and what happens to the part of it that the router does not read.
//!
//! A connection can only be used again once the body of its request has arrived. Hyper closes it otherwise, after the
//! answer; a balancer that has not been told sends the request of another client on it meanwhile, which is lost. So
//! before an answer begins, a small rest is read and dropped, and where more is left the answer says that it is the
//! connection's last.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

use super::state::ConnectionState;
use crate::limits::{UNREAD_BODY_BYTES, UNREAD_BODY_TIMEOUT};

/// What is left of a request's body.
#[derive(Debug, Default)]
pub(super) enum BodyRest {
    /// It may be read still, has failed, or is not sent before it is asked for.
    #[default]
    Open,
    /// All of it has arrived.
    Ended,
    /// The router has dropped it before its end.
    Unread(Incoming),
}

/// What is left of the body of the request that is worked on, for its answer.
pub(super) type SharedRest = Arc<Mutex<BodyRest>>;

/// The body of a request, which notes when the router waits for it, and its end.
pub(super) struct RequestBody {
    /// `None` once it has ended or failed.
    body: Option<Incoming>,
    state: Arc<ConnectionState>,
    /// `None` for a request without a body.
    rest: Option<SharedRest>,
    /// Whether the client sends nothing before it is asked to (`Expect: 100-continue`), and is not asked yet.
    waits_for_asking: bool,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, expects: bool, state: &Arc<ConnectionState>) -> Self {
        Self {
            rest: (!body.is_end_stream()).then(SharedRest::default),
            body: Some(body),
            state: Arc::clone(state),
            waits_for_asking: expects,
        }
    }

    pub(super) fn rest(&self) -> Option<SharedRest> {
        self.rest.clone()
    }

    fn set_rest(&self, left: BodyRest) {
        if let Some(rest) = &self.rest {
            *rest.lock() = left;
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        this.waits_for_asking = false;
        let frame = poll_noted(body, &this.state, cx);
        match &frame {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) if !body.is_end_stream() => {}
            Poll::Ready(Some(Err(_))) => this.body = None,
            Poll::Ready(_) => {
                this.body = None;
                this.set_rest(BodyRest::Ended);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(Incoming::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|_| !self.waits_for_asking) {
            self.set_rest(BodyRest::Unread(body));
        }
    }
}

/// The next frame of a body; the connection notes whether it waits for it.
fn poll_noted(
    body: &mut Incoming,
    state: &ConnectionState,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
        state.await_body();
        return Poll::Pending;
    };
    match &frame {
        Some(Ok(frame)) if !body.is_end_stream() => {
            state.body_progress(frame.data_ref().map_or(0, Bytes::len));
        }
        _ => state.end_body(),
    }
    Poll::Ready(frame)
}

/// Reads and drops the rest of a body that is small and comes soon.
pub(super) struct RestReader {
    body: Incoming,
    read_bytes: u64,
    /// Set while it waits for the client.
    timeout: Option<Pin<Box<Sleep>>>,
}

impl RestReader {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            read_bytes: 0,
            timeout: None,
        }
    }

    /// Whether the body has ended within the bounds.
    pub(super) fn poll(&mut self, state: &ConnectionState, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if self.body.is_end_stream() {
                return Poll::Ready(true);
            }
            // What is left is known to be more than that, or may be.
            if self.read_bytes + self.body.size_hint().lower() > UNREAD_BODY_BYTES {
                return Poll::Ready(false);
            }
            match poll_noted(&mut self.body, state, cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    self.read_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
                }
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Pending => {
                    let timeout = &mut self.timeout;
                    let timeout =
                        timeout.get_or_insert_with(|| Box::pin(sleep(UNREAD_BODY_TIMEOUT)));
                    return timeout.as_mut().poll(cx).map(|()| false);
                }
            }
        }
    }
}
