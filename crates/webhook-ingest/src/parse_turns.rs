//! Turns at parsing: a payload of many small values takes up to 17 times its bytes while it is read, and one in a form
//! as many again as it has, so large ones are read in turns, bounded by their bytes.

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{
    error::DeliveryRefusal,
    limits::{INLINE_BODY_BYTES, PARSE_WAIT, PARSED_BYTES},
};
use service_kit::bodies::BodyRefusal;

/// The turns of one process.
#[derive(Debug)]
pub(crate) struct ParseTurns {
    bytes: Semaphore,
}

impl Default for ParseTurns {
    fn default() -> Self {
        Self {
            bytes: Semaphore::new(PARSED_BYTES),
        }
    }
}

impl ParseTurns {
    /// The turn of a body of this many bytes, after a wait of up to [`PARSE_WAIT`]; `None` for a small one,
    /// which needs none.
    ///
    /// # Errors
    /// [`DeliveryRefusal::Overloaded`]: others are parsed for so long. GitHub's delivery can be sent again.
    pub(crate) async fn begin(
        &self,
        body_bytes: usize,
    ) -> Result<Option<SemaphorePermit<'_>>, DeliveryRefusal> {
        if body_bytes <= INLINE_BODY_BYTES {
            return Ok(None);
        }
        let bytes = u32::try_from(body_bytes.min(PARSED_BYTES)).unwrap_or(u32::MAX);
        match timeout(PARSE_WAIT, self.bytes.acquire_many(bytes)).await {
            Ok(Ok(turn)) => Ok(Some(turn)),
            _ => Err(DeliveryRefusal::Overloaded(BodyRefusal::Full)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{DEFAULT_MAX_BODY_BYTES, HIGHEST_MAX_BODY_BYTES};

    #[tokio::test(start_paused = true)]
    async fn large_payloads_are_parsed_within_a_bound_and_small_ones_do_not_wait() {
        let turns = ParseTurns::default();
        let largest = turns.begin(DEFAULT_MAX_BODY_BYTES).await.unwrap();
        let second = turns.begin(DEFAULT_MAX_BODY_BYTES).await;
        assert!(matches!(second, Err(DeliveryRefusal::Overloaded(_))));
        assert!(turns.begin(INLINE_BODY_BYTES).await.unwrap().is_none());
        let beside = turns.begin(PARSED_BYTES - DEFAULT_MAX_BODY_BYTES).await;
        assert!(beside.is_ok_and(|turn| turn.is_some()), "what is left");
        let waiting = async { turns.begin(DEFAULT_MAX_BODY_BYTES).await.is_ok() };
        let (has_turn, ()) = tokio::join!(waiting, async { drop(largest) });
        assert!(has_turn);
        // One above the bound is parsed alone.
        let alone = turns.begin(HIGHEST_MAX_BODY_BYTES).await;
        assert!(alone.is_ok());
        assert!(turns.begin(INLINE_BODY_BYTES + 1).await.is_err());
    }
}
