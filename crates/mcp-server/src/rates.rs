//! Rate limits, one set for each principal. They are high: they stop a runaway loop, not an agent
//! at work. A check is a look at a table and an atomic operation.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};
use mcp::{ErrorCode, RpcError};
use model::PrincipalId;
use parking_lot::RwLock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::metrics::MetricsRegistry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{metrics::RateMetrics, policy::RateClass};

/// Maximum number of principals that are counted separately; the principals beyond that share one
/// allowance.
const MAX_PRINCIPALS: usize = 16_384;
/// Up to this many principals are kept without searching for idle ones.
const UNSWEPT_PRINCIPALS: usize = 1024;
/// A principal that was idle for this long has a full allowance again (it refills within a second),
/// so it need not be kept.
const IDLE_SECONDS: u64 = 2;
/// Retry delay if too many calls wait. An estimate: they end when an event or answer arrives.
const WAIT_RETRY: Duration = Duration::from_secs(1);

/// Default of `edge.rates.memory_calls_per_second`: more than the cores of an edge serve. Without tokens all
/// clients share one principal.
const MEMORY_CALLS_PER_SECOND: u32 = 200_000;
/// Default of `edge.rates.store_calls_per_second`. Without tokens, all clients may read a resource when it
/// changes, or come back when another edge has gone: three such requests for each stream of
/// `edge.max_streams`.
const STORE_CALLS_PER_SECOND: u32 = 50_000;
/// Default of `edge.rates.waiting_calls`: a waiting call holds a task and a connection, but no
/// thread.
const WAITING_CALLS: usize = 1024;
/// Largest limit that can be configured; a higher one would have no effect.
const MAX_RATE: usize = 1_000_000;

/// Rate limits of one principal on one edge. Without `auth` all clients are one principal. A request
/// beyond a limit is refused: over MCP the error says when to try again; outside a call, and over REST,
/// the answer is 429 with Retry-After.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Requests of any kind, each line on `/mcp/stream` and each message of a batch, in requests per
    /// second; from 1 to 1,000,000. What is answered from memory counts here only.
    pub memory_calls_per_second: u32,
    /// Requests that use a store, the log or the sync role, in requests per second; from 1 to 1,000,000:
    /// most tools, prompts, resources and their subscriptions, completions and tasks; REST reads; the
    /// opening of streams and connections; the beginning and end of sessions; messages to sessions; and the
    /// first message of a session that this edge does not know.
    pub store_calls_per_second: u32,
    /// Concurrent calls that may wait, such as `replay_events` with `waitSeconds`; from 1 to
    /// 1,000,000.
    pub waiting_calls: usize,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            memory_calls_per_second: MEMORY_CALLS_PER_SECOND,
            store_calls_per_second: STORE_CALLS_PER_SECOND,
            waiting_calls: WAITING_CALLS,
        }
    }
}

/// A rate limit out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to {MAX_RATE}")]
pub struct RateLimitError {
    /// The key.
    pub key: &'static str,
}

impl RateLimits {
    /// Refuses values that are out of bounds.
    ///
    /// # Errors
    /// A value out of bounds; it names the key.
    pub fn check(&self) -> Result<(), RateLimitError> {
        let values = [
            (
                "edge.rates.memory_calls_per_second",
                self.memory_calls_per_second as usize,
            ),
            (
                "edge.rates.store_calls_per_second",
                self.store_calls_per_second as usize,
            ),
            ("edge.rates.waiting_calls", self.waiting_calls),
        ];
        let mut values = values.into_iter();
        match values.find(|(_, value)| !(1..=MAX_RATE).contains(value)) {
            None => Ok(()),
            Some((key, _)) => Err(RateLimitError { key }),
        }
    }
}

/// The code of [`RateLimited`] in errors.
pub(crate) const RATE_LIMITED: &str = "rate-limited";
/// The code of an answer whose session has ended: as little a fault of the server.
pub(crate) const SESSION_GONE: &str = "session-gone";

/// A call or another request beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; try again in {retry_after_millis} ms", class.refusal())]
pub struct RateLimited {
    /// The limit that was reached: [`RateClass::Wait`] is that of calls that wait at the same time.
    pub class: RateClass,
    /// Time until there is room again, in milliseconds; at least 1.
    pub retry_after_millis: u64,
}

impl RateLimited {
    /// Time until there is room again, in whole seconds, as `Retry-After` says it.
    #[must_use]
    pub fn retry_after_seconds(self) -> u32 {
        let seconds = self.retry_after_millis.div_ceil(1000);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    /// The error for the client: it names the limit and says when to try again.
    #[must_use]
    pub fn into_rpc(self) -> RpcError {
        let data = serde_json::json!({
            "code": RATE_LIMITED,
            "class": self.class.as_str(),
            "retryAfterMillis": self.retry_after_millis,
        });
        RpcError::new(ErrorCode::Internal, self.to_string()).with_data(data)
    }
}

/// Permits one call; a call that may wait holds its place until this is dropped.
#[derive(Debug)]
pub struct AdmissionPermit {
    _place: Option<OwnedSemaphorePermit>,
}

/// Counts the requests of each principal and refuses those beyond its limits.
#[derive(Debug)]
pub struct RateLimiter {
    limits: RateLimits,
    started_at: Instant,
    principals: RwLock<AllowanceTable>,
    shared: Arc<Allowance>,
    metrics: RateMetrics,
}

#[derive(Debug)]
struct AllowanceTable {
    allowances: HashMap<PrincipalId, Arc<Allowance>>,
    sweep_at: usize,
    /// Time of the last search for idle principals, in seconds since the edge began: a search costs
    /// time, so there is at most one per second.
    swept_at_seconds: u64,
}

#[derive(Debug)]
struct Allowance {
    memory: DefaultDirectRateLimiter,
    store: DefaultDirectRateLimiter,
    places: Arc<Semaphore>,
    /// Time of the last use, in seconds since the edge began.
    used_at_seconds: AtomicU64,
}

impl Allowance {
    fn new(limits: &RateLimits) -> Self {
        // A second's worth of calls may arrive at once.
        let bucket = |calls: u32| {
            let calls = NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN);
            DefaultDirectRateLimiter::direct(Quota::per_second(calls))
        };
        Self {
            memory: bucket(limits.memory_calls_per_second),
            store: bucket(limits.store_calls_per_second),
            places: Arc::new(Semaphore::new(limits.waiting_calls)),
            used_at_seconds: AtomicU64::new(0),
        }
    }

    fn admit(&self, class: RateClass) -> Result<AdmissionPermit, RateLimited> {
        let bucket = match class {
            RateClass::Memory => &self.memory,
            RateClass::Store | RateClass::Wait => &self.store,
        };
        // The place first: a call without a place must not use up the bucket.
        let place = match class {
            RateClass::Wait => {
                let place = Arc::clone(&self.places).try_acquire_owned();
                Some(place.map_err(|_| limited(class, WAIT_RETRY))?)
            }
            _ => None,
        };
        let bucket_class = match class {
            RateClass::Memory => class,
            RateClass::Store | RateClass::Wait => RateClass::Store,
        };
        bucket.check().map_err(|not_until| {
            limited(
                bucket_class,
                not_until.wait_time_from(DefaultClock::default().now()),
            )
        })?;
        Ok(AdmissionPermit { _place: place })
    }

    fn is_full(&self, now: u64, waiting_calls: usize) -> bool {
        self.used_at_seconds.load(Ordering::Relaxed) + IDLE_SECONDS < now
            && self.places.available_permits() == waiting_calls
    }
}

fn limited(class: RateClass, wait: Duration) -> RateLimited {
    // Rounded up: a client that retries then has waited long enough.
    let millis = wait.as_micros().div_ceil(1000);
    RateLimited {
        class,
        retry_after_millis: u64::try_from(millis).unwrap_or(u64::MAX).max(1),
    }
}

impl RateLimiter {
    /// A limiter that has admitted nothing yet. Registers the counter of refused calls.
    #[must_use]
    pub fn new(limits: &RateLimits, registry: &mut MetricsRegistry) -> Self {
        Self {
            limits: limits.clone(),
            started_at: Instant::now(),
            principals: RwLock::new(AllowanceTable {
                allowances: HashMap::new(),
                sweep_at: UNSWEPT_PRINCIPALS,
                swept_at_seconds: 0,
            }),
            shared: Arc::new(Allowance::new(limits)),
            metrics: RateMetrics::new(registry),
        }
    }

    /// Admits a call.
    ///
    /// # Errors
    /// The principal has reached the limit for calls of this class.
    pub fn admit(
        &self,
        principal: &PrincipalId,
        class: RateClass,
    ) -> Result<AdmissionPermit, RateLimited> {
        let now = self.started_at.elapsed().as_secs();
        let allowance = self.allowance(principal, now);
        allowance.used_at_seconds.store(now, Ordering::Relaxed);
        let admitted = allowance.admit(class);
        if admitted.is_err() {
            self.metrics.call_refused(class);
        }
        admitted
    }

    fn allowance(&self, principal: &PrincipalId, now: u64) -> Arc<Allowance> {
        if let Some(known) = self.principals.read().allowances.get(principal) {
            return Arc::clone(known);
        }
        let mut principals = self.principals.write();
        if principals.allowances.len() >= principals.sweep_at && now > principals.swept_at_seconds {
            principals.swept_at_seconds = now;
            let waiting = self.limits.waiting_calls;
            principals
                .allowances
                .retain(|_, allowance| !allowance.is_full(now, waiting));
            principals.sweep_at =
                (principals.allowances.len() * 2).clamp(UNSWEPT_PRINCIPALS, MAX_PRINCIPALS);
        }
        if principals.allowances.len() >= MAX_PRINCIPALS
            && !principals.allowances.contains_key(principal)
        {
            return Arc::clone(&self.shared);
        }
        let entry = principals.allowances.entry(principal.clone());
        Arc::clone(entry.or_insert_with(|| Arc::new(Allowance::new(&self.limits))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(limits: &RateLimits) -> RateLimiter {
        RateLimiter::new(limits, &mut MetricsRegistry::default())
    }

    fn principal(name: &str) -> PrincipalId {
        PrincipalId::new(name).unwrap()
    }

    #[test]
    fn a_principal_that_used_up_a_class_is_told_when_and_others_go_on() {
        let rates = rates(&RateLimits {
            memory_calls_per_second: 2,
            ..RateLimits::default()
        });
        let (one, two) = (principal("one"), principal("two"));
        assert!(rates.admit(&one, RateClass::Memory).is_ok());
        assert!(rates.admit(&one, RateClass::Memory).is_ok());
        let refused = rates.admit(&one, RateClass::Memory).unwrap_err();
        assert_eq!(refused.class, RateClass::Memory);
        assert!((1..=500).contains(&refused.retry_after_millis), "{refused}");
        assert!(refused.to_string().contains("class memory"), "{refused}");
        assert!(rates.admit(&one, RateClass::Store).is_ok());
        assert!(rates.admit(&two, RateClass::Memory).is_ok());
        std::thread::sleep(Duration::from_millis(refused.retry_after_millis));
        assert!(rates.admit(&one, RateClass::Memory).is_ok());
    }

    #[test]
    fn a_call_that_waits_holds_its_place_until_it_is_done() {
        let rates = rates(&RateLimits {
            waiting_calls: 1,
            ..RateLimits::default()
        });
        let one = principal("one");
        let waiting = rates.admit(&one, RateClass::Wait).unwrap();
        let refused = rates.admit(&one, RateClass::Wait).unwrap_err();
        assert_eq!(refused.class, RateClass::Wait);
        assert!(rates.admit(&one, RateClass::Store).is_ok());
        drop(waiting);
        assert!(rates.admit(&one, RateClass::Wait).is_ok());
    }

    #[test]
    fn what_is_kept_of_principals_is_bounded() {
        let rates = rates(&RateLimits {
            store_calls_per_second: 1,
            ..RateLimits::default()
        });
        for n in 0..MAX_PRINCIPALS {
            assert!(
                rates
                    .admit(&principal(&n.to_string()), RateClass::Store)
                    .is_ok()
            );
        }
        // No principal is idle: new ones share an allowance, known ones keep theirs.
        assert!(rates.admit(&principal("late"), RateClass::Store).is_ok());
        assert!(rates.admit(&principal("later"), RateClass::Store).is_err());
        assert_eq!(rates.principals.read().allowances.len(), MAX_PRINCIPALS);
        let away = |allowance: &Arc<Allowance>| allowance.is_full(IDLE_SECONDS + 1, 0);
        assert!(!rates.principals.read().allowances.values().any(away));
        let waiting = rates.limits.waiting_calls;
        let full = |allowance: &Arc<Allowance>| allowance.is_full(u64::MAX, waiting);
        assert!(rates.principals.read().allowances.values().all(full));
    }
}
