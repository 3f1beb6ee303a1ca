//! The state that the honest streams share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use super::account::UnplacedAccount;
use crate::soak::{
    books::Books,
    client::SoakClient,
    faults::{Fault, Faults},
    ledger::StreamLedger,
    world::{Mark, REPOSITORIES},
};

/// The account of a stream, as its kind needs it.
#[derive(Debug)]
pub(crate) enum HonestAccount {
    /// Not open yet.
    None,
    /// Its frames carry positions.
    Placed(Box<SoakClient>),
    /// They do not.
    Unplaced(UnplacedAccount),
}

/// What all streams share. Whoever locks an account and the ledger locks the account first.
#[derive(Debug)]
pub(crate) struct HonestShared {
    pub(crate) books: Arc<Books>,
    ledger: Mutex<StreamLedger>,
    accounts: Vec<Mutex<HonestAccount>>,
    open: Vec<AtomicBool>,
    micros: Mutex<Vec<u64>>,
    pub(crate) updates: AtomicU64,
}

impl HonestShared {
    pub(crate) fn new(books: Arc<Books>, count: usize) -> Self {
        Self {
            ledger: Mutex::new(StreamLedger::new(Arc::clone(&books))),
            books,
            accounts: (0..count)
                .map(|_| Mutex::new(HonestAccount::None))
                .collect(),
            open: (0..count).map(|_| AtomicBool::new(false)).collect(),
            micros: Mutex::default(),
            updates: AtomicU64::new(0),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, StreamLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn account(&self, at: usize) -> MutexGuard<'_, HonestAccount> {
        let account = self.accounts[at].lock();
        account.unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self) -> MutexGuard<'_, Vec<u64>> {
        self.micros.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the arrival of an event.
    pub(crate) fn arrived(&self, mark: Mark, now: Instant) {
        if let Some(sent) = self.books.sent_at(mark) {
            let micros = now.saturating_duration_since(sent).as_micros();
            self.micros()
                .push(u64::try_from(micros).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn take_micros(&self) -> Vec<u64> {
        std::mem::take(&mut self.micros())
    }

    /// Records whether a stream is open.
    pub(crate) fn set_open(&self, at: usize, is_open: bool) {
        self.open[at].store(is_open, Ordering::SeqCst);
    }

    pub(crate) fn open_count(&self) -> usize {
        let open = self.open.iter();
        open.filter(|open| open.load(Ordering::SeqCst)).count()
    }

    pub(crate) fn add(&self, fault: Fault, what: impl FnOnce() -> String) {
        self.ledger().faults.add(fault, what);
    }

    pub(crate) fn faults(&self) -> Faults {
        self.ledger().faults.clone()
    }

    /// The highest number that was sent, by repository.
    pub(crate) fn newest_sent(&self) -> Vec<u32> {
        let all = 0..REPOSITORIES;
        all.map(|at| self.books.newest_sent(at)).collect()
    }

    /// The streams that miss something of what must exist.
    pub(crate) fn unsettled(&self, newest: &[u32]) -> Vec<String> {
        let unsettled = (0..self.accounts.len()).filter_map(|at| {
            let account = self.account(at);
            let is_settled = match &*account {
                HonestAccount::None => false,
                HonestAccount::Placed(client) => client.has_all(&self.ledger(), |at| newest[at]),
                HonestAccount::Unplaced(account) => account.is_settled(newest),
            };
            (!is_settled).then(|| format!("stream {at} misses something: {account:?}"))
        });
        unsettled.collect()
    }

    /// Judges what could not be judged before; gives all faults.
    pub(crate) fn close(&self) -> Faults {
        let mut ledger = self.ledger();
        ledger.close();
        ledger.faults.clone()
    }
}
