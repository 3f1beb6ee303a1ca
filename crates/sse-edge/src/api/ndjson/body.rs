//! The response body of an NDJSON connection.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep},
};

use crate::limits::LINE_KEEPALIVE_INTERVAL;

/// Lines as they arrive, and an empty line after each long silence. Dropping it ends the work of
/// the connection.
pub(super) struct LineBody {
    queue: mpsc::Receiver<Bytes>,
    silence: Pin<Box<Sleep>>,
}

impl LineBody {
    pub(super) fn new(queue: mpsc::Receiver<Bytes>) -> Self {
        let silence = Box::pin(tokio::time::sleep(LINE_KEEPALIVE_INTERVAL));
        Self { queue, silence }
    }
}

impl http_body::Body for LineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.queue.poll_recv(cx) {
            Poll::Ready(Some(line)) => line,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending if self.silence.as_mut().poll(cx).is_ready() => Bytes::from_static(b"\n"),
            Poll::Pending => return Poll::Pending,
        };
        self.silence
            .as_mut()
            .reset(Instant::now() + LINE_KEEPALIVE_INTERVAL);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_empty_lines() {
        let (lines, queue) = mpsc::channel(1);
        let mut body = LineBody::new(queue);
        let began = Instant::now();
        for nth in 1..=2 {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "\n");
            assert!(began.elapsed() >= LINE_KEEPALIVE_INTERVAL * nth);
        }
        lines.send(Bytes::from_static(b"{}\n")).await.unwrap();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "{}\n"
        );
        drop(lines);
        assert!(body.frame().await.is_none());
    }
}
