//! Turns at the cores. Work for clients runs in turns, each for one poll of its future; at most as many run
//! at once as there are cores. While more is ready, the principal that has used the least time is next, and of
//! its clients (connections) the one that has: whoever asks for much delays itself and not others.
//!
//! A turn cannot be interrupted, so whatever computes for longer than some milliseconds yields in between.
//! Work that is started in a turn inherits the account that the turn is charged to ([`in_turns`]).
//!
//! A future that waits for its turn must be polled when it is woken, because the turn is kept for it: it has to
//! be a task, or to be awaited by one. The future of a response's body is not: nobody polls it while its client
//! does not read.

mod fair_order;

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use model::PrincipalId;
use parking_lot::Mutex;
use service_kit::metrics::MetricsRegistry;
use tokio::time::Instant;

use self::fair_order::{FairOrder, Waiting};
use crate::metrics::TurnMetrics;

thread_local! {
    /// The account of the turn that runs on this thread.
    static CURRENT: RefCell<Option<CpuAccount>> = const { RefCell::new(None) };
}

/// The connection that work is for; `None` if it is unknown.
type ClientAddr = Option<SocketAddr>;

/// The turns of a process.
#[derive(Debug)]
pub struct CpuTurns {
    cores: usize,
    state: Mutex<TurnState>,
    metrics: TurnMetrics,
}

#[derive(Debug)]
struct TurnState {
    /// Turns that may begin now; if there are any, nothing waits.
    free: usize,
    queue: FairOrder<PrincipalId, FairOrder<ClientAddr, BTreeSet<u64>>>,
    /// What waits, or has been given a turn that has not begun.
    tickets: HashMap<u64, Ticket>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Ticket {
    waker: Waker,
    since: Instant,
    is_next: bool,
}

impl CpuTurns {
    /// Turns for this many cores. Registers the instruments.
    #[must_use]
    pub fn new(cores: usize, registry: &mut MetricsRegistry) -> Arc<Self> {
        let cores = cores.max(1);
        Arc::new(Self {
            cores,
            state: Mutex::new(TurnState {
                free: cores,
                queue: FairOrder::default(),
                tickets: HashMap::new(),
                next_ticket: 0,
            }),
            metrics: TurnMetrics::new(registry),
        })
    }

    /// The account for what a principal has done over a connection.
    #[must_use]
    pub fn account(
        self: &Arc<Self>,
        principal: &PrincipalId,
        client: Option<SocketAddr>,
    ) -> CpuAccount {
        CpuAccount(Arc::new(AccountOwner {
            turns: Arc::clone(self),
            principal: principal.clone(),
            client,
        }))
    }

    /// Begins a turn, or waits for it with a ticket.
    fn poll_begin(
        &self,
        owner: &AccountOwner,
        ticket: &mut Option<u64>,
        waker: &Waker,
    ) -> Poll<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(number) = *ticket else {
            if state.free > 0 {
                state.free -= 1;
                return Poll::Ready(());
            }
            let number = state.next_ticket;
            state.next_ticket += 1;
            state.tickets.insert(
                number,
                Ticket {
                    waker: waker.clone(),
                    since: Instant::now(),
                    is_next: false,
                },
            );
            state.queue.change(&owner.principal, |clients| {
                clients.change(&owner.client, |tickets| tickets.insert(number))
            });
            *ticket = Some(number);
            self.metrics.waiting.set(state.tickets.len() as i64);
            return Poll::Pending;
        };
        match state.tickets.get_mut(&number) {
            Some(own) if !own.is_next => {
                own.waker.clone_from(waker);
                Poll::Pending
            }
            _ => {
                *ticket = None;
                if let Some(own) = state.tickets.remove(&number) {
                    self.metrics.waited(own.since.elapsed());
                }
                self.metrics.waiting.set(state.tickets.len() as i64);
                Poll::Ready(())
            }
        }
    }

    /// Ends a turn; the next one begins.
    fn end(&self, owner: &AccountOwner, used: Duration) {
        self.metrics.used(used);
        let nanos = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        let next = {
            let mut state = self.state.lock();
            if state.queue.is_waiting() {
                state.queue.charge(&owner.principal, nanos, |clients| {
                    clients.charge(&owner.client, nanos, |_| {});
                });
            }
            state.pass_on(self.cores)
        };
        wake(next);
    }

    /// Gives up a ticket, and the turn that was kept for it.
    fn give_up(&self, owner: &AccountOwner, number: u64) {
        let next = {
            let mut state = self.state.lock();
            let ticket = state.tickets.remove(&number);
            self.metrics.waiting.set(state.tickets.len() as i64);
            match ticket {
                Some(ticket) if ticket.is_next => state.pass_on(self.cores),
                _ => {
                    state.queue.change(&owner.principal, |clients| {
                        clients.change(&owner.client, |tickets| tickets.remove(&number))
                    });
                    None
                }
            }
        };
        wake(next);
    }
}

impl TurnState {
    /// Gives a turn that has ended to the next one that waits; its waker, if there is one.
    fn pass_on(&mut self, cores: usize) -> Option<Waker> {
        let next = self
            .queue
            .take_first(|clients| clients.take_first(BTreeSet::pop_first));
        if let Some(ticket) = next.and_then(|next| self.tickets.get_mut(&next)) {
            ticket.is_next = true;
            return Some(ticket.waker.clone());
        }
        self.free += 1;
        if self.free == cores {
            // Debts are for those who compete.
            self.queue = FairOrder::default();
        }
        None
    }
}

/// Outside the lock: it may run code of the executor.
fn wake(next: Option<Waker>) {
    if let Some(waker) = next {
        waker.wake();
    }
}

/// The owner of what is used, and the turns to which it counts. Cheap to clone.
#[derive(Clone)]
pub struct CpuAccount(Arc<AccountOwner>);

#[derive(Debug)]
struct AccountOwner {
    turns: Arc<CpuTurns>,
    principal: PrincipalId,
    client: ClientAddr,
}

impl CpuAccount {
    /// The account of the turn in which this is called.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// A future that runs in turns of this account.
    pub fn run<F: Future>(&self, future: F) -> FutureInTurns<Pin<Box<F>>> {
        FutureInTurns {
            account: Some(self.clone()),
            ticket: None,
            future: Box::pin(future),
        }
    }
}

impl fmt::Debug for CpuAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccountOwner {
            principal, client, ..
        } = &*self.0;
        f.debug_struct("CpuAccount")
            .field("principal", principal)
            .field("client", client)
            .finish()
    }
}

/// A future that runs in turns of the account of the present turn; outside of one it runs without. One that cannot be
/// moved is boxed by the caller, who may have it in a box already.
pub fn in_turns<F: Future + Unpin>(future: F) -> FutureInTurns<F> {
    FutureInTurns {
        account: CpuAccount::current(),
        ticket: None,
        future,
    }
}

/// As [`in_turns`], for work that goes on after a wait, outside the turn that began it.
pub fn again_in_turns<F: Future + Unpin>(
    account: Option<&CpuAccount>,
    future: F,
) -> FutureInTurns<F> {
    FutureInTurns {
        account: account.cloned(),
        ticket: None,
        future,
    }
}

/// A future each of whose polls takes a turn. Within the turn of another one it needs none.
#[derive(Debug)]
pub struct FutureInTurns<F> {
    account: Option<CpuAccount>,
    /// While it waits for its turn.
    ticket: Option<u64>,
    future: F,
}

impl<F: Future + Unpin> Future for FutureInTurns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some(account) = &this.account else {
            return Pin::new(&mut this.future).poll(cx);
        };
        if this.ticket.is_none() && CURRENT.with_borrow(Option::is_some) {
            return Pin::new(&mut this.future).poll(cx);
        }
        let turns = &account.0.turns;
        if turns
            .poll_begin(&account.0, &mut this.ticket, cx.waker())
            .is_pending()
        {
            return Poll::Pending;
        }
        let _turn = RunningTurn::begin(account);
        Pin::new(&mut this.future).poll(cx)
    }
}

impl<F> Drop for FutureInTurns<F> {
    fn drop(&mut self) {
        if let (Some(account), Some(ticket)) = (&self.account, self.ticket) {
            account.0.turns.give_up(&account.0, ticket);
        }
    }
}

/// A turn; it ends when this is dropped, also by a panic.
struct RunningTurn<'a> {
    account: &'a CpuAccount,
    /// The account of the turn in which this one runs: only if that one began while this one waited.
    around: Option<CpuAccount>,
    since: Instant,
}

impl<'a> RunningTurn<'a> {
    fn begin(account: &'a CpuAccount) -> Self {
        Self {
            account,
            around: CURRENT.replace(Some(account.clone())),
            since: Instant::now(),
        }
    }
}

impl Drop for RunningTurn<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.around.take());
        let turns = &self.account.0.turns;
        turns.end(&self.account.0, self.since.elapsed());
    }
}

#[cfg(test)]
mod tests;
