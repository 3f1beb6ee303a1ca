//! The rules of events: what a reader may miss, and what it must have been told.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Result, bail, ensure};
use parking_lot::Mutex;

/// A moment of the history: each entry of the ledger has its own.
pub(crate) type Moment = u64;

/// All events and all readers of one history.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    now: Moment,
    /// The repository of every event that the ingest received, and when that was.
    received: HashMap<String, (&'static str, Moment)>,
    acknowledged: Vec<Acknowledged>,
    readers: BTreeMap<String, Account>,
    /// Events were removed from the log, or can no longer be read.
    has_losses: bool,
    /// The log has given out sequences again, was replaced or was damaged.
    went_back: bool,
    broken: Option<String>,
    /// Everything that happened, for the reader of a failure.
    story: Vec<String>,
}

#[derive(Debug)]
struct Acknowledged {
    id: String,
    repo: &'static str,
    received: Moment,
    at: Moment,
}

#[derive(Debug, Default)]
struct Account {
    wants: Vec<Want>,
    events: Vec<String>,
    last_notice: Option<Moment>,
    notices: usize,
    /// It came back with an id from which events that it has come again, or was told that they may.
    may_repeat: bool,
}

/// Events that are owed to a reader from a moment on: those of one repository, or all.
#[derive(Debug)]
struct Want {
    repo: Option<&'static str>,
    since: Moment,
}

impl Books {
    fn tell(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    fn account(&mut self, reader: &str) -> &mut Account {
        self.readers.entry(reader.to_owned()).or_default()
    }
}

impl Ledger {
    /// A moment of its own.
    pub(crate) fn tick(&self) -> Moment {
        self.0.lock().tick()
    }

    /// The ingest received an event.
    pub(crate) fn receive(&self, id: &str, repo: &'static str) {
        let mut books = self.0.lock();
        let at = books.tick();
        books.received.insert(id.to_owned(), (repo, at));
    }

    pub(crate) fn acknowledge(&self, id: &str) {
        let mut books = self.0.lock();
        let (at, (repo, received)) = (books.tick(), books.received[id]);
        books.tell(format!("{id} of {repo} is acknowledged"));
        let event = Acknowledged {
            id: id.to_owned(),
            repo,
            received,
            at,
        };
        books.acknowledged.push(event);
    }

    /// An edge is restarted.
    pub(crate) fn restart(&self, edge: usize) {
        let mut books = self.0.lock();
        books.tell(format!("edge {edge} restarts"));
    }

    /// The log trimmed events: a reader that has not had them must be told. After a set-back it may have the
    /// id of a lost entry whose number was given out again and then trimmed: nothing can tell the two apart.
    pub(crate) fn trim(&self, trimmed: &[String]) {
        let mut books = self.0.lock();
        books.tell(format!("trimmed: {trimmed:?}"));
        books.has_losses |= !trimmed.is_empty();
        if books.went_back {
            books.acknowledged.retain(|one| !trimmed.contains(&one.id));
        }
    }

    /// The log has an entry that does not decode. A reader that has not had it must be told; for one that has,
    /// the log is not the one that it read.
    pub(crate) fn damage(&self, what: &str) {
        let mut books = self.0.lock();
        books.tell(format!("does not decode: {what}"));
        (books.has_losses, books.went_back) = (true, true);
    }

    /// The log went back to before these events. Their sequences are given out again, and no reader that
    /// had not seen them can know that they ever were.
    pub(crate) fn set_back(&self, lost: &[String]) {
        let mut books = self.0.lock();
        books.tell(format!("lost: {lost:?}"));
        (books.has_losses, books.went_back) = (true, true);
        books.acknowledged.retain(|one| !lost.contains(&one.id));
    }

    /// A reader's stream is open, or its subscription was answered: events from now on are owed to it.
    pub(crate) fn owe(&self, reader: &str, repo: Option<&'static str>) {
        let mut books = self.0.lock();
        let since = books.tick();
        let account = books.account(reader);
        if !account.wants.iter().any(|want| want.repo == repo) {
            account.wants.push(Want { repo, since });
        }
    }

    /// The store lost a reader's subscription.
    pub(crate) fn owe_no_more(&self, reader: &str, repo: &'static str) {
        let mut books = self.0.lock();
        let wants = &mut books.account(reader).wants;
        wants.retain(|want| want.repo != Some(repo));
    }

    /// A reader gets an event.
    pub(crate) fn deliver(&self, reader: &str, id: &str) {
        let mut books = self.0.lock();
        books.tick();
        books.tell(format!("{reader} gets {id}"));
        if !books.received.contains_key(id) {
            books.broken = Some(format!("{reader} got {id}, which never was"));
        }
        books.account(reader).events.push(id.to_owned());
    }

    /// A reader comes back with an id that names less than an earlier one did: it was cut while its stream, which
    /// had moved back for a subscription that was added, was on its way. `is_late` if that cannot last so long.
    pub(crate) fn come_back(&self, reader: &str, is_late: bool) {
        let mut books = self.0.lock();
        books.tell(format!("{reader} comes back with an id from a way back"));
        books.account(reader).may_repeat = true;
        if is_late && !books.went_back {
            books.broken = Some(format!("{reader} has an old id, long after its way back"));
        }
    }

    /// A reader is told that its subscriptions may have been lost, and that what it has may come again.
    pub(crate) fn may_repeat(&self, reader: &str) {
        self.0.lock().account(reader).may_repeat = true;
    }

    /// A reader is informed of a gap.
    pub(crate) fn notice(&self, reader: &str) {
        let mut books = self.0.lock();
        let at = books.tick();
        books.tell(format!("{reader} is informed of a gap"));
        let account = books.account(reader);
        account.last_notice = Some(at);
        account.notices += 1;
    }

    /// The reader's session is gone, and it knows that.
    pub(crate) fn close(&self, reader: &str) {
        self.0.lock().readers.remove(reader);
    }

    /// Notes what happens to the system.
    pub(crate) fn tell(&self, what: impl Into<String>) {
        self.0.lock().tell(what);
    }

    /// Something happened that must not.
    pub(crate) fn accuse(&self, what: impl Into<String>) {
        let mut books = self.0.lock();
        let what = what.into();
        books.tell(format!("WRONG: {what}"));
        books.broken.get_or_insert(what);
    }

    /// The story so far.
    pub(crate) fn story(&self) -> String {
        self.0.lock().story.join("\n")
    }

    /// Checks all readers.
    pub(crate) fn balance(&self) -> Result<()> {
        let books = self.0.lock();
        if let Some(broken) = &books.broken {
            bail!("{broken}");
        }
        for (reader, account) in &books.readers {
            if let Err(error) = check(&books, account) {
                bail!("{reader} {error}");
            }
        }
        Ok(())
    }
}

fn check(books: &Books, account: &Account) -> Result<()> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for id in &account.events {
        *times.entry(id).or_default() += 1;
    }
    // An event that was on its way when the reader subscribed may be older in the log.
    let is_owed = |event: &&Acknowledged| {
        let is_wanted = |want: &Want| want.repo.is_none_or(|repo| repo == event.repo);
        let mut wants = account.wants.iter();
        wants.any(|want| event.received > want.since && is_wanted(want))
    };
    for event in books.acknowledged.iter().filter(is_owed) {
        let is_told = account.last_notice.is_some_and(|notice| notice > event.at);
        ensure!(
            times.contains_key(event.id.as_str()) || is_told,
            "missed {} and was told of no gap after it: {:?}",
            event.id,
            account.events
        );
    }
    ensure!(
        account.notices == 0 || books.has_losses,
        "was told of a gap where there was none"
    );
    if books.went_back {
        return Ok(());
    }
    let again = times.iter().find(|(_, times)| **times > 1);
    ensure!(
        again.is_none() || account.may_repeat,
        "got an event twice: {again:?}"
    );
    // A subscription that was added later begins before the position of the stream.
    let mut newest: HashMap<&str, u64> = HashMap::new();
    let mut seen = HashSet::new();
    for id in account.events.iter().filter(|id| seen.insert(*id)) {
        let (number, newest) = (
            id[1..].parse()?,
            newest.entry(books.received[id].0).or_default(),
        );
        ensure!(
            number > *newest,
            "got events out of order: {:?}",
            account.events
        );
        *newest = number;
    }
    Ok(())
}
