//! The bytes of answers under way, in one budget per process, shared out between principals.
//!
//! An answer is under way from the moment at which its bytes are in memory until the connection has taken
//! them: a client that does not read keeps them there. The budget is the counterpart of the one for bodies of
//! requests. Small answers are outside it, because the connection holds about as much anyway: so whoever fills
//! the budget refuses no small answer, and with a token no answer of another token either.
//!
//! At the bound an answer waits shortly for others to be taken, and is then replaced by an error that says so.
//! Streams of events are not answers: their own bounds are in the crate `fanout`.

use std::sync::Arc;

use access::PlaceShares;
use bytes::Bytes;
use model::PrincipalId;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{
    error::EdgeError,
    limits::{ANSWER_BYTES, ANSWER_PART_BYTES, ANSWER_WAIT, SMALL_ANSWER_BYTES, WAITING_ANSWERS},
    metrics::AnswerBudgetMetrics,
};

/// The budget of one edge.
#[derive(Debug)]
pub(crate) struct AnswerBudget {
    max_bytes: usize,
    taken: Mutex<PlaceShares>,
    freed: Notify,
    waiting: Semaphore,
    metrics: AnswerBudgetMetrics,
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct AnswerPermit {
    budget: Arc<AnswerBudget>,
    principal: PrincipalId,
    bytes: usize,
}

impl AnswerBudget {
    pub(crate) fn new(metrics: AnswerBudgetMetrics) -> Arc<Self> {
        Self::of(ANSWER_BYTES, metrics)
    }

    fn of(max_bytes: usize, metrics: AnswerBudgetMetrics) -> Arc<Self> {
        Arc::new(Self {
            max_bytes,
            taken: Mutex::default(),
            freed: Notify::new(),
            waiting: Semaphore::new(WAITING_ANSWERS),
            metrics,
        })
    }

    /// A permit for an answer of this size; `None` for a small one, which needs none.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub(crate) async fn admit(
        self: &Arc<Self>,
        principal: &PrincipalId,
        bytes: usize,
    ) -> Result<Option<AnswerPermit>, EdgeError> {
        if bytes <= SMALL_ANSWER_BYTES {
            return Ok(None);
        }
        self.reserve(principal, bytes).await.map(Some)
    }

    /// A permit for this many bytes, after a wait of up to [`ANSWER_WAIT`].
    ///
    /// # Errors
    /// [`EdgeError::AnswersFull`]: the principal has its share, or the budget is used up. It is counted.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        principal: &PrincipalId,
        bytes: usize,
    ) -> Result<AnswerPermit, EdgeError> {
        let permit = self.reserve_later(principal, bytes).await;
        permit.ok_or_else(|| {
            self.metrics.refused.inc();
            EdgeError::AnswersFull
        })
    }

    /// As [`Self::reserve`], for an answer that is not refused: without room, its stream asks again later.
    pub(crate) async fn reserve_later(
        self: &Arc<Self>,
        principal: &PrincipalId,
        bytes: usize,
    ) -> Option<AnswerPermit> {
        if let Some(permit) = self.take(principal, bytes) {
            return Some(permit);
        }
        let _place = self.waiting_place()?;
        timeout(ANSWER_WAIT, self.wait(principal, bytes)).await.ok()
    }

    /// A place of those that wait: what waits, or is read to learn its size, is in memory too.
    pub(crate) fn waiting_place(&self) -> Option<SemaphorePermit<'_>> {
        self.waiting.try_acquire().ok()
    }

    async fn wait(self: &Arc<Self>, principal: &PrincipalId, bytes: usize) -> AnswerPermit {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Before the attempt, so that what is given back meanwhile is not missed.
            freed.as_mut().enable();
            if let Some(permit) = self.take(principal, bytes) {
                return permit;
            }
            freed.await;
        }
    }

    fn take(self: &Arc<Self>, principal: &PrincipalId, bytes: usize) -> Option<AnswerPermit> {
        let mut taken = self.taken.lock();
        taken.take_many(principal, bytes, self.max_bytes).ok()?;
        self.metrics.record(taken.taken());
        Some(AnswerPermit {
            budget: Arc::clone(self),
            principal: principal.clone(),
            bytes,
        })
    }

    fn give_back(&self, principal: &PrincipalId, bytes: usize) {
        let mut taken = self.taken.lock();
        taken.give_back_many(principal, bytes);
        self.metrics.record(taken.taken());
        drop(taken);
        self.freed.notify_waiters();
    }
}

impl AnswerPermit {
    /// The answer has turned out to be smaller.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        if surplus > 0 {
            self.bytes -= surplus;
            self.budget.give_back(&self.principal, surplus);
        }
    }
}

impl Drop for AnswerPermit {
    fn drop(&mut self) {
        self.budget.give_back(&self.principal, self.bytes);
    }
}

/// Bytes of an answer with their permit, on their way to the connection. Clones share the permit, which is given
/// back with the last of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnswerBytes {
    bytes: Bytes,
    permit: Option<Arc<AnswerPermit>>,
}

impl AnswerBytes {
    pub(crate) fn new(bytes: Bytes, permit: Option<AnswerPermit>) -> Self {
        let permit = permit.map(Arc::new);
        Self { bytes, permit }
    }

    /// Other bytes that carry the same answer, for instance as a frame.
    pub(crate) fn map(self, change: impl FnOnce(&Bytes) -> Bytes) -> Self {
        Self {
            bytes: change(&self.bytes),
            permit: self.permit,
        }
    }

    /// Whether it has its part of the budget; a small one has none.
    pub(crate) fn has_permit(&self) -> bool {
        self.permit.is_some()
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next part, for a connection that has room. Hyper copies what it gets, whatever its size, so the
    /// parts are small, and the permit stays until the last of them.
    pub(crate) fn next_part(&mut self) -> Bytes {
        let part = self.bytes.len().min(ANSWER_PART_BYTES);
        let part = self.bytes.split_to(part);
        if self.bytes.is_empty() {
            self.permit = None;
        }
        part
    }
}

/// Bytes that need no permit: they are small.
impl From<Bytes> for AnswerBytes {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes, None)
    }
}

#[cfg(test)]
mod tests {
    use service_kit::metrics::MetricsRegistry;
    use tokio::time::Instant;

    use super::*;

    const PAGE: usize = 4 << 20;

    fn budget() -> Arc<AnswerBudget> {
        AnswerBudget::of(
            10 * PAGE,
            AnswerBudgetMetrics::new(&mut MetricsRegistry::default()),
        )
    }

    fn principal(name: &str) -> PrincipalId {
        PrincipalId::new(name).unwrap()
    }

    async fn fill(budget: &Arc<AnswerBudget>, name: &str) -> Vec<AnswerPermit> {
        let mut held = Vec::new();
        while let Ok(permit) = budget.reserve(&principal(name), PAGE).await {
            held.push(permit);
        }
        held
    }

    #[tokio::test(start_paused = true)]
    async fn who_fills_the_budget_refuses_neither_others_nor_a_small_answer() {
        let budget = budget();
        let began = Instant::now();
        let held = fill(&budget, "greedy").await;
        assert_eq!(held.len(), 8, "the share counts each byte");
        assert_eq!(
            began.elapsed(),
            ANSWER_WAIT,
            "one answer waited, and then not longer"
        );
        let greedy = principal("greedy");
        let small = budget.admit(&greedy, SMALL_ANSWER_BYTES).await;
        assert!(matches!(small, Ok(None)));
        let refused = budget.admit(&greedy, SMALL_ANSWER_BYTES + 1 + PAGE).await;
        assert!(matches!(refused, Err(EdgeError::AnswersFull)));
        assert!(budget.take(&principal("modest"), PAGE).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_asked_for_again_later_does_not_count_as_refused() {
        let budget = budget();
        let _held = fill(&budget, "all").await;
        assert_eq!(budget.metrics.refused.get(), 1);
        let all = principal("all");
        assert!(budget.reserve_later(&all, PAGE).await.is_none());
        assert_eq!(budget.metrics.refused.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waits_goes_on_when_another_was_taken() {
        let budget = budget();
        let mut held = fill(&budget, "all").await;
        let waiting = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.reserve(&principal("all"), PAGE).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        held.pop();
        assert!(waiting.await.unwrap());
        drop(held);
        assert_eq!(budget.taken.lock().taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_some_answers_wait_and_the_others_are_refused_at_once() {
        let budget = budget();
        let _held = fill(&budget, "all").await;
        let wait = |_| {
            let budget = Arc::clone(&budget);
            tokio::spawn(async move {
                let began = Instant::now();
                assert!(budget.reserve(&principal("all"), PAGE).await.is_err());
                began.elapsed()
            })
        };
        let all: Vec<_> = (0..WAITING_ANSWERS + 3).map(wait).collect();
        let mut at_once = 0;
        for waited in all {
            at_once += usize::from(waited.await.unwrap().is_zero());
        }
        assert_eq!(at_once, 3);
    }

    #[tokio::test]
    async fn the_permit_stays_until_the_last_part_is_handed_over() {
        let budget = budget();
        let mut permit = budget.reserve(&principal("one"), PAGE).await.unwrap();
        let bytes = Bytes::from(vec![b'x'; 3 * ANSWER_PART_BYTES]);
        permit.shrink_to(bytes.len());
        let mut answer = AnswerBytes::new(bytes.clone(), Some(permit));
        for left in [3, 3, 0] {
            let taken = budget.taken.lock().taken();
            assert_eq!(taken, 3 * ANSWER_PART_BYTES, "{left}");
            assert_eq!(answer.next_part().len(), ANSWER_PART_BYTES);
        }
        assert!(answer.is_empty());
        assert_eq!(budget.taken.lock().taken(), 0);
    }
}
