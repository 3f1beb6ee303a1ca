//! How many lines may come in a minute: a client that hands lines to a model stops a command that prints too much.

use tokio::time::Instant;

use crate::limits::COUNTING;

/// A bucket of lines that fills up within a minute, and the events that found it empty.
#[derive(Debug)]
pub(crate) struct LinePace {
    per_minute: f64,
    room: f64,
    filled: Instant,
    counted: u64,
    counting_since: Option<Instant>,
}

impl LinePace {
    pub(crate) fn new(per_minute: u32, now: Instant) -> Self {
        Self {
            per_minute: f64::from(per_minute),
            room: f64::from(per_minute),
            filled: now,
            counted: 0,
            counting_since: None,
        }
    }

    /// Whether an event may have a line of its own now; it is counted otherwise, and so are those after it, until
    /// [`LinePace::take_count`].
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        let minutes = (now - self.filled).as_secs_f64() / 60.0;
        self.room = (self.room + minutes * self.per_minute).min(self.per_minute);
        self.filled = now;
        if self.counted == 0 && self.room >= 1.0 {
            self.room -= 1.0;
            return true;
        }
        self.counted += 1;
        self.counting_since.get_or_insert(now);
        false
    }

    /// The time of the line that says how many were counted.
    pub(crate) fn count_due(&self) -> Option<Instant> {
        self.counting_since.map(|since| since + COUNTING)
    }

    /// The number of counted events, of which nothing is counted any more.
    pub(crate) fn take_count(&mut self) -> Option<u64> {
        self.counting_since = None;
        Some(std::mem::take(&mut self.counted)).filter(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_until_it_is_said() {
        let begun = Instant::now();
        let mut pace = LinePace::new(2, begun);
        let admitted: Vec<_> = (0..5).map(|_| pace.admits(begun)).collect();
        assert_eq!(admitted, [true, true, false, false, false]);
        assert_eq!(pace.count_due(), Some(begun + COUNTING));
        // There is room again, but those before come first.
        let later = begun + Duration::from_secs(60);
        assert!(!pace.admits(later));
        assert_eq!(pace.take_count(), Some(4));
        assert_eq!((pace.take_count(), pace.count_due()), (None, None));
        let admitted: Vec<_> = (0..3).map(|_| pace.admits(later)).collect();
        assert_eq!(admitted, [true, true, false]);
    }
}
