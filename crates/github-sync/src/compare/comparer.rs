//! What comparisons are made of, and what all of them share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use event_flow::record::Recorder;
use github::GithubClient;
use model::{Clock, IdSource, Timestamp};
use parking_lot::Mutex;
use ports::{EventLog, MirroredKind};
use tracing::{debug, info, warn};

use super::{
    derived::DerivedRules,
    error::CompareError,
    held::HeldChanges,
    metrics::CompareMetrics,
    place_records::{PlaceLabel, PlaceRecords, PlaceState},
    state_records::StateRecords,
    status::CompareStatus,
    stored_news::StoredNews,
};
use crate::{
    details::GithubDetails,
    listed::ListedPlace,
    lists::GithubLists,
    mirror::{Mirror, is_of_owner},
    sweep_marks::{SweepMarkRecord, SweptUntil},
    webhook_place::SweptPlace,
};

/// The parts of a comparison.
#[derive(Debug)]
pub(super) struct Comparer {
    pub(super) client: GithubClient,
    pub(super) lists: GithubLists,
    pub(super) details: GithubDetails,
    /// What is to be told that no webhook says.
    pub(super) derived: DerivedRules,
    pub(super) mirror: Arc<Mirror>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) places: PlaceRecords,
    pub(super) states: StateRecords,
    pub(super) news: StoredNews,
    /// The places whose deliveries are swept, and the marks of the replica that does.
    pub(super) swept: Vec<SweptPlace>,
    pub(super) marks: SweepMarkRecord,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) metrics: CompareMetrics,
    pub(super) status: Arc<CompareStatus>,
    pub(super) kinds: Vec<MirroredKind>,
    /// The places of the configuration, and the repositories of its organizations.
    pub(super) labels: Mutex<Vec<PlaceLabel>>,
    /// The labels of the configuration alone.
    pub(super) configured: Vec<PlaceLabel>,
    /// Lists that this process has read from the start because states of them were missing.
    pub(super) read_again: Mutex<BTreeSet<(PlaceLabel, MirroredKind)>>,
    pub(super) held: HeldChanges,
    /// Items of projects that are read in part, by the place and the number of the project: a comparison that was ended at its
    /// time limit goes on there.
    pub(super) walks: Mutex<BTreeMap<(PlaceLabel, u64), ItemWalk>>,
}

/// How far the items of a project, or the numbers of issues, were read.
#[derive(Debug, Clone)]
pub(super) struct ItemWalk {
    /// The cursor of the next page.
    pub(super) after: Option<String>,
    /// The numbers that were read.
    pub(super) seen: BTreeSet<u64>,
    pub(super) pages: u32,
    /// What was read has all changes up to here.
    pub(super) read_for: Timestamp,
}

impl ItemWalk {
    /// Before the first page.
    pub(super) const fn from_start(read_for: Timestamp) -> Self {
        Self {
            after: None,
            seen: BTreeSet::new(),
            pages: 0,
            read_for,
        }
    }
}

impl Comparer {
    /// The lists of a place: an organization has projects, a repository has everything else.
    pub(super) fn kinds_of(&self, label: &PlaceLabel) -> Vec<MirroredKind> {
        let is_repository = label.parts().1.is_some();
        let has = |kind: &MirroredKind| match kind {
            MirroredKind::DraftIssue => false,
            kind if is_of_owner(*kind) => !is_repository,
            _ => is_repository,
        };
        self.kinds.iter().copied().filter(has).collect()
    }

    /// Whether a list is read from its start though it was read before: states of it were too large to be stored, or did not
    /// fit into memory. Once in the life of a process, because they may not fit again.
    pub(super) fn reads_again(
        &self,
        label: &PlaceLabel,
        place: &ListedPlace,
        kind: MirroredKind,
    ) -> bool {
        let is_missing = self.mirror.is_missing(place, kind);
        if !is_missing || !self.read_again.lock().insert((label.clone(), kind)) {
            return false;
        }
        self.mirror.forget_missing(place, kind);
        true
    }

    /// Up to when the webhooks of a place are known to be in the log.
    pub(super) async fn swept_until(&self, label: &PlaceLabel) -> SweptUntil {
        let (owner, repo) = label.parts();
        let concerns = |place: &&SweptPlace| match place {
            SweptPlace::Repository { owner: o, repo: r } => {
                o.eq_ignore_ascii_case(owner) && repo.is_some_and(|it| it.eq_ignore_ascii_case(r))
            }
            SweptPlace::Organization(login) => login.eq_ignore_ascii_case(owner),
            SweptPlace::App => true,
        };
        let places: Vec<_> = self.swept.iter().filter(concerns).collect();
        if places.is_empty() {
            return SweptUntil::NotSwept;
        }
        match self.marks.load().await {
            Ok(marks) => marks
                .of_all(places)
                .map_or(SweptUntil::NotYet, SweptUntil::At),
            Err(error) => {
                debug!(%error, "it is not known how far deliveries were swept");
                SweptUntil::NotYet
            }
        }
    }

    /// Takes in what other replicas know of a place: its lists, its repositories, and the states that they stored since the
    /// generation that is known here. Returns the generation that is known then.
    pub(super) async fn take_in(
        &self,
        label: &PlaceLabel,
        state: &PlaceState,
        known: Option<u64>,
    ) -> Result<u64, CompareError> {
        self.add_repositories(label, state);
        self.store_again_if_lost(label, state, known);
        if known != Some(state.generation) {
            self.read_states(state, known).await?;
        }
        if let Some(place) = &state.place {
            let unstored = state.lists.iter().filter(|(_, list)| list.is_unstored);
            for kind in unstored.filter_map(|(kind, _)| MirroredKind::parse(kind)) {
                self.note_unstored(label, place, kind);
            }
        }
        // Not before: what is said to be whole is there.
        self.show_lists(label, state);
        if let Some(place) = state
            .place
            .as_ref()
            .filter(|_| known != Some(state.generation))
        {
            self.news.tell(place).await;
        }
        Ok(state.generation)
    }

    /// States of a list are in the memory of the replica that read them alone: others, and this one after a restart, lack them.
    fn note_unstored(&self, label: &PlaceLabel, place: &ListedPlace, kind: MirroredKind) {
        if !self.read_again.lock().contains(&(label.clone(), kind)) {
            self.mirror.note_missing(place, kind);
        }
    }

    /// A store that has a lower generation of a place than the one that is known was put back: what was saved there is not.
    pub(super) fn store_again_if_lost(
        &self,
        label: &PlaceLabel,
        state: &PlaceState,
        known: Option<u64>,
    ) {
        if let Some(place) = &state.place
            && known.is_some_and(|known| known > state.generation)
        {
            warn!(place = %label, "the store of the mirror has lost its last changes: all states of a place are stored again");
            self.mirror.forget_saved(place);
        }
    }

    async fn read_states(
        &self,
        state: &PlaceState,
        known: Option<u64>,
    ) -> Result<(), CompareError> {
        let saved = known.and_then(|known| state.saved_after(known));
        match (saved, &state.place) {
            (Some(ids), _) => {
                for ids in ids.chunks(crate::limits::SAVED_AT_ONCE) {
                    self.mirror.restore(self.states.of_ids(ids).await?);
                }
            }
            (None, None) => {}
            (None, Some(place)) => {
                let mut after = None;
                loop {
                    let page = self.states.page(Some(place), after.as_ref()).await?;
                    self.note_unreadable(page.unreadable);
                    self.mirror.restore(page.states);
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn note_unreadable(&self, unreadable: usize) {
        if unreadable > 0 {
            warn!(unreadable, "stored states of the mirror cannot be read");
            self.metrics.unreadable.inc_by(unreadable as u64);
        }
    }

    /// Shows how far the lists of a place were read.
    pub(super) fn show_lists(&self, label: &PlaceLabel, state: &PlaceState) {
        let kinds = self.kinds_of(label).into_iter();
        // The list of an organization's repositories says whether all of them are known.
        let of_owner = label.parts().1.is_none();
        for kind in kinds.chain(of_owner.then_some(MirroredKind::Repository)) {
            let list = state.lists.get(kind.as_str());
            let as_of: Option<Timestamp> = list.and_then(|list| list.as_of);
            let failure = list.and_then(|list| list.failure.clone());
            self.show_list(label, state.place.as_ref(), kind, (as_of, failure));
        }
    }

    /// Shows how far a list was read, under the name of the configuration and under the present one.
    pub(super) fn show_list(
        &self,
        label: &PlaceLabel,
        place: Option<&ListedPlace>,
        kind: MirroredKind,
        (as_of, failure): (Option<Timestamp>, Option<String>),
    ) {
        let present = place.map(|place| place.name().to_string());
        let present = present.filter(|name| !name.eq_ignore_ascii_case(label.as_str()));
        for name in present.as_deref().into_iter().chain([label.as_str()]) {
            self.mirror
                .note_progress(name, kind, as_of, failure.clone());
        }
    }

    /// Compares the repositories of an organization as well, and those no longer that it no longer has.
    pub(super) fn add_repositories(&self, label: &PlaceLabel, state: &PlaceState) {
        let (owner, None) = label.parts() else {
            return;
        };
        let named = state.repositories.values();
        let named: BTreeSet<_> = named
            .map(|name| PlaceLabel::repository(owner, name))
            .collect();
        let (mut added, mut gone) = (Vec::new(), Vec::new());
        {
            let mut labels = self.labels.lock();
            labels.retain(|known| {
                let is_left_out = known.parts().0 == owner
                    && known.parts().1.is_some()
                    && !named.contains(known)
                    && !self.configured.contains(known);
                if is_left_out {
                    gone.push(known.clone());
                }
                !is_left_out
            });
            for repository in named {
                if !labels.contains(&repository) {
                    labels.push(repository.clone());
                    added.push(repository);
                }
            }
        }
        for repository in &gone {
            self.mirror.forget_progress(repository.as_str());
            self.status.forget(repository);
        }
        for repository in &added {
            let kinds = self.kinds_of(repository);
            for kind in &kinds {
                // From now on the lists of the owner are whole only with it.
                self.mirror
                    .note_progress(repository.as_str(), *kind, None, None);
            }
            self.status.expect(repository, &kinds);
        }
        if !added.is_empty() || !gone.is_empty() {
            info!(%owner, added = added.len(), gone = gone.len(), "repositories of an organization are mirrored");
        }
    }
}
