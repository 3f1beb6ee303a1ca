//! What a test lets go wrong, on purpose and counted.

use std::time::Duration;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeFault {
    /// This status and GitHub's page of HTML: 500, 502, 503, 504.
    Status(u16),
    /// 502 after so long, as a document gets that takes too long.
    Timeout(Duration),
    /// The right answer, late.
    Slow(Duration),
    /// The right answer, of which only the first half arrives.
    CutBody,
    /// 200 with something that is no JSON.
    BadJson,
    /// A secondary limit. GitHub answers 403 or 429.
    Secondary {
        /// The status.
        status: u16,
        /// The header, if there is one.
        retry_after_seconds: Option<u64>,
    },
    /// 401, as after a revocation.
    Unauthorized,
    /// GraphQL only: the right answer, but this field of the root is null and has an error.
    PartialError(&'static str),
}

/// Faults that wait for their requests.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    planned: Vec<PlannedFault>,
}

#[derive(Debug)]
struct PlannedFault {
    path: String,
    fault: FakeFault,
    left: u32,
}

impl FaultPlan {
    pub(crate) fn add(&mut self, path: &str, fault: FakeFault, times: u32) {
        self.planned.push(PlannedFault {
            path: path.to_owned(),
            fault,
            left: times,
        });
    }

    /// The fault of a request to this path, if any.
    pub(crate) fn next(&mut self, path: &str) -> Option<FakeFault> {
        let planned = &mut self.planned;
        let at = planned.iter().position(|it| path.contains(&it.path))?;
        planned[at].left -= 1;
        let fault = planned[at].fault;
        if planned[at].left == 0 {
            planned.remove(at);
        }
        Some(fault)
    }

    pub(crate) fn left(&self) -> u32 {
        self.planned.iter().map(|it| it.left).sum()
    }
}
