//! Reads the body of a request within a budget.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use tokio::time::{Instant, timeout_at};

use super::{ArrivingBody, BodyBudget, BodyRefusal, BodySender, BodyShare};

/// Bounds of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyBounds {
    /// Maximum size in bytes.
    pub max_bytes: usize,
    /// Bytes that it counts for at least, until the work on it has ended.
    pub min_bytes: usize,
    /// Maximum time until it has arrived.
    pub timeout: Duration,
}

/// A body that has arrived, with the memory that it holds.
#[derive(Debug, Clone)]
pub struct HeldBody {
    /// The bytes.
    pub bytes: Bytes,
    /// To be kept as long as the bytes, or what was made of them, are in memory.
    pub share: Arc<BodyShare>,
}

impl BodyBudget {
    /// Reads a body to its end.
    ///
    /// # Errors
    /// It is too large, too slow or incomplete, or there is no memory for it. Then the rest is not read, so that
    /// the connection ends with the answer.
    pub async fn read(
        self: &Arc<Self>,
        headers: &HeaderMap,
        body: Body,
        sender: BodySender,
        bounds: &BodyBounds,
    ) -> Result<HeldBody, BodyRefusal> {
        let announced = announced_bytes(headers);
        let too_large = BodyRefusal::TooLarge {
            max_bytes: bounds.max_bytes,
        };
        let read = match announced {
            Some(bytes) if bytes > bounds.max_bytes as u64 => Err(too_large),
            _ => {
                let arriving = BodyInBuffer {
                    arriving: self.open(sender),
                    buffer: Vec::new(),
                    announced: announced.and_then(|bytes| usize::try_from(bytes).ok()),
                };
                arriving.read(body, bounds).await
            }
        };
        read.inspect_err(|refusal| self.refused(*refusal))
    }

    /// Counts a body that was refused by its reader, for instance a line of a stream of lines.
    pub fn count_refusal(&self, refusal: BodyRefusal) {
        self.refused(refusal);
    }
}

/// The size that a header announces.
fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

struct BodyInBuffer {
    arriving: ArrivingBody,
    buffer: Vec<u8>,
    announced: Option<usize>,
}

impl BodyInBuffer {
    async fn read(mut self, body: Body, bounds: &BodyBounds) -> Result<HeldBody, BodyRefusal> {
        let deadline = Instant::now() + bounds.timeout;
        let reading = self.read_all(body, bounds);
        let read = timeout_at(deadline, reading).await;
        read.map_err(|_| BodyRefusal::TimedOut {
            seconds: bounds.timeout.as_secs(),
        })??;
        self.buffer.shrink_to_fit();
        let bytes = self.buffer.capacity().max(bounds.min_bytes);
        let share = self.arriving.complete(bytes)?;
        Ok(HeldBody {
            bytes: self.buffer.into(),
            share: Arc::new(share),
        })
    }

    async fn read_all(&mut self, mut body: Body, bounds: &BodyBounds) -> Result<(), BodyRefusal> {
        self.arriving.hold(bounds.min_bytes).await?;
        loop {
            let frame = tokio::select! {
                biased;
                refusal = self.arriving.given_up() => return Err(refusal),
                frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)) => frame,
            };
            let Some(frame) = frame else {
                return Ok(());
            };
            let frame = frame.map_err(|_| BodyRefusal::Incomplete)?;
            // Trailers are ignored.
            if let Ok(data) = frame.into_data() {
                self.add(&data, bounds).await?;
            }
        }
    }

    async fn add(&mut self, data: &Bytes, bounds: &BodyBounds) -> Result<(), BodyRefusal> {
        let length = self.buffer.len().saturating_add(data.len());
        if length > bounds.max_bytes {
            return Err(BodyRefusal::TooLarge {
                max_bytes: bounds.max_bytes,
            });
        }
        if length > self.buffer.capacity() {
            // Doubled, so that it is copied a few times only, but not beyond what can still come.
            let most = self.announced.unwrap_or(bounds.max_bytes).max(length);
            let capacity = length.max(self.buffer.capacity().saturating_mul(2).min(most));
            if capacity > self.arriving.held() {
                self.arriving.hold(capacity).await?;
            }
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(data);
        self.arriving.received(length);
        Ok(())
    }
}
