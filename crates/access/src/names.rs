//! Identity that survives renames: which name is which id, for filters and for what tokens may see. See ADR 002.

mod book;
mod change;
mod grants;
mod moment;
mod notes;
mod pin;
mod shown;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use model::{
    Epoch, EventFacts, LogPosition, PlaceId, PlaceName, PrincipalId, ResourceUri, Sequence,
};
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::limits::MAX_RECENT_RENAMES;
use book::{NameBook, NameStanding};
use change::{key_of, names_shown_by};
use grants::{Grants, after};
use moment::followed;

pub use change::{NameChange, ShownPlace};
pub use grants::PinnedNames;
pub use moment::{FollowedRename, NamesAt};
pub(crate) use pin::{NamedRights, Pin};

/// The names that changed, and the ids to which principals' names are pinned, on one edge. It is derived from the
/// log, event by event, and from what edges stored of it.
#[derive(Debug, Default)]
pub struct NameDirectory {
    state: RwLock<State>,
    /// Number of renames that this edge has followed; changed while the state is locked.
    revision: AtomicU64,
    /// Rises whenever a name may mean something else than before; changed while the state is locked.
    meanings: AtomicU64,
    /// How far the log has been followed.
    reached: AtomicU64,
    /// Something is to be stored.
    unstored: Notify,
    /// A name may have been granted whose id is not known.
    opened: Notify,
}

#[derive(Debug, Default)]
struct State {
    book: NameBook,
    grants: Grants,
    /// The newest renames; the last one has the directory's revision.
    recent: VecDeque<Arc<FollowedRename>>,
    has_unstored_changes: bool,
}

impl NameDirectory {
    /// Names as they are now.
    #[must_use]
    pub const fn now(&self) -> NamesAt<'_> {
        NamesAt {
            directory: self,
            at: None,
        }
    }

    /// Names as they were at a position of the log.
    #[must_use]
    pub const fn at(&self, position: Sequence) -> NamesAt<'_> {
        NamesAt {
            directory: self,
            at: Some(position),
        }
    }

    /// The number of renames that this edge has followed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// A number that rises whenever a name may mean something else than before, also where nothing is renamed: another
    /// one has a former name.
    #[must_use]
    pub fn meanings(&self) -> u64 {
        self.meanings.load(Ordering::Acquire)
    }

    fn note_meanings(&self) {
        self.meanings.fetch_add(1, Ordering::AcqRel);
    }

    /// The renames after a revision, as far as they are remembered.
    #[must_use]
    pub fn renames_since(&self, revision: u64) -> Vec<Arc<FollowedRename>> {
        let state = self.state.read();
        let newer = self.revision().saturating_sub(revision);
        let newer = usize::try_from(newer).unwrap_or(usize::MAX);
        let old = state.recent.len().saturating_sub(newer);
        state.recent.iter().skip(old).cloned().collect()
    }

    /// This log is followed from now on, or still.
    pub fn begin_log(&self, epoch: Epoch) {
        if self.state.write().book.set_epoch(epoch) {
            self.reached.store(0, Ordering::Release);
        }
    }

    /// The log lost what came after a position.
    pub fn set_back(&self, resumes_after: Sequence) {
        self.reached.fetch_min(resumes_after.0, Ordering::AcqRel);
        self.state.write().book.set_back(resumes_after);
        self.note_meanings();
    }

    /// Names that are stored are read from now on, and then the log up to this position: what is granted now was
    /// not granted before it, unless what is stored says so.
    pub fn begin_loading(&self, head: LogPosition) {
        self.begin_log(head.epoch);
        self.reached.fetch_max(head.sequence.0, Ordering::AcqRel);
        self.state.write().grants.is_loading = true;
    }

    /// As [`Self::begin_loading`], where nothing is stored though the log has events after this position: names are
    /// pinned by the earliest ones.
    pub fn begin_recovery(&self, oldest: LogPosition) {
        self.begin_loading(oldest);
        self.state.write().grants.is_recovering = true;
    }

    /// The position at which something is granted now.
    fn present(&self, book: &NameBook) -> LogPosition {
        LogPosition {
            epoch: book.epoch(),
            sequence: Sequence(self.reached.load(Ordering::Acquire)),
            tag: None,
        }
    }

    /// Everything that is stored, and the log, have been read.
    pub fn end_loading(&self) {
        let mut state = self.state.write();
        let State { book, grants, .. } = &mut *state;
        grants.end_loading(book, self.present(book));
        grants.is_recovering = false;
        drop(state);
        self.unstored.notify_one();
        self.opened.notify_one();
    }

    /// Follows the next event of the log, before anything is shown of it. Returns what it says to have another name.
    /// A stream that follows its names finds the renames with [`Self::renames_since`], and others too.
    pub fn observe(&self, at: LogPosition, facts: &EventFacts) -> ObservedNames {
        self.reached.fetch_max(at.sequence.0, Ordering::AcqRel);
        if facts.ids.owner.is_none() && facts.ids.repository.is_none() {
            return ObservedNames::default();
        }
        let (is_known, shows_open) = {
            let State { book, grants, .. } = &*self.state.read();
            (
                book.read(at, facts).is_empty(),
                grants.concerns(facts, book),
            )
        };
        if is_known && !shows_open {
            return ObservedNames::default();
        }
        let mut state = self.state.write();
        let State { book, grants, .. } = &mut *state;
        let reading = book.read(at, facts);
        let changes = reading.changes.clone();
        let on_time = changes.iter().filter(|change| change.is_rename());
        let renamed: Vec<_> = on_time.map(|change| change.id).collect();
        if let Some(rename) = facts.rename().filter(|rename| renamed.contains(&rename.id)) {
            let from = key_of(&rename.from.to_string());
            grants.show(&from, rename.id, (book, at));
        }
        book.add(reading);
        if !changes.is_empty() {
            grants.follow(book);
            self.note_meanings();
        }
        show((book, at), grants, facts);
        let recent: Vec<_> = changes
            .iter()
            .flat_map(|change| followed(book, change))
            .collect();
        let observed = ObservedNames {
            renamed,
            has_followed: !recent.is_empty(),
        };
        state.has_unstored_changes |= !changes.is_empty();
        let is_unstored = state.has_unstored_changes || state.grants.has_unstored();
        for rename in recent {
            if state.recent.len() == MAX_RECENT_RENAMES {
                state.recent.pop_front();
            }
            state.recent.push_back(Arc::new(rename));
            self.revision.fetch_add(1, Ordering::AcqRel);
        }
        drop(state);
        if is_unstored {
            self.unstored.notify_one();
        }
        observed
    }

    /// Pins the names of a principal's rights from now on.
    pub(crate) fn attach(&self, principal: &PrincipalId, rights: &Arc<dyn NamedRights>) {
        let mut state = self.state.write();
        let State { book, grants, .. } = &mut *state;
        grants.attach(principal, rights, (book, self.present(book)));
        drop(state);
        self.unstored.notify_one();
        self.opened.notify_one();
    }

    /// Waits until a name is granted whose id is not known.
    pub async fn has_open_names(&self) {
        while self.open_names().is_empty() {
            self.opened.notified().await;
        }
    }

    /// Waits until rights by name are granted, or names have been loaded.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    /// The names that are granted and whose id is not known, in lower case; none while names are loaded.
    #[must_use]
    pub fn open_names(&self) -> Vec<String> {
        self.state.read().grants.open_names()
    }

    /// Takes what the mirror says of names that are not known: this id has the name now, and what the log said of names
    /// until then has been observed. So an event comes first, as it stands first in the log; what it says, or what is
    /// known of a place by events, the mirror does not change. Returns whether the name is known by this.
    pub fn learn_holder(&self, name: &str, id: PlaceId) -> bool {
        let name = key_of(name);
        let is_of_kind = matches!(id, PlaceId::Repository(_)) == name.contains('/');
        let mut state = self.state.write();
        let State { book, grants, .. } = &mut *state;
        if !is_of_kind || grants.is_loading || book.is_elsewhere(id, &name) {
            return false;
        }
        let is_news = grants.is_open(&name);
        grants.show(&name, id, (book, after(self.present(book))));
        let is_news = is_news && !grants.is_open(&name);
        drop(state);
        self.unstored.notify_one();
        is_news
    }

    /// Forgets the grants of tokens that are gone.
    pub fn sweep(&self) {
        self.state.write().grants.sweep();
    }

    /// Waits until something is to be stored.
    pub async fn has_news(&self) {
        self.unstored.notified().await;
    }

    /// What is unstored still is: wakes [`Self::has_news`].
    pub fn try_again(&self) {
        self.unstored.notify_one();
    }

    /// The principals whose names are granted.
    #[must_use]
    pub fn principals(&self) -> BTreeSet<PrincipalId> {
        self.state.read().grants.principals()
    }

    /// Principals with pins that are not stored.
    #[must_use]
    pub fn unstored_pins(&self) -> Vec<PrincipalId> {
        self.state.read().grants.unstored()
    }

    /// Takes the stored pins of a principal, which count more than those of this edge. Returns what is to be
    /// stored in their place, if anything is.
    #[must_use]
    pub fn merge_pins(&self, principal: &PrincipalId, stored: &PinnedNames) -> Option<PinnedNames> {
        let mut state = self.state.write();
        let State { book, grants, .. } = &mut *state;
        grants.merge(principal, stored, book)
    }

    /// The pins of a principal were not stored: they are to be stored again.
    pub fn keep_pins(&self, principal: PrincipalId) {
        self.state.write().grants.keep(principal);
    }

    /// Whether there are changes of names that are not stored.
    #[must_use]
    pub fn has_unstored_changes(&self) -> bool {
        self.state.read().has_unstored_changes
    }

    /// Takes the stored changes of names. Returns all that are known now, and whether some of them are not stored.
    #[must_use]
    pub fn merge_changes(&self, stored: Vec<NameChange>) -> (Vec<NameChange>, bool) {
        let mut state = self.state.write();
        let State { book, grants, .. } = &mut *state;
        let has_more = book.merge(stored);
        grants.follow(book);
        self.note_meanings();
        let all = book.changes().cloned().collect();
        state.has_unstored_changes = false;
        (all, has_more)
    }

    /// The changes were not stored: they are to be stored again.
    pub fn keep_changes(&self) {
        self.state.write().has_unstored_changes = true;
    }

    /// The parts of the names under which places were shown that are not stored.
    #[must_use]
    pub fn unstored_places(&self) -> Vec<usize> {
        self.state.write().book.shown().unstored()
    }

    /// Takes a stored part of the names under which places were shown. Returns what is to be stored in its place, if
    /// anything is.
    #[must_use]
    pub fn merge_places(&self, part: usize, stored: Vec<ShownPlace>) -> Option<Vec<ShownPlace>> {
        let mut state = self.state.write();
        let State { book, grants, .. } = &mut *state;
        let has_more = book.merge_shown(part, stored);
        grants.follow(book);
        self.note_meanings();
        has_more.then(|| book.shown().part(part))
    }

    /// A part was not stored: it is to be stored again.
    pub fn keep_places(&self, part: usize) {
        self.state.write().book.shown().keep(part);
    }

    /// All names that a place has had; none if it has had one.
    pub(crate) fn names_of(&self, id: PlaceId) -> Vec<String> {
        self.state.read().book.names(id)
    }

    /// The present name of a place, if it has changed.
    pub(crate) fn present_name(&self, id: PlaceId) -> Option<String> {
        self.state.read().book.present_name(id)
    }

    /// Whether the name, or that of its owner, has had several holders.
    pub(crate) fn has_changed_hands(&self, name: PlaceName<'_>) -> bool {
        let state = self.state.read();
        let whole = name.repo.map(|_| name.to_string());
        state.book.has_changed_hands(name.owner)
            || whole.is_some_and(|whole| state.book.has_changed_hands(&whole))
    }

    /// The URI under which the resource is known now: its owner or repository may have been renamed.
    #[must_use]
    pub fn present_uri(&self, uri: &ResourceUri) -> Option<ResourceUri> {
        let name = uri.place()?;
        let id = self.now().meaning(name)?;
        let present = self.present_name(id)?;
        let present = PlaceName::read(&present);
        let from = match id {
            PlaceId::Repository(_) => name,
            PlaceId::Owner(_) => PlaceName { repo: None, ..name },
        };
        uri.renamed(from, present)
    }
}

/// What an event says of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNames {
    /// What has another name from this event on, each once.
    pub renamed: Vec<PlaceId>,
    /// What is open has something to follow, before the event is compared.
    pub has_followed: bool,
}

/// An event shows its owner and its repository under their names.
fn show((book, at): (&NameBook, LogPosition), grants: &mut Grants, facts: &EventFacts) {
    for (id, name) in names_shown_by(facts) {
        // The mirror may have shown the name's former holder, of which the book knows nothing.
        grants.follow_name(&name, book);
        if book.standing(&name) == NameStanding::Of(id) {
            grants.show(&name, id, (book, at));
        }
    }
    // What was granted with a former login of its owner, while the owner had it and before any event showed its id.
    let repository = facts.ids.repository.map(PlaceId::Repository);
    let in_owner = repository.zip(facts.ids.owner.map(PlaceId::Owner));
    if let (Some((id, owner)), Some(repo)) = (in_owner, facts.repo.as_deref())
        && book.is_first_of_name(id)
    {
        for (login, until) in book.left_logins(owner) {
            let name = key_of(&format!("{login}/{repo}"));
            let at = LogPosition {
                sequence: until,
                ..at
            };
            grants.show(&name, id, (book, at));
        }
    }
}

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod mirrored_tests;
#[cfg(test)]
mod tests;
