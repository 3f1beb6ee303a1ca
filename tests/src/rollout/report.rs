//! The results of a run.

use std::fmt;

use serde::Serialize;

use super::tally::AnswerCounts;

/// The results of a run.
#[derive(Debug, Serialize)]
pub struct RolloutReport {
    pub(crate) balancers: Vec<BalancerResult>,
}

/// The results behind one balancer.
#[derive(Debug, Serialize)]
pub(crate) struct BalancerResult {
    pub(crate) balancer: &'static str,
    pub(crate) rounds: u32,
    /// Number of processes that were restarted.
    pub(crate) restarts: u32,
    pub(crate) seconds: u64,
    pub(crate) deliveries: AnswerCounts,
    pub(crate) requests: AnswerCounts,
    /// Number of streams that the reader of events opened.
    pub(crate) streams: usize,
    /// The imbalance between acknowledged and received events; `None` if there is none.
    pub(crate) imbalance: Option<String>,
    /// Number of requests that the balancer sent to a server and got no answer for, as its log says.
    pub(crate) cut_at_balancer: usize,
}

impl BalancerResult {
    fn is_good(&self) -> bool {
        self.deliveries.is_good()
            && self.requests.is_good()
            && self.imbalance.is_none()
            && self.cut_at_balancer == 0
    }
}

impl RolloutReport {
    /// Whether everything was answered, and every acknowledged event arrived once.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.balancers.iter().all(BalancerResult::is_good)
    }
}

impl fmt::Display for BalancerResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (balancer, rounds, restarts) = (self.balancer, self.rounds, self.restarts);
        let seconds = self.seconds;
        writeln!(
            f,
            "{balancer}: {rounds} rounds, {restarts} restarts, {seconds} s"
        )?;
        writeln!(f, "  deliveries: {}", self.deliveries)?;
        writeln!(f, "  requests:   {}", self.requests)?;
        if self.cut_at_balancer > 0 {
            writeln!(
                f,
                "  cut between balancer and server: {}",
                self.cut_at_balancer
            )?;
        }
        for example in self
            .deliveries
            .examples
            .iter()
            .chain(&self.requests.examples)
        {
            writeln!(f, "    {example}")?;
        }
        match &self.imbalance {
            None => writeln!(
                f,
                "  events:     each acknowledged one arrived once, over {} streams",
                self.streams
            ),
            Some(imbalance) => writeln!(f, "  events:     {imbalance}"),
        }
    }
}

impl fmt::Display for RolloutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.balancers {
            write!(f, "{one}")?;
        }
        let verdict = if self.is_good() {
            "no request was lost"
        } else {
            "requests were lost"
        };
        writeln!(f, "{verdict}")
    }
}
