//! The rule by which a process believes what others send to it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use model::{Clock, IdSource, Timestamp};
use parking_lot::Mutex;
use tracing::warn;

use crate::{
    channel::StampedChannel,
    keys::{RoleKeys, SECRET_BYTES},
    limits::{REFUSAL_INTERVAL, STAMP_WINDOW},
    memory::StampMemory,
    refusal::StampRefusal,
    stamp::StampClaims,
};

const CHANNELS: usize = StampedChannel::ALL.len();
const REASONS: usize = StampRefusal::ALL.len();

/// This process and another one have different keys of the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "what comes over the {channel} is not believed: {refusal}. Other roles then do not believe this one either: give \
     all of them the same keys"
)]
pub struct KeyMismatch {
    channel: &'static str,
    refusal: StampRefusal,
}

impl model::Classified for KeyMismatch {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Unauthorized
    }
}

/// The rule by which a process believes others: with keys, what carries a stamp of one of them; without keys, everything.
/// Clones share the counters.
#[derive(Clone)]
pub struct RoleTrust(Option<Arc<Keyed>>);

struct Keyed {
    keys: RoleKeys,
    unsigned_until: Option<Timestamp>,
    clock: Arc<dyn Clock>,
    /// The nonce of the next stamp: it begins at a random number, so that two processes do not have the
    /// same one at the same millisecond.
    nonce: AtomicU64,
    refusals: [[AtomicU64; REASONS]; CHANNELS],
    told: [[Mutex<RefusalTimes>; REASONS]; CHANNELS],
}

/// When something was refused for one reason.
#[derive(Debug, Default, Clone, Copy)]
struct RefusalTimes {
    last: Option<Timestamp>,
    last_line: Option<Timestamp>,
}

impl fmt::Debug for RoleTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("RoleTrust(no keys)"),
            Some(keyed) => write!(f, "RoleTrust({:?})", keyed.keys),
        }
    }
}

impl RoleTrust {
    /// Without keys: stamps nothing, and believes everything.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// With keys. Until `unsigned_until`, what has no stamp is believed too: while an installation gets
    /// its first key, some processes do not have it yet.
    #[must_use]
    pub fn keyed(
        keys: RoleKeys,
        unsigned_until: Option<Timestamp>,
        clock: Arc<dyn Clock>,
        ids: &dyn IdSource,
    ) -> Self {
        Self(Some(Arc::new(Keyed {
            keys,
            unsigned_until,
            clock,
            nonce: AtomicU64::new(ids.random_u64()),
            refusals: Default::default(),
            told: Default::default(),
        })))
    }

    /// Whether there are keys.
    #[must_use]
    pub const fn has_keys(&self) -> bool {
        self.0.is_some()
    }

    /// Secrets for what the edges seal ([`RoleKeys::sealing_secrets`]); none without keys.
    #[must_use]
    pub fn sealing_secrets(&self) -> Vec<[u8; SECRET_BYTES]> {
        let keyed = self.0.as_ref();
        keyed.map_or_else(Vec::new, |keyed| keyed.keys.sealing_secrets())
    }

    /// The stamp for these parts, made now; `None` without keys.
    #[must_use]
    pub fn stamp(&self, channel: StampedChannel, parts: &[&[u8]]) -> Option<String> {
        let keyed = self.0.as_ref()?;
        let claims = StampClaims {
            at: keyed.clock.now(),
            nonce: keyed.nonce.fetch_add(1, Ordering::Relaxed),
        };
        Some(claims.stamp(keyed.keys.first(), channel, parts))
    }

    /// Checks the stamp of a message or call that has just arrived. A refusal is counted, and
    /// logged at the first one and once a minute, so that a flood of them does not flood the log.
    ///
    /// # Errors
    /// It has no stamp of one of the keys for these parts and this time, or had it before.
    pub fn verify(
        &self,
        channel: StampedChannel,
        parts: &[&[u8]],
        stamp: Option<&str>,
        memory: &StampMemory,
    ) -> Result<(), StampRefusal> {
        let Some(keyed) = &self.0 else {
            return Ok(());
        };
        let now = keyed.clock.now();
        let verified = keyed.verify(channel, parts, stamp, now).and_then(|claims| {
            let Some(claims) = claims else {
                return Ok(());
            };
            if now.since(claims.at).max(claims.at.since(now)) > STAMP_WINDOW {
                return Err(StampRefusal::Stale);
            }
            let is_new = memory.is_new(claims.nonce, now);
            is_new.then_some(()).ok_or(StampRefusal::Repeated)
        });
        verified.inspect_err(|refusal| keyed.count(channel, *refusal))
    }

    /// Checks the stamp of something that was stored at `stored_at`, according to its store, and may be
    /// old. A refusal is counted and logged as in [`RoleTrust::verify`].
    ///
    /// # Errors
    /// It has no stamp of one of the keys for these parts.
    pub fn verify_stored(
        &self,
        channel: StampedChannel,
        parts: &[&[u8]],
        stamp: Option<&str>,
        stored_at: Timestamp,
    ) -> Result<(), StampRefusal> {
        let Some(keyed) = &self.0 else {
            return Ok(());
        };
        let verified = keyed.verify(channel, parts, stamp, stored_at);
        verified
            .map(|_| ())
            .inspect_err(|refusal| keyed.count(channel, *refusal))
    }

    /// A refusal of the last minute because this process and another one have different keys: for instance
    /// what this process writes is believed by nobody.
    #[must_use]
    pub fn recent_mismatch(&self) -> Option<KeyMismatch> {
        let keyed = self.0.as_ref()?;
        let now = keyed.clock.now();
        let channels = StampedChannel::ALL.into_iter();
        let all = channels.flat_map(|channel| StampRefusal::ALL.map(|refusal| (channel, refusal)));
        let mut recent = all.filter(|(channel, refusal)| {
            let times = keyed.told[*channel as usize][*refusal as usize].lock();
            refusal.is_of_keys()
                && times
                    .last
                    .is_some_and(|last| now.since(last) < REFUSAL_INTERVAL)
        });
        recent.next().map(|(channel, refusal)| KeyMismatch {
            channel: channel.label(),
            refusal,
        })
    }

    /// The time since something of a role was last refused because it is of another time: mostly that role's clock, or
    /// this process's, is wrong. `None` if there was nothing like it, or without keys.
    #[must_use]
    pub fn since_stale(&self, channel: StampedChannel) -> Option<Duration> {
        let keyed = self.0.as_ref()?;
        let times = keyed.told[channel as usize][StampRefusal::Stale as usize].lock();
        times.last.map(|last| keyed.clock.now().since(last))
    }

    /// The number of refusals for each channel and reason; none without keys.
    pub fn refusals(&self) -> impl Iterator<Item = (StampedChannel, StampRefusal, u64)> + use<'_> {
        self.0.iter().flat_map(|keyed| {
            StampedChannel::ALL.into_iter().flat_map(move |channel| {
                StampRefusal::ALL.into_iter().map(move |refusal| {
                    (
                        channel,
                        refusal,
                        keyed.counter(channel, refusal).load(Ordering::Relaxed),
                    )
                })
            })
        })
    }
}

impl Keyed {
    /// The claims of a stamp; `None` if there is none, and none is necessary at that time.
    fn verify(
        &self,
        channel: StampedChannel,
        parts: &[&[u8]],
        stamp: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<StampClaims>, StampRefusal> {
        match stamp {
            Some(stamp) => StampClaims::verify(&self.keys, channel, parts, stamp).map(Some),
            None if self.unsigned_until.is_some_and(|until| at < until) => Ok(None),
            None => Err(StampRefusal::Unsigned),
        }
    }

    const fn counter(&self, channel: StampedChannel, refusal: StampRefusal) -> &AtomicU64 {
        &self.refusals[channel as usize][refusal as usize]
    }

    fn count(&self, channel: StampedChannel, refusal: StampRefusal) {
        let count = self
            .counter(channel, refusal)
            .fetch_add(1, Ordering::Relaxed)
            + 1;
        let now = self.clock.now();
        let mut times = self.told[channel as usize][refusal as usize].lock();
        times.last = Some(now);
        let is_due = times.last_line.is_none_or(|last| {
            // A clock that was set back is no reason for silence.
            last > now || now.since(last) >= REFUSAL_INTERVAL
        });
        if is_due {
            times.last_line = Some(now);
            drop(times);
            let (channel, reason) = (channel.label(), refusal.label());
            warn!(
                channel,
                reason, count, "refused what is not from a role of this installation: {refusal}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ManualClock;

    const OLD: &str = "the old key, as long as a key has to be";
    const NEW: &str = "the new key, as long as a key has to be";

    struct Installation {
        clock: Arc<ManualClock>,
    }

    impl Installation {
        fn new() -> Self {
            Self {
                clock: Arc::new(ManualClock::default()),
            }
        }

        fn role(&self, keys: &[&str], unsigned_for: Option<Duration>) -> RoleTrust {
            match RoleKeys::read(keys.iter().copied(), &[]).unwrap() {
                None => RoleTrust::none(),
                Some(keys) => {
                    let until = unsigned_for.map(|time| self.clock.now().plus(time));
                    RoleTrust::keyed(keys, until, self.clock.clone(), &*self.clock)
                }
            }
        }
    }

    fn say(from: &RoleTrust, to: &RoleTrust) -> Result<(), StampRefusal> {
        let parts: [&[u8]; 2] = [b"subject", b"body"];
        let stamp = from.stamp(StampedChannel::Bus, &parts);
        let memory = StampMemory::default();
        to.verify(StampedChannel::Bus, &parts, stamp.as_deref(), &memory)
    }

    #[test]
    fn at_each_step_to_the_first_key_every_process_believes_every_other() {
        let installation = Installation::new();
        let without = installation.role(&[], None);
        let first = installation.role(&[NEW], Some(Duration::from_secs(3600)));
        let all = [&without, &first];
        assert!(
            all.iter()
                .all(|from| all.iter().all(|to| say(from, to).is_ok()))
        );
        // The time is over: whoever still has no key is not believed, without another step.
        installation.clock.advance(Duration::from_secs(3600));
        assert_eq!(say(&without, &first), Err(StampRefusal::Unsigned));
        assert_eq!(say(&first, &first), Ok(()));
    }

    #[test]
    fn at_each_step_of_a_rotation_every_process_believes_every_other() {
        let installation = Installation::new();
        let steps = [vec![OLD], vec![OLD, NEW], vec![NEW, OLD], vec![NEW]];
        let roles: Vec<_> = steps
            .iter()
            .map(|keys| installation.role(keys, None))
            .collect();
        for pair in roles.windows(2) {
            for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                assert_eq!(say(&pair[from], &pair[to]), Ok(()));
            }
        }
        assert_eq!(say(&roles[0], &roles[3]), Err(StampRefusal::UnknownKey));
    }

    #[test]
    fn a_repeated_or_late_message_is_refused_and_counted() {
        let installation = Installation::new();
        let role = installation.role(&[NEW], None);
        let (memory, parts) = (StampMemory::default(), [&b"x"[..]]);
        let stamp = role.stamp(StampedChannel::Grpc, &parts);
        let arrives = || role.verify(StampedChannel::Grpc, &parts, stamp.as_deref(), &memory);
        assert_eq!(arrives(), Ok(()));
        assert_eq!(arrives(), Err(StampRefusal::Repeated));
        installation
            .clock
            .advance(STAMP_WINDOW + Duration::from_millis(1));
        assert_eq!(arrives(), Err(StampRefusal::Stale));
        let counted: Vec<_> = role.refusals().filter(|(_, _, count)| *count > 0).collect();
        assert_eq!(
            counted,
            [
                (StampedChannel::Grpc, StampRefusal::Stale, 1),
                (StampedChannel::Grpc, StampRefusal::Repeated, 1)
            ]
        );
    }

    #[test]
    fn another_key_is_a_mismatch_for_a_minute_and_a_repetition_is_none() {
        let installation = Installation::new();
        let (one, other) = (
            installation.role(&[NEW], None),
            installation.role(&[OLD], None),
        );
        let (memory, parts) = (StampMemory::default(), [&b"x"[..]]);
        let stamp = one.stamp(StampedChannel::Bus, &parts);
        for _ in 0..2 {
            let _ = one.verify(StampedChannel::Bus, &parts, stamp.as_deref(), &memory);
        }
        assert_eq!(one.recent_mismatch(), None, "repeated, with the right key");
        assert_eq!(say(&one, &other), Err(StampRefusal::UnknownKey));
        let shown = other.recent_mismatch().map(|mismatch| mismatch.to_string());
        assert!(shown.is_some_and(|text| text.contains("bus") && text.contains("roles.keys")));
        installation.clock.advance(REFUSAL_INTERVAL);
        assert_eq!(other.recent_mismatch(), None);
    }

    #[test]
    fn a_clock_that_is_behind_is_judged_like_one_that_is_ahead() {
        let (here, there) = (Installation::new(), Installation::new());
        there.clock.advance(STAMP_WINDOW);
        let (one, other) = (here.role(&[NEW], None), there.role(&[NEW], None));
        assert_eq!((say(&one, &other), say(&other, &one)), (Ok(()), Ok(())));
        assert_eq!(one.since_stale(StampedChannel::Bus), None);
        there.clock.advance(Duration::from_millis(1));
        let stale = Err(StampRefusal::Stale);
        assert_eq!((say(&one, &other), say(&other, &one)), (stale, stale));
        here.clock.advance(Duration::from_secs(3));
        let passed = [&one, &other].map(|role| role.since_stale(StampedChannel::Bus));
        assert_eq!(
            passed,
            [3, 0].map(|seconds| Some(Duration::from_secs(seconds)))
        );
    }

    #[test]
    fn an_old_entry_is_believed_by_its_stamp_or_by_the_time_of_its_store() {
        let installation = Installation::new();
        let role = installation.role(&[NEW], Some(Duration::from_secs(60)));
        let (parts, log) = ([&b"entry"[..]], StampedChannel::Log);
        let (stamp, stored_at) = (role.stamp(log, &parts), installation.clock.now());
        installation
            .clock
            .advance(Duration::from_secs(7 * 24 * 3600));
        let verify = |stamp: Option<&str>, at| role.verify_stored(log, &parts, stamp, at);
        assert_eq!(verify(stamp.as_deref(), stored_at), Ok(()));
        assert_eq!(
            verify(None, stored_at),
            Ok(()),
            "it was stored before the time"
        );
        let now = installation.clock.now();
        assert_eq!(verify(None, now), Err(StampRefusal::Unsigned));
    }

    #[test]
    fn identical_messages_of_one_millisecond_have_different_stamps() {
        let role = Installation::new().role(&[NEW], None);
        let stamp = || role.stamp(StampedChannel::Bus, &[b"x"]);
        assert_ne!(stamp(), stamp());
    }
}
