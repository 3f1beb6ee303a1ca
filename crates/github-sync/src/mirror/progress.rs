//! How far each list has been read.

use std::collections::BTreeMap;

use model::Timestamp;
use ports::{MirrorProgress, MirroredKind};

use crate::limits::MAX_LIST_PROGRESS;

/// The lists, by the name of their place in lower case and their kind.
#[derive(Debug, Default)]
pub(super) struct ListProgress {
    lists: BTreeMap<(String, MirroredKind), MirrorProgress>,
}

impl ListProgress {
    pub(super) fn note(
        &mut self,
        place: &str,
        kind: MirroredKind,
        as_of: Option<Timestamp>,
        failure: Option<String>,
    ) {
        let key = (place.to_ascii_lowercase(), kind);
        let known = self.lists.get(&key);
        if known.is_none() && self.lists.len() >= MAX_LIST_PROGRESS {
            return;
        }
        let before = known.and_then(|known| known.as_of);
        let stays = before.filter(|_| failure.is_some());
        let progress = MirrorProgress {
            place: place.to_owned(),
            kind,
            as_of: as_of.or(stays),
            failure,
        };
        self.lists.insert(key, progress);
    }

    pub(super) fn forget(&mut self, place: &str) {
        let place = place.to_ascii_lowercase();
        self.lists.retain(|(of, _), _| *of != place);
    }

    /// Since when the list of a place is known to be whole.
    pub(super) fn as_of(&self, place: &str, kind: MirroredKind) -> Option<Timestamp> {
        let key = (place.to_ascii_lowercase(), kind);
        self.lists.get(&key)?.as_of
    }

    /// Since when the lists of the repositories of an owner are known to be whole.
    pub(super) fn of_owner(
        &self,
        owner: &str,
        kind: MirroredKind,
    ) -> impl Iterator<Item = Option<Timestamp>> + '_ {
        let first = format!("{}/", owner.to_ascii_lowercase());
        let from = (first.clone(), MirroredKind::Repository);
        let of_owner = self.lists.range(from..);
        let of_owner = of_owner.take_while(move |((place, _), _)| place.starts_with(&first));
        of_owner
            .filter(move |((_, of), _)| *of == kind)
            .map(|(_, list)| list.as_of)
    }

    pub(super) fn all(&self) -> Vec<MirrorProgress> {
        self.lists.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_time_of_the_last_success() {
        let mut progress = ListProgress::default();
        let at = Timestamp::from_unix_millis(1000);
        progress.note("Octo/Cat", MirroredKind::Issue, Some(at), None);
        progress.note(
            "octo/cat",
            MirroredKind::Issue,
            None,
            Some("down".to_owned()),
        );
        assert_eq!(progress.as_of("OCTO/cat", MirroredKind::Issue), Some(at));
        assert_eq!(progress.all()[0].failure.as_deref(), Some("down"));
        progress.note("octo/cat", MirroredKind::Issue, None, None);
        assert_eq!(progress.as_of("octo/cat", MirroredKind::Issue), None);
        progress.note("octo/dog", MirroredKind::Issue, Some(at), None);
        progress.forget("Octo/cat");
        let places: Vec<_> = progress.all().into_iter().map(|list| list.place).collect();
        assert_eq!(places, ["octo/dog"]);
    }
}
