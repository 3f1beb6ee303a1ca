//! The response body of an NDJSON connection.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep},
};

use super::queue::QueuedLine;
use crate::limits::LINE_KEEPALIVE_INTERVAL;

/// Lines as they arrive, and an empty line after each long silence. Dropping it ends the work of
/// the connection.
pub(super) struct LineBody {
    queue: mpsc::Receiver<QueuedLine>,
    /// The line that the connection has in part.
    begun: Option<QueuedLine>,
    silence: Pin<Box<Sleep>>,
}

impl LineBody {
    pub(super) fn new(queue: mpsc::Receiver<QueuedLine>) -> Self {
        let silence = Box::pin(tokio::time::sleep(LINE_KEEPALIVE_INTERVAL));
        Self {
            queue,
            begun: None,
            silence,
        }
    }

    /// The next part of a line; `None` once there are no more lines.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(line) = &mut self.begun {
                let part = line.next_part();
                if !part.is_empty() {
                    return Poll::Ready(Some(part));
                }
                self.begun = None;
            }
            match ready!(self.queue.poll_recv(cx)) {
                Some(line) => self.begun = Some(line),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl http_body::Body for LineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.poll_part(cx) {
            Poll::Ready(Some(part)) => part,
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

    use super::{super::queue::line_queue, *};
    use crate::{
        limits::{ANSWER_PART_BYTES, LINE_BYTES, LINE_QUEUE_BYTES},
        shared_bytes::SharedBytes,
    };

    fn queue() -> (super::super::queue::LineSender, mpsc::Receiver<QueuedLine>) {
        let all = SharedBytes::new(LINE_BYTES, 0);
        line_queue(all.hold(&model::PrincipalId::anonymous()))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_empty_lines() {
        let (lines, queue) = queue();
        let mut body = LineBody::new(queue);
        let began = Instant::now();
        for nth in 1..=2 {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "\n");
            assert!(began.elapsed() >= LINE_KEEPALIVE_INTERVAL * nth);
        }
        lines
            .send(Bytes::from_static(b"{}\n").into())
            .await
            .unwrap();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "{}\n"
        );
        drop(lines);
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn lines_wait_until_there_is_room_for_their_bytes_and_leave_in_parts() {
        let (lines, queue) = queue();
        let line = |bytes: usize| Bytes::from(vec![b'x'; bytes]).into();
        lines.send(line(LINE_QUEUE_BYTES * 2)).await.unwrap();
        let mut second = Box::pin(lines.send(line(1)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(
            second.as_mut().poll(&mut cx).is_pending(),
            "the first has all the room"
        );
        let mut body = LineBody::new(queue);
        let mut taken = 0;
        while taken < LINE_QUEUE_BYTES * 2 {
            assert!(second.as_mut().poll(&mut cx).is_pending(), "{taken}");
            let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(part.len() <= ANSWER_PART_BYTES);
            taken += part.len();
        }
        // The room is free when the connection asks for the next line.
        let next = body.frame();
        tokio::pin!(next);
        assert!(next.as_mut().poll(&mut cx).is_pending());
        second.await.unwrap();
        assert_eq!(next.await.unwrap().unwrap().into_data().unwrap(), "x");
    }
}
