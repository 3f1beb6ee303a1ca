use std::{
    future::{pending, poll_fn},
    sync::atomic::{AtomicUsize, Ordering},
    task::Wake,
};

use tokio::time::advance;

use super::*;

fn turns(cores: usize) -> Arc<CpuTurns> {
    CpuTurns::new(cores, &mut MetricsRegistry::default())
}

fn account(turns: &Arc<CpuTurns>, name: &str, port: u16) -> CpuAccount {
    let client = SocketAddr::from(([127, 0, 0, 1], port));
    turns.account(&PrincipalId::new(name).unwrap(), Some(client))
}

/// Counts how often it is woken.
#[derive(Default)]
struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future + Unpin>(future: &mut FutureInTurns<F>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn nothing() {}

fn free(turns: &CpuTurns) -> (usize, usize) {
    let state = turns.state.lock();
    (state.free, state.tickets.len())
}

/// Runs a future in a turn, within which other futures are polled as by another thread.
fn within_a_turn(account: &CpuAccount, work: impl FnOnce()) {
    let mut work = Some(work);
    let mut holding = account.run(poll_fn(move |_| {
        let inside = CURRENT.take();
        work.take().expect("polled once")();
        CURRENT.set(inside);
        Poll::Ready(())
    }));
    assert!(poll(&mut holding).is_ready());
}

#[test]
fn as_many_turns_run_as_there_are_cores() {
    let turns = turns(2);
    let (one, two) = (account(&turns, "one", 1), account(&turns, "two", 2));
    within_a_turn(&one, || {
        within_a_turn(&one, || {
            let mut third = two.run(async {});
            assert!(poll(&mut third).is_pending());
            assert_eq!(free(&turns), (0, 1));
        });
        assert!(poll(&mut two.run(async {})).is_ready());
    });
    assert_eq!(free(&turns), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_used_less_is_next_whatever_the_number_of_its_rivals() {
    let turns = turns(1);
    let (greedy, modest) = (account(&turns, "greedy", 1), account(&turns, "modest", 2));
    let order = Arc::new(Mutex::new(Vec::new()));
    let work = |name| {
        let order = Arc::clone(&order);
        async move {
            advance(Duration::from_millis(5)).await;
            order.lock().push(name);
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        tasks.spawn(greedy.run(work("greedy")));
    }
    tasks.spawn(modest.run(work("modest")));
    while tasks.join_next().await.is_some() {}
    let order = order.lock();
    let place = order.iter().position(|name| *name == "modest").unwrap();
    assert!(place <= 3, "{place} of {}", order.len());
    assert_eq!(free(&turns), (1, 0));
}

#[test]
fn connections_of_one_principal_have_shares_too() {
    let turns = turns(1);
    let (flood, other) = (account(&turns, "same", 1), account(&turns, "same", 2));
    let (mut flooding, mut waiting) = (Vec::new(), Vec::new());
    within_a_turn(&flood, || {
        for _ in 0..50 {
            let mut one = flood.run(async {});
            assert!(poll(&mut one).is_pending());
            flooding.push(one);
        }
        let mut one = other.run(async {});
        assert!(poll(&mut one).is_pending());
        waiting.push(one);
    });
    // The flood has just had a turn.
    assert!(flooding.iter_mut().all(|one| poll(one).is_pending()));
    assert!(poll(&mut waiting[0]).is_ready());
    assert!(poll(&mut flooding[0]).is_ready());
}

#[test]
fn a_turn_is_passed_on_by_whoever_is_dropped() {
    let turns = turns(1);
    let (one, two) = (account(&turns, "one", 1), account(&turns, "two", 2));
    let count = Arc::new(WakeCount::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let (mut first, mut second, mut third) =
        (two.run(nothing()), two.run(nothing()), two.run(nothing()));
    within_a_turn(&one, || {
        for waiting in [&mut first, &mut second, &mut third] {
            assert!(Pin::new(waiting).poll(&mut cx).is_pending());
        }
        drop(second);
    });
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(poll(&mut one.run(async {})).is_pending());
    drop(first);
    assert_eq!(count.0.load(Ordering::SeqCst), 2);
    assert!(poll(&mut third).is_ready());
    assert_eq!(free(&turns), (1, 0));
}

#[test]
fn a_panic_ends_its_turn() {
    let turns = turns(1);
    let one = account(&turns, "one", 1);
    let mut panicking = one.run(poll_fn(|_| -> Poll<()> { panic!("on purpose") }));
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut panicking)));
    assert!(polled.is_err());
    assert!(CpuAccount::current().is_none());
    assert_eq!(free(&turns), (1, 0));
}

#[test]
fn work_that_is_started_in_a_turn_inherits_its_account() {
    let turns = turns(1);
    let one = account(&turns, "one", 1);
    let mut started = None;
    {
        let started = &mut started;
        let mut starting = one.run(async move {
            // Needs no turn of its own: it runs within this one.
            in_turns(Box::pin(async {})).await;
            *started = Some(in_turns(pending::<()>()));
        });
        assert!(poll(&mut starting).is_ready());
    }
    let started = started.unwrap();
    let name = started
        .account
        .as_ref()
        .map(|account| account.0.principal.clone());
    assert_eq!(name, PrincipalId::new("one").ok());
    assert!(in_turns(Box::pin(async {})).account.is_none());
}
