//! The books of a budget: what each body holds, and which one is given up for another. No I/O, no clock.

use std::collections::HashMap;

use slab::Slab;
use tokio::{sync::oneshot, time::Instant};

use super::{BodyRefusal, BodySender, BudgetSizes};
use crate::limits::{BODY_ROOM_TIMEOUT, BODY_STALL_TIMEOUT, PRINCIPAL_PART};

/// A body in the books.
#[derive(Debug)]
struct BodyEntry {
    sender: BodySender,
    bytes: usize,
    is_large: bool,
    /// The last progress; `None` once it has arrived: then it is not given up any more.
    progress: Option<Instant>,
    /// The bytes that it wants to hold while it waits for room, and therefore makes no progress.
    waits_for: Option<usize>,
    /// Tells its reader that it is given up; `None` once that has happened.
    give_up: Option<oneshot::Sender<BodyRefusal>>,
}

impl BodyEntry {
    fn can_be_given_up(&self) -> bool {
        self.progress.is_some() && self.give_up.is_some()
    }

    fn is_stalled(&self, now: Instant) -> bool {
        let since = self.progress.filter(|_| self.waits_for.is_none());
        since.is_some_and(|since| now.duration_since(since) >= BODY_STALL_TIMEOUT)
    }
}

/// The answer to a body that wants to hold more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HoldOutcome {
    /// It holds that much now.
    Held,
    /// There is no room yet, for this reason. It may come when another body ends, and at this time another one counts as
    /// stalled.
    Wait(Instant, BodyRefusal),
    /// There is no room, and nothing to wait for.
    Refused(BodyRefusal),
}

/// Bytes that are missing for a body: in the whole budget, in the part for large bodies, in the sender's own part.
#[derive(Debug, Clone, Copy, Default)]
struct Shortage {
    whole: usize,
    large: usize,
    own: usize,
}

impl Shortage {
    fn is_none(self) -> bool {
        self.whole == 0 && self.large == 0 && self.own == 0
    }

    /// Bytes that are missing without this body; `None` if its end does not help.
    fn without(self, body: &BodyEntry, sender: &BodySender) -> Option<Self> {
        let (is_large, is_own) = (body.is_large, body.sender == *sender);
        let helps = self.whole > 0 || (self.large > 0 && is_large) || (self.own > 0 && is_own);
        let less = |missing: usize, counts: bool| match counts {
            true => missing.saturating_sub(body.bytes),
            false => missing,
        };
        helps.then(|| Self {
            whole: less(self.whole, true),
            large: less(self.large, is_large),
            own: less(self.own, is_own),
        })
    }
}

/// The books.
#[derive(Debug)]
pub(super) struct Ledger {
    sizes: BudgetSizes,
    bodies: Slab<BodyEntry>,
    /// Bytes of all bodies.
    held: usize,
    /// Bytes of those that are large.
    large: usize,
    senders: HashMap<BodySender, usize>,
    /// Number of bodies that wait for room.
    waiting: usize,
}

impl Ledger {
    pub(super) fn new(sizes: BudgetSizes) -> Self {
        Self {
            sizes,
            bodies: Slab::new(),
            held: 0,
            large: 0,
            senders: HashMap::new(),
            waiting: 0,
        }
    }

    /// Bytes of small and of large bodies.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.held - self.large, self.large)
    }

    /// Enters a body that holds nothing yet.
    pub(super) fn open(
        &mut self,
        sender: BodySender,
        give_up: oneshot::Sender<BodyRefusal>,
        now: Instant,
    ) -> usize {
        self.bodies.insert(BodyEntry {
            sender,
            bytes: 0,
            is_large: false,
            progress: Some(now),
            waits_for: None,
            give_up: Some(give_up),
        })
    }

    /// Lets a body hold `bytes` from now on. If there is no room for more, other bodies are told that they are given
    /// up: those that have stalled, longest first; then those of a sender that holds more than this one; then, for a small
    /// body, those that wait for room themselves.
    pub(super) fn hold(&mut self, key: usize, bytes: usize, now: Instant) -> HoldOutcome {
        let missing = self.missing(key, bytes);
        let body = &self.bodies[key];
        if missing.is_none() || bytes <= body.bytes {
            self.set(key, bytes, bytes > self.sizes.small_body);
            if self.set_waiting(key, None) {
                let body = &mut self.bodies[key];
                body.progress = body.progress.map(|_| now);
            }
            return HoldOutcome::Held;
        }
        let own = self.held_by(&body.sender) - body.bytes + bytes;
        let outcome = self.make_room(key, bytes, missing, own, now);
        let waits = matches!(outcome, HoldOutcome::Wait(..));
        self.set_waiting(key, waits.then_some(bytes));
        outcome
    }

    /// Whether it makes sense that bodies look for room again: one that waits fits now, or only such are left and
    /// one of them has to be refused.
    pub(super) fn can_go_on(&self) -> bool {
        if self.waiting == 0 {
            return false;
        }
        let mut bodies = self.bodies.iter();
        self.waiting == self.bodies.len()
            || bodies.any(|(key, body)| {
                body.waits_for
                    .is_some_and(|bytes| self.missing(key, bytes).is_none())
            })
    }

    /// Enters whether a body waits; gives whether it did before.
    fn set_waiting(&mut self, key: usize, waits_for: Option<usize>) -> bool {
        let before = std::mem::replace(&mut self.bodies[key].waits_for, waits_for).is_some();
        self.waiting = self.waiting - usize::from(before) + usize::from(waits_for.is_some());
        before
    }

    /// What is missing for a body to hold `bytes`.
    fn missing(&self, key: usize, bytes: usize) -> Shortage {
        let (body, sizes) = (&self.bodies[key], self.sizes);
        let is_large = bytes > sizes.small_body;
        let own = self.held_by(&body.sender) - body.bytes + bytes;
        let large_before = if body.is_large { body.bytes } else { 0 };
        let large_now = if is_large { bytes } else { 0 };
        let own_part = match body.sender {
            BodySender::Principal(_) => sizes.whole / PRINCIPAL_PART,
            BodySender::Address(_) | BodySender::Unknown => usize::MAX,
        };
        Shortage {
            whole: (self.held - body.bytes + bytes).saturating_sub(sizes.whole),
            large: match is_large {
                true => (self.large - large_before + large_now)
                    .saturating_sub(sizes.whole - sizes.small_part),
                false => 0,
            },
            own: own.saturating_sub(own_part),
        }
    }

    /// Finds bodies whose end makes room, and tells them; otherwise says how long to wait.
    fn make_room(
        &mut self,
        key: usize,
        bytes: usize,
        mut missing: Shortage,
        own: usize,
        now: Instant,
    ) -> HoldOutcome {
        let sender = self.bodies[key].sender.clone();
        let mut others = Vec::new();
        for (index, body) in self.bodies.iter().filter(|(index, _)| *index != key) {
            if body.give_up.is_none() {
                // Told before: its room comes as soon as its reader runs.
                missing = missing.without(body, &sender).unwrap_or(missing);
            } else if body.can_be_given_up() {
                others.push(index);
            }
        }
        let refusal = match missing.own > 0 {
            true => BodyRefusal::Share,
            false => BodyRefusal::Full,
        };
        others.sort_unstable_by_key(|index| self.bodies[*index].progress);
        let (stalled, going): (Vec<usize>, Vec<usize>) = others
            .into_iter()
            .partition(|index| self.bodies[*index].is_stalled(now));
        let mut chosen = Vec::new();
        self.choose(
            stalled,
            &mut missing,
            &sender,
            BodyRefusal::Stalled,
            &mut chosen,
        );
        let mut richer: Vec<(usize, usize)> = going
            .iter()
            .map(|index| (self.held_by(&self.bodies[*index].sender), *index))
            .filter(|(theirs, _)| *theirs > own)
            .collect();
        // Stable: of one sender, the body without progress for longest stays first.
        richer.sort_by_key(|(theirs, _)| std::cmp::Reverse(*theirs));
        let richer = richer.into_iter().map(|(_, index)| index).collect();
        self.choose(
            richer,
            &mut missing,
            &sender,
            BodyRefusal::Share,
            &mut chosen,
        );
        if bytes <= self.sizes.small_body {
            let waiting = going.iter().copied().filter(|index| {
                self.bodies[*index].waits_for.is_some()
                    && chosen.iter().all(|(other, _)| other != index)
            });
            let waiting = waiting.collect();
            self.choose(
                waiting,
                &mut missing,
                &sender,
                BodyRefusal::Full,
                &mut chosen,
            );
        }
        if missing.is_none() {
            for (index, refusal) in chosen {
                if let Some(give_up) = self.bodies[index].give_up.take() {
                    // Its reader may be about to end.
                    let _ = give_up.send(refusal);
                }
            }
            return HoldOutcome::Wait(now + BODY_STALL_TIMEOUT, refusal);
        }
        let helps = |body: &BodyEntry| missing.without(body, &sender).is_some();
        let next = going.iter().map(|index| &self.bodies[*index]);
        let next = next.filter(|body| body.waits_for.is_none() && helps(body));
        if let Some(progress) = next.filter_map(|body| body.progress).min() {
            return HoldOutcome::Wait(progress + BODY_STALL_TIMEOUT, refusal);
        }
        // The work on a body that has arrived may end soon. If all others wait too, nothing would change.
        let mut all = self.bodies.iter().map(|(_, body)| body);
        match all.any(|body| body.progress.is_none() && helps(body)) {
            true => HoldOutcome::Wait(now + BODY_ROOM_TIMEOUT, refusal),
            false => HoldOutcome::Refused(refusal),
        }
    }

    /// Moves bodies to the chosen ones as long as their end helps.
    fn choose(
        &self,
        candidates: Vec<usize>,
        missing: &mut Shortage,
        sender: &BodySender,
        refusal: BodyRefusal,
        chosen: &mut Vec<(usize, BodyRefusal)>,
    ) {
        for index in candidates {
            if missing.is_none() {
                return;
            }
            if let Some(less) = missing.without(&self.bodies[index], sender) {
                *missing = less;
                chosen.push((index, refusal));
            }
        }
    }

    /// A body has made progress.
    pub(super) fn progress(&mut self, key: usize, now: Instant) {
        let body = &mut self.bodies[key];
        body.progress = body.progress.map(|_| now);
    }

    /// A body has arrived whole and holds `bytes`, not more than before. From now on it is not given up; `false` if it
    /// has been before.
    pub(super) fn complete(&mut self, key: usize, bytes: usize) -> bool {
        if self.bodies[key].give_up.is_none() {
            return false;
        }
        let bytes = bytes.min(self.bodies[key].bytes);
        let is_large = self.bodies[key].is_large && bytes > self.sizes.small_body;
        self.set(key, bytes, is_large);
        self.bodies[key].progress = None;
        true
    }

    /// Removes a body.
    pub(super) fn close(&mut self, key: usize) {
        self.set(key, 0, false);
        self.set_waiting(key, None);
        let body = self.bodies.remove(key);
        if self.senders.get(&body.sender) == Some(&0) {
            self.senders.remove(&body.sender);
        }
    }

    fn held_by(&self, sender: &BodySender) -> usize {
        self.senders.get(sender).copied().unwrap_or(0)
    }

    fn set(&mut self, key: usize, bytes: usize, is_large: bool) {
        let body = &mut self.bodies[key];
        self.held = self.held - body.bytes + bytes;
        if body.is_large {
            self.large -= body.bytes;
        }
        if is_large {
            self.large += bytes;
        }
        let own = match self.senders.get_mut(&body.sender) {
            Some(own) => own,
            None => self.senders.entry(body.sender.clone()).or_insert(0),
        };
        *own = *own - body.bytes + bytes;
        (body.bytes, body.is_large) = (bytes, is_large);
    }
}

#[cfg(test)]
mod tests;
