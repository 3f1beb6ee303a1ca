//! One wheel for all answers that are waited for: when each of them has to say that it is still there, or ends. A timer
//! of its own would be as large as what is left of a call that waits.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Duration of a tick.
const TICK: Duration = Duration::from_secs(1);
/// Ticks that the wheel knows. What is due later is woken earlier, and asks again.
const SLOTS: u32 = 64;

/// A moment, in ticks since the wheel began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct WheelTick(u32);

/// The wheel.
#[derive(Debug)]
pub(crate) struct WakeWheel {
    began: Instant,
    now: AtomicU32,
    slots: Mutex<Vec<Vec<Waker>>>,
}

impl WakeWheel {
    pub(crate) fn new() -> Arc<Self> {
        let slots = (0..SLOTS).map(|_| Vec::new());
        Arc::new(Self {
            began: Instant::now(),
            now: AtomicU32::new(0),
            slots: Mutex::new(slots.collect()),
        })
    }

    pub(crate) fn now(&self) -> WheelTick {
        WheelTick(self.now.load(Ordering::Acquire))
    }

    /// The first tick that is not before this moment.
    pub(crate) fn tick_at(&self, moment: Instant) -> WheelTick {
        let since = moment.saturating_duration_since(self.began);
        let begun = u64::from(since.subsec_nanos() > 0);
        WheelTick(u32::try_from(since.as_secs() + begun).unwrap_or(u32::MAX))
    }

    /// The first tick for which this time has passed.
    pub(crate) fn after(&self, time: Duration) -> WheelTick {
        self.tick_at(Instant::now() + time)
    }

    /// Turns until the process stops.
    pub(crate) async fn run(&self, closed: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let endless = async {
            loop {
                ticks.tick().await;
                self.turn();
            }
        };
        closed.run_until_cancelled(endless).await;
    }

    /// Wakes whatever is due; after a time in which the process did not run, that of several ticks.
    pub(crate) fn turn(&self) {
        let target = u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX);
        let mut due = Vec::new();
        {
            let mut slots = self.slots.lock();
            let now = self.now.load(Ordering::Acquire);
            let first = now.max(target.saturating_sub(SLOTS - 1));
            // With their memory: those who are woken come back to another slot.
            let mut take = |slot: &mut Vec<Waker>| due.append(&mut mem::take(slot));
            for tick in first + 1..=target {
                take(&mut slots[(tick % SLOTS) as usize]);
            }
            if first > now {
                slots.iter_mut().for_each(take);
            }
            self.now.fetch_max(target, Ordering::AcqRel);
        }
        // Outside the lock: it may run code of the executor.
        due.into_iter().for_each(Waker::wake);
    }

    /// Wakes at this tick or before; returns when.
    fn insert(&self, at: WheelTick, waker: Waker) -> WheelTick {
        let mut slots = self.slots.lock();
        let now = self.now.load(Ordering::Acquire);
        let tick = at.0.clamp(now + 1, now + SLOTS - 1);
        slots[(tick % SLOTS) as usize].push(waker);
        WheelTick(tick)
    }
}

/// The place of one answer in the wheel.
#[derive(Debug, Default)]
pub(crate) struct WheelPlace {
    wakes_at: WheelTick,
    /// Whoever is woken then.
    waker: Option<Waker>,
}

impl WheelPlace {
    /// Whether the tick has come; if not, it wakes.
    pub(crate) fn poll(&mut self, wheel: &WakeWheel, at: WheelTick, cx: &Context<'_>) -> bool {
        let now = wheel.now();
        if now >= at {
            self.waker = None;
            return true;
        }
        let is_same = |waker: &Waker| waker.will_wake(cx.waker());
        let is_in = self.wakes_at > now && self.wakes_at <= at;
        if !is_in || !self.waker.as_ref().is_some_and(is_same) {
            self.waker = Some(cx.waker().clone());
            self.wakes_at = wheel.insert(at, cx.waker().clone());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, task::Wake};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    async fn pass(wheel: &WakeWheel, seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        wheel.turn();
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_woken_when_its_time_has_come_and_not_before() {
        let wheel = WakeWheel::new();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = Context::from_waker(&waker);
        let (mut place, at) = (WheelPlace::default(), wheel.after(Duration::from_secs(15)));
        for _ in 0..3 {
            assert!(!place.poll(&wheel, at, &cx));
        }
        pass(&wheel, 14).await;
        assert_eq!(wakes.count(), 0);
        pass(&wheel, 1).await;
        assert_eq!(wakes.count(), 1, "once, however often it asked");
        assert!(place.poll(&wheel, at, &cx));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_keeps_no_memory_of_those_that_it_woke() {
        let wheel = WakeWheel::new();
        let cx = Context::from_waker(Waker::noop());
        let room = || wheel.slots.lock().iter().map(Vec::capacity).sum::<usize>();
        let at = wheel.after(Duration::from_secs(3));
        for _ in 0..100 {
            assert!(!WheelPlace::default().poll(&wheel, at, &cx));
        }
        assert!(room() >= 100);
        pass(&wheel, 3).await;
        assert_eq!(room(), 0);
    }

    /// A source is polled first by whoever makes its response, and then by the driver of its connection.
    #[tokio::test(start_paused = true)]
    async fn the_last_to_ask_is_woken() {
        let wheel = WakeWheel::new();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let (mut place, at) = (WheelPlace::default(), wheel.after(Duration::from_secs(2)));
        assert!(!place.poll(&wheel, at, &Context::from_waker(Waker::noop())));
        assert!(!place.poll(&wheel, at, &Context::from_waker(&waker)));
        pass(&wheel, 2).await;
        assert_eq!(wakes.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_far_away_is_woken_on_the_way_and_a_pause_of_the_process_loses_nothing() {
        let wheel = WakeWheel::new();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = Context::from_waker(&waker);
        let (mut far, mut near) = (WheelPlace::default(), WheelPlace::default());
        let (in_an_hour, soon) = (
            wheel.after(Duration::from_secs(3600)),
            wheel.after(Duration::from_secs(3)),
        );
        assert!(!far.poll(&wheel, in_an_hour, &cx) && !near.poll(&wheel, soon, &cx));
        pass(&wheel, 1000).await;
        assert_eq!(wakes.count(), 2);
        assert!(!far.poll(&wheel, in_an_hour, &cx) && near.poll(&wheel, soon, &cx));
        pass(&wheel, 3000).await;
        assert_eq!(wakes.count(), 3);
        assert!(far.poll(&wheel, in_an_hour, &cx));
    }
}
