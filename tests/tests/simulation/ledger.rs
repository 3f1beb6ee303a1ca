//! The rules: what a client may miss, and what it must have been told.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, bail, ensure};
use parking_lot::Mutex;

/// A moment of the history: each entry of the ledger has its own.
type Moment = u64;

/// All events and all clients of one history.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    now: Moment,
    events: Vec<Acknowledged>,
    clients: BTreeMap<usize, Account>,
    /// Events were removed from the log.
    has_losses: bool,
    /// The log has given out sequences again, or was replaced.
    went_back: bool,
    /// Everything that happened, for the reader of a failure.
    story: Vec<String>,
}

#[derive(Debug)]
struct Acknowledged {
    id: String,
    repo: &'static str,
    at: Moment,
}

#[derive(Debug)]
struct Account {
    repo: Option<&'static str>,
    joined_at: Moment,
    received: Vec<String>,
    last_notice: Option<Moment>,
    notices: usize,
}

impl Books {
    fn tell(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }
}

impl Ledger {
    pub(crate) fn acknowledge(&self, id: &str, repo: &'static str) {
        let mut books = self.0.lock();
        let at = books.tick();
        books.tell(format!("{id} of {repo} is acknowledged"));
        let id = id.to_owned();
        books.events.push(Acknowledged { id, repo, at });
    }

    /// The log trimmed events: a client that has not had them must be told. After a set-back it may have the
    /// id of a lost entry whose number was given out again and then trimmed: nothing can tell the two apart.
    pub(crate) fn trim(&self, trimmed: &[String]) {
        let mut books = self.0.lock();
        books.tell(format!("trimmed: {trimmed:?}"));
        books.has_losses |= !trimmed.is_empty();
        if books.went_back {
            books.events.retain(|event| !trimmed.contains(&event.id));
        }
    }

    /// The log went back to before these events. Their sequences are given out again, and no reader that
    /// had not seen them can know that they ever were.
    pub(crate) fn set_back(&self, lost: &[String]) {
        let mut books = self.0.lock();
        books.tell(format!("lost: {lost:?}"));
        (books.has_losses, books.went_back) = (true, true);
        books.events.retain(|event| !lost.contains(&event.id));
    }

    /// A client's stream is open: events from now on are owed to it.
    pub(crate) fn join(&self, client: usize, repo: Option<&'static str>) {
        let mut books = self.0.lock();
        let joined_at = books.tick();
        books.clients.entry(client).or_insert(Account {
            repo,
            joined_at,
            received: Vec::new(),
            last_notice: None,
            notices: 0,
        });
    }

    pub(crate) fn receive(&self, client: usize, id: &str) {
        let mut books = self.0.lock();
        books.tick();
        books.tell(format!("client {client} gets {id}"));
        let account = books.clients.get_mut(&client).expect("it has joined");
        account.received.push(id.to_owned());
    }

    /// The client is informed of a gap.
    pub(crate) fn notice(&self, client: usize) {
        let mut books = self.0.lock();
        let at = books.tick();
        books.tell(format!("client {client} is informed of a gap"));
        let account = books.clients.get_mut(&client).expect("it has joined");
        account.last_notice = Some(at);
        account.notices += 1;
    }

    /// Notes what happens to the system.
    pub(crate) fn tell(&self, what: impl Into<String>) {
        self.0.lock().tell(what);
    }

    /// Checks all clients.
    pub(crate) fn balance(&self) -> Result<()> {
        let books = self.0.lock();
        for (client, account) in &books.clients {
            if let Err(error) = check(&books, account) {
                bail!("client {client} {error}\n{}", books.story.join("\n"));
            }
        }
        Ok(())
    }
}

fn check(books: &Books, account: &Account) -> Result<()> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for id in &account.received {
        *times.entry(id).or_default() += 1;
    }
    let owed = books.events.iter().filter(|event| {
        event.at > account.joined_at && account.repo.is_none_or(|repo| repo == event.repo)
    });
    for event in owed {
        let is_told = account.last_notice.is_some_and(|notice| notice > event.at);
        ensure!(
            times.contains_key(event.id.as_str()) || is_told,
            "missed {} and was told of no gap after it: {:?}",
            event.id,
            account.received
        );
    }
    ensure!(
        account.notices == 0 || books.has_losses,
        "was told of a gap where there was none"
    );
    if !books.went_back {
        let again = times.iter().find(|(_, times)| **times > 1);
        ensure!(again.is_none(), "got an event twice: {again:?}");
        let numbers = account.received.iter().map(|id| id[1..].parse::<u64>());
        let numbers: Vec<_> = numbers.collect::<Result<_, _>>()?;
        ensure!(numbers.is_sorted(), "got events out of order: {numbers:?}");
    }
    Ok(())
}
