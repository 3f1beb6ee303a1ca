//! How far the client of a stream certainly has the events.

use std::time::Duration;

use fanout::followed_stream::TakenPosition;
use tokio::time::Instant;

/// The positions that a stream has reached, until they are proven. The socket of a client takes bytes that its
/// machine may never get; but the kernels on the way cut a connection whose bytes are not acknowledged for a time, so
/// what was taken that long ago, on a stream that is still open, has arrived at the machine. Nothing tells whether its
/// program has read it: one that may be stopped for longer names its last event when it comes back.
#[derive(Debug, Default)]
pub(super) struct CursorTrail(Option<(Instant, TakenPosition)>);

impl CursorTrail {
    /// Notes where the stream is; returns a position that is proven, if there is one.
    pub(super) fn note(
        &mut self,
        now: Instant,
        taken: TakenPosition,
        proof: Duration,
    ) -> Option<TakenPosition> {
        match self.0 {
            // A position of an earlier generation of the log proves nothing in this one.
            Some((since, noted)) if noted.generation == taken.generation => {
                if now.duration_since(since) < proof {
                    return None;
                }
                self.0 = Some((now, taken));
                Some(noted)
            }
            _ => {
                self.0 = Some((now, taken));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, LogPosition, Sequence};

    use super::*;

    const PROOF: Duration = Duration::from_secs(70);

    fn taken(generation: u32, sequence: u64) -> TakenPosition {
        TakenPosition {
            revision: 0,
            generation,
            position: LogPosition {
                epoch: Epoch(1),
                sequence: Sequence(sequence),
                tag: None,
            },
        }
    }

    #[test]
    fn what_was_taken_long_enough_ago_is_proven_and_what_came_since_is_not() {
        let (mut trail, began) = (CursorTrail::default(), Instant::now());
        let mut at = |seconds, generation, sequence| {
            let now = began + Duration::from_secs(seconds);
            let proven = trail.note(now, taken(generation, sequence), PROOF);
            proven.map(|proven| proven.position.sequence.0)
        };
        assert_eq!(at(0, 1, 5), None);
        assert_eq!(at(15, 1, 9), None);
        assert_eq!(at(69, 1, 20), None);
        assert_eq!(at(70, 1, 21), Some(5));
        assert_eq!(at(139, 1, 30), None);
        assert_eq!(at(140, 1, 30), Some(21));
        // The log was put back: 30 may be another event now.
        assert_eq!(at(300, 2, 25), None);
        assert_eq!(at(370, 2, 26), Some(25));
    }
}
