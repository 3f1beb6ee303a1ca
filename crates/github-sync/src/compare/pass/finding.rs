//! The place itself: a repository by its name, or the repositories of an organization.

use ports::MirroredKind;
use tracing::info;

use super::Pass;
use crate::{
    compare::error::CompareError, limits::MAX_REPOSITORIES_OF_OWNER, listed::ListedPlace,
    lists::ListCheckpoint,
};

impl Pass<'_> {
    /// The repository as GitHub knows it now.
    pub(super) async fn find_repository(
        &mut self,
        owner: &str,
        repo: &str,
    ) -> Result<(), CompareError> {
        const KIND: MirroredKind = MirroredKind::Repository;
        let cursor = match &self.state.place {
            Some(_) => self.state.list(KIND).checkpoint.clone(),
            None => ListCheckpoint::default(),
        };
        self.begin_request()?;
        let as_of = self.state.list(KIND).as_of;
        let mut held = self.comparer.held.take(self.label, KIND, (&cursor, as_of));
        if let Some(place) = self.state.place.clone() {
            self.judge_held(&place, KIND, &mut held).await?;
        }
        let lists = &self.comparer.lists;
        let found = lists.repository(owner, repo, &held.cursor).await?;
        if let Some(place) = found.places.first() {
            self.take_place(place);
        }
        let Some(place) = self.state.place.clone() else {
            return Err(CompareError::NoPlace);
        };
        if self.comparer.kinds.contains(&KIND) {
            let is_baseline = !cursor.is_whole();
            self.take(&place, KIND, &found.step, (is_baseline, &mut held))
                .await?;
            self.tally.waiting += held.len();
            self.comparer.held.put(self.label, KIND, held);
        } else {
            // Asked for again it costs nothing.
            self.note_step(&found.step);
            let list = self.state.list(KIND);
            self.is_changed |= list.checkpoint != found.step.checkpoint;
            list.checkpoint = found.step.checkpoint;
        }
        Ok(())
    }

    /// Takes the place as GitHub shows it. Another one under the same name begins anew: nothing of the one before is its own.
    fn take_place(&mut self, place: &ListedPlace) {
        let before = self.state.place.replace(place.clone());
        if before.is_none() {
            // Nothing is stored of it, or no longer.
            self.comparer.mirror.forget_saved(place);
        }
        if let Some(before) = &before
            && before.id() != place.id()
        {
            info!(place = %self.label, "another one has this name now: it is read from the start");
            self.state.begin_anew();
        }
        self.is_changed |= before.as_ref() != Some(place);
    }

    /// The repositories of an organization, which are places of their own.
    pub(super) async fn find_repositories(&mut self, owner: &str) -> Result<(), CompareError> {
        const KIND: MirroredKind = MirroredKind::Repository;
        let mut is_cut = self.state.repositories.len() >= MAX_REPOSITORIES_OF_OWNER;
        loop {
            let cursor = self.state.list(KIND).checkpoint.clone();
            self.begin_request()?;
            let lists = &self.comparer.lists;
            let found = lists.repositories_of(owner, &cursor).await?;
            if let Some(place) = found.owner() {
                self.take_place(&place);
            }
            let repositories = &mut self.state.repositories;
            for place in &found.places {
                let Some(repository) = &place.repository else {
                    continue;
                };
                let id = repository.id.0;
                if repositories.len() >= MAX_REPOSITORIES_OF_OWNER
                    && !repositories.contains_key(&id)
                {
                    is_cut = true;
                    continue;
                }
                repositories.insert(id, repository.name.clone());
            }
            for id in &found.step.gone {
                repositories.remove(id);
            }
            self.note_step(&found.step);
            let list = self.state.list(KIND);
            self.is_changed |= list.checkpoint != found.step.checkpoint;
            list.checkpoint = found.step.checkpoint;
            if found.step.end {
                list.as_of = (!is_cut).then_some(found.step.as_of);
                self.show_progress(KIND);
                return Ok(());
            }
        }
    }
}
