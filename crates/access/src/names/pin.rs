//! The id of one name that a principal may see.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use model::PlaceId;

/// Rights that were given by names.
pub(crate) trait NamedRights: fmt::Debug + Send + Sync {
    /// All names, in lower case: logins, and `owner/repo`.
    fn names(&self) -> Vec<String>;

    /// What a name means, and whether that has another name now.
    fn pin(&self, name: &str, id: u64, has_left: bool);

    /// Nobody has the name.
    fn set_vacant(&self, name: &str);

    /// Asks of the id of a pinned name whether it has another name now.
    fn set_left(&self, name: &str, has_left: &dyn Fn(PlaceId) -> bool);
}

/// The name was left by its holder before the principal was granted it, and nobody has taken it since.
const VACANT: u64 = u64::MAX;

/// What a name of a principal means. Ids on GitHub begin at 1.
#[derive(Debug, Default)]
pub(crate) struct Pin {
    /// 0 while no event has shown the id: then the name itself decides.
    id: AtomicU64,
    /// The id has another name by now.
    has_left: AtomicBool,
}

impl Pin {
    /// The id, once it is known.
    pub(crate) fn id(&self) -> Option<u64> {
        let id = self.id.load(Ordering::Relaxed);
        Some(id).filter(|id| ![0, VACANT].contains(id))
    }

    /// Whether the name means this id.
    pub(crate) fn is(&self, id: u64) -> bool {
        self.id.load(Ordering::Relaxed) == id
    }

    /// Whether what has the name is what the name means, if its id is this one. Without an id the name decides, as
    /// long as it has had one holder.
    pub(crate) fn admits_name(&self, id: Option<u64>) -> bool {
        match (self.id.load(Ordering::Relaxed), id) {
            (0, _) => true,
            (VACANT, _) => false,
            (pinned, Some(id)) => pinned == id,
            (_, None) => !self.has_left.load(Ordering::Relaxed),
        }
    }

    /// Whether the name still belongs to what it means, as far as is known.
    pub(crate) fn is_current(&self) -> bool {
        self.admits_name(None)
    }

    pub(crate) fn set(&self, id: u64, has_left: bool) {
        // First: nothing is shown by its name that the id hides.
        self.has_left.store(has_left, Ordering::Relaxed);
        self.id.store(id, Ordering::Relaxed);
    }

    pub(crate) fn set_vacant(&self) {
        self.id.store(VACANT, Ordering::Relaxed);
    }

    pub(crate) fn set_left(&self, has_left: bool) {
        self.has_left.store(has_left, Ordering::Relaxed);
    }
}
