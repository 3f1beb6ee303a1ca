//! Compresses whole answers, within a bound on how many are compressed at once. See ADR 007.

use std::{io::Write, sync::Arc};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tokio::sync::Semaphore;

use crate::limits::{COMPRESSION_STEP_BYTES, COMPRESSIONS};

/// The places of answers that are being compressed; none if the operator wants none compressed.
#[derive(Debug, Clone)]
pub(crate) struct AnswerCompression(Option<Arc<Semaphore>>);

impl AnswerCompression {
    pub(crate) fn new(is_on: bool) -> Self {
        Self(is_on.then(|| Arc::new(Semaphore::new(COMPRESSIONS))))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The compressed answer; `None` without room.
    pub(crate) async fn compress(&self, answer: &Bytes) -> Option<Bytes> {
        let _place = self.0.as_ref()?.try_acquire().ok()?;
        let mut encoder = encoder(answer.len());
        let mut parts = answer.chunks(COMPRESSION_STEP_BYTES).peekable();
        while let Some(part) = parts.next() {
            encoder.write_all(part).ok()?;
            if parts.peek().is_some() {
                // The turn of another principal may come between two parts.
                tokio::task::yield_now().await;
            }
        }
        encoder.finish().ok().map(Bytes::from)
    }
}

/// A document that is compressed once.
///
/// # Panics
/// Never: a vector takes what is written to it.
pub(crate) fn compressed(document: &[u8]) -> Bytes {
    let mut encoder = encoder(document.len());
    encoder
        .write_all(document)
        .expect("a vector takes all bytes");
    encoder.finish().expect("a vector takes all bytes").into()
}

/// The fastest level: pages of events shrink to a fifth with it, and little further with several times the work.
fn encoder(bytes: usize) -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::with_capacity(bytes / 4), Compression::fast())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[tokio::test]
    async fn at_the_bound_an_answer_is_sent_as_it_is() {
        let answer = Bytes::from("{\"x\":\"forgewire\"}".repeat(20_000));
        let compression = AnswerCompression::new(true);
        let compressed = compression.compress(&answer).await.unwrap();
        assert!(compressed.len() < answer.len() / 5, "{}", compressed.len());
        let mut text = Vec::new();
        GzDecoder::new(&*compressed).read_to_end(&mut text).unwrap();
        assert_eq!(text, answer);
        let places = Arc::clone(compression.0.as_ref().unwrap());
        let all = u32::try_from(COMPRESSIONS).unwrap();
        let held = places.try_acquire_many(all).unwrap();
        assert_eq!(compression.compress(&answer).await, None);
        drop(held);
        assert!(compression.compress(&answer).await.is_some());
        assert_eq!(AnswerCompression::new(false).compress(&answer).await, None);
    }
}
