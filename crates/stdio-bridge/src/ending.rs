//! The times of the end: one bound for all of its steps together, so that a server or a client that hangs
//! in several of them delays the end once.

use tokio::time::Instant;

use crate::limits::{
    ANSWERS_SHARE, INPUT_END_TIMEOUT, OUTPUT_SHARE, SESSION_SHARE, STOP_END_TIMEOUT,
};

/// The time until which each step of the end may take. A step that is done early leaves its time to the
/// later ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndDeadlines {
    /// Waiting lines and running requests finish.
    pub(crate) requests: Instant,
    /// The client is told of those that were abandoned.
    pub(crate) answers: Instant,
    /// The server confirms the end of the session.
    pub(crate) session: Instant,
    /// The last lines are written.
    pub(crate) output: Instant,
}

impl EndDeadlines {
    /// After the end of the input at this time.
    pub(crate) fn after_input(end: Instant) -> Self {
        Self::until(end + INPUT_END_TIMEOUT)
    }

    /// After a stop, or the end of the output's reader, at this time: no request is waited for.
    pub(crate) fn after_stop(stop: Instant) -> Self {
        Self::until(stop + STOP_END_TIMEOUT)
    }

    fn until(output: Instant) -> Self {
        let session = output - OUTPUT_SHARE;
        let answers = session - SESSION_SHARE;
        Self {
            requests: answers - ANSWERS_SHARE,
            answers,
            session,
            output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_fit_into_the_time_of_the_end() {
        let now = Instant::now();
        for deadlines in [
            EndDeadlines::after_input(now),
            EndDeadlines::after_stop(now),
        ] {
            let EndDeadlines {
                requests,
                answers,
                session,
                output,
            } = deadlines;
            assert!(now < requests && requests < answers && answers < session && session < output);
        }
        let end = EndDeadlines::after_input(now).output;
        assert_eq!(end, now + INPUT_END_TIMEOUT);
    }
}
