//! The driver that hyper polls.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;

use crate::{FillResult, OutgoingFrames, StreamSource};

/// A source as the body of an answer. Dropping it closes the stream.
pub struct StreamBody {
    source: Option<Box<dyn StreamSource>>,
}

impl StreamBody {
    /// A body that ends when the source does.
    #[must_use]
    pub fn new(source: Box<dyn StreamSource>) -> Self {
        Self {
            source: Some(source),
        }
    }

    /// Polls the next frames; `None` if the source has no room for them. Hyper has room when it polls, and
    /// keeps what it gets until then.
    pub(crate) fn poll_next(
        source: &mut dyn StreamSource,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(Bytes, FillResult)>> {
        source.hold(0, false);
        let mut out = OutgoingFrames::plain();
        source.poll_fill(cx, &mut out).map(|fill| {
            if !source.hold(out.len(), out.is_shared()) {
                return None;
            }
            if let Some(progress) = out.result_of_sending(out.len()).progress {
                source.record_progress(progress);
            }
            Some((out.take(), fill))
        })
    }
}

/// The next frame of a body; the source is dropped when it has ended.
pub(crate) fn poll_frame_of(
    place: &mut Option<Box<dyn StreamSource>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
    let Some(source) = place.as_deref_mut() else {
        return Poll::Ready(None);
    };
    StreamBody::poll_next(source, cx).map(|next| {
        let Some((bytes, fill)) = next else {
            *place = None;
            return None;
        };
        debug_assert!(
            fill == FillResult::Last || !bytes.is_empty(),
            "frames have bytes"
        );
        if fill == FillResult::Last {
            *place = None;
        }
        (!bytes.is_empty()).then_some(Ok(Frame::data(bytes)))
    })
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        poll_frame_of(&mut self.source, cx)
    }
}

impl std::fmt::Debug for StreamBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamBody")
            .field("open", &self.source.is_some())
            .finish()
    }
}
