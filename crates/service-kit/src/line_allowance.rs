//! How many lines of one kind the log takes in a second: ten thousand are no log that anybody reads, and cost more than
//! what they are about.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The period over which lines are counted.
const SECOND: Duration = Duration::from_secs(1);

/// Counts the lines of one kind, up to a number each second, and those beyond it.
#[derive(Debug)]
pub struct LineAllowance {
    per_second: u32,
    window: Mutex<LineWindow>,
}

#[derive(Debug, Default)]
struct LineWindow {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl LineAllowance {
    /// So many lines a second.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            window: Mutex::default(),
        }
    }

    /// Whether there is room for one more line; without it, the line is counted as left out.
    pub fn has_room(&self) -> bool {
        let now = Instant::now();
        let mut window = self.window.lock();
        let is_current = |began| now.saturating_duration_since(began) < SECOND;
        if !window.began.is_some_and(is_current) {
            (window.began, window.lines) = (Some(now), 0);
        }
        let has_room = window.lines < self.per_second;
        match has_room {
            true => window.lines += 1,
            false => window.left_out += 1,
        }
        has_room
    }

    /// The lines that were left out since the last call.
    pub fn take_left_out(&self) -> u64 {
        std::mem::take(&mut self.window.lock().left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_second_has_room_for_a_number_of_lines_and_the_rest_is_counted() {
        let lines = LineAllowance::new(10);
        let room = |count: u32| (0..count).filter(|_| lines.has_room()).count();
        assert_eq!(room(17), 10);
        tokio::time::advance(SECOND).await;
        assert_eq!(room(3), 3, "the next second has room again");
        assert_eq!((lines.take_left_out(), lines.take_left_out()), (7, 0));
    }
}
