//! The rules of sessions: their messages, their subscriptions, and the end that they must not have.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Result, bail, ensure};
use parking_lot::Mutex;

use crate::ledger::{Ledger, Moment};

/// All sessions of one history, by the name that the story gives them.
#[derive(Debug)]
pub(crate) struct Post {
    ledger: Arc<Ledger>,
    books: Mutex<PostBooks>,
}

#[derive(Debug, Default)]
struct PostBooks {
    sessions: BTreeMap<String, SessionAccount>,
    last_set_back: Option<Moment>,
}

#[derive(Debug)]
struct SessionAccount {
    created: Moment,
    /// The store may have lost it.
    may_be_gone: bool,
    is_gone: bool,
    letters: Vec<Letter>,
    received: Vec<u64>,
    subscriptions: Vec<Subscription>,
    /// The client has an event id that covers a subscription which the store lost at this moment.
    misses_subscription: Option<Moment>,
    last_notice: Option<Moment>,
}

#[derive(Debug)]
struct Letter {
    number: u64,
    /// `None` if the answer was an error, or if the store lost it.
    acknowledged: Option<Moment>,
}

#[derive(Debug)]
struct Subscription {
    repo: &'static str,
    /// Its number in the store.
    number: u64,
    began: Moment,
    acknowledged: Moment,
}

impl Post {
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            ledger: Arc::clone(ledger),
            books: Mutex::default(),
        })
    }

    /// Whether the answer to a request which began then says nothing of what the store has now.
    fn is_in_doubt(books: &PostBooks, began: Moment) -> bool {
        books.last_set_back.is_some_and(|moment| moment > began)
    }

    /// A session was created by a request that began at a moment.
    pub(crate) fn create(&self, session: &str, began: Moment) {
        self.ledger.tell(format!("{session} is created"));
        let created = self.ledger.tick();
        let mut books = self.books.lock();
        let account = SessionAccount {
            created,
            may_be_gone: Self::is_in_doubt(&books, began),
            is_gone: false,
            letters: Vec::new(),
            received: Vec::new(),
            subscriptions: Vec::new(),
            misses_subscription: None,
            last_notice: None,
        };
        books.sessions.insert(session.to_owned(), account);
    }

    /// A session subscribed; returns whether the store is known to have it.
    pub(crate) fn subscribe(
        &self,
        session: &str,
        (repo, number): (&'static str, u64),
        began: Moment,
    ) -> bool {
        let acknowledged = self.ledger.tick();
        let mut books = self.books.lock();
        if Self::is_in_doubt(&books, began) {
            return false;
        }
        self.ledger.tell(format!("{session} subscribes to {repo}"));
        let account = books.sessions.get_mut(session).expect("it was created");
        // Its number is higher than those that the store lost: nothing proves the loss any more.
        account.misses_subscription = None;
        account.subscriptions.push(Subscription {
            repo,
            number,
            began,
            acknowledged,
        });
        self.ledger.owe(session, Some(repo));
        true
    }

    /// Somebody begins to send a message.
    pub(crate) fn send(&self, session: &str, number: u64) -> Moment {
        let letter = Letter {
            number,
            acknowledged: None,
        };
        let mut books = self.books.lock();
        let account = books.sessions.get_mut(session).expect("it was created");
        account.letters.push(letter);
        self.ledger.tick()
    }

    /// The message is stored.
    pub(crate) fn acknowledge(&self, session: &str, number: u64, began: Moment) {
        let at = self.ledger.tick();
        self.ledger
            .tell(format!("message {number} to {session} is stored"));
        let mut books = self.books.lock();
        let in_doubt = Self::is_in_doubt(&books, began);
        let account = books.sessions.get_mut(session).expect("it was created");
        let mut letters = account.letters.iter_mut();
        let letter = letters.find(|letter| letter.number == number);
        letter.expect("it was sent").acknowledged = (!in_doubt).then_some(at);
    }

    /// The session's client gets a message.
    pub(crate) fn deliver(&self, session: &str, number: u64) {
        self.ledger.tell(format!("{session} gets message {number}"));
        let mut books = self.books.lock();
        let account = books.sessions.get_mut(session).expect("it was created");
        account.received.push(number);
    }

    /// The session's client is informed that its store went back, or dropped messages.
    pub(crate) fn notice(&self, session: &str) {
        let at = self.ledger.tick();
        self.ledger
            .tell(format!("{session} is informed of a loss of its store"));
        self.ledger.may_repeat(session);
        let mut books = self.books.lock();
        let account = books.sessions.get_mut(session).expect("it was created");
        account.last_notice = Some(at);
    }

    /// The session's client learns that there is no such session.
    pub(crate) fn end(&self, session: &str) {
        self.ledger.tell(format!("{session} is gone"));
        let mut books = self.books.lock();
        let account = books.sessions.get_mut(session).expect("it was created");
        account.is_gone = true;
        if !account.may_be_gone {
            self.ledger
                .accuse(format!("{session} is gone, and nobody ended it"));
        }
        self.ledger.close(session);
    }

    /// The store goes back to its state at `saved`; `covers` says whether a session's client has an event id
    /// that covers a subscription. Returns the subscriptions that may be lost.
    pub(crate) fn set_back(
        &self,
        saved: Moment,
        covers: impl Fn(&str, u64) -> bool,
    ) -> Vec<(String, &'static str)> {
        let now = self.ledger.tick();
        self.ledger.tell("the store of sessions goes back");
        let mut books = self.books.lock();
        books.last_set_back = Some(now);
        let mut lost = Vec::new();
        for (session, account) in &mut books.sessions {
            account.may_be_gone |= account.created > saved;
            let letters = &mut account.letters;
            for letter in letters.iter_mut() {
                letter.acknowledged = letter.acknowledged.filter(|at| *at < saved);
            }
            let late = |one: &mut Subscription| one.acknowledged > saved;
            for gone in account.subscriptions.extract_if(.., late) {
                if gone.began > saved && covers(session, gone.number) {
                    account.misses_subscription = Some(now);
                }
                self.ledger.owe_no_more(session, gone.repo);
                lost.push((session.clone(), gone.repo));
            }
        }
        lost
    }

    /// Checks all sessions.
    pub(crate) fn balance(&self) -> Result<()> {
        let books = self.books.lock();
        for (session, account) in &books.sessions {
            if let Err(error) = check(account, books.last_set_back.is_some()) {
                bail!("{session} {error}");
            }
        }
        Ok(())
    }
}

fn check(account: &SessionAccount, went_back: bool) -> Result<()> {
    let received = &account.received;
    let sent = |number: &u64| {
        account
            .letters
            .iter()
            .any(|letter| letter.number == *number)
    };
    ensure!(
        received.iter().all(sent),
        "got what nobody sent: {received:?}"
    );
    if !went_back {
        let rises = received.is_sorted_by(|one, next| one < next);
        ensure!(rises, "got messages twice or out of order: {received:?}");
        ensure!(
            account.last_notice.is_none(),
            "was told of a loss that never was"
        );
    }
    if account.is_gone {
        return Ok(());
    }
    let is_told = |moment: Moment| account.last_notice.is_some_and(|notice| notice > moment);
    for letter in &account.letters {
        let number = letter.number;
        ensure!(
            letter.acknowledged.is_none_or(is_told) || received.contains(&number),
            "never got message {number}: {received:?}"
        );
    }
    ensure!(
        account.misses_subscription.is_none_or(is_told),
        "lost a subscription in silence"
    );
    Ok(())
}
