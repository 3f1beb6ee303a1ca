//! Repositories as places: one by its name, or those of an organization.

use github::GithubError;
use model::OwnerId;

use super::{GithubLists, ListCheckpoint, ListStep, address::ListAddress, item::place_of};
use crate::listed::{ListedObject, ListedPlace};

/// What a step through repositories has brought.
#[derive(Debug)]
pub(crate) struct PlacesStep {
    /// The places of the step's objects, in their order.
    pub(crate) places: Vec<ListedPlace>,
    pub(crate) step: ListStep,
}

impl GithubLists {
    /// A repository by its name, a former one too: its place has the present one. A pass is one request. Nothing is brought
    /// if it is as at the checkpoint; the place is the same then.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn repository(
        &self,
        owner: &str,
        repo: &str,
        checkpoint: &ListCheckpoint,
    ) -> Result<PlacesStep, GithubError> {
        let list = ListAddress::of_repository(owner, repo);
        Ok(PlacesStep::of(self.walk(&list, checkpoint).await?))
    }

    /// One request: the next page of an organization's repositories, as [`Self::step`]. `gone` has the ids of repositories that were
    /// deleted, moved away, or may not be seen any more.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn repositories_of(
        &self,
        organization: &str,
        checkpoint: &ListCheckpoint,
    ) -> Result<PlacesStep, GithubError> {
        let list = ListAddress::of_organization(organization);
        Ok(PlacesStep::of(self.walk(&list, checkpoint).await?))
    }
}

impl PlacesStep {
    /// Objects without a place are left out.
    fn of(mut step: ListStep) -> Self {
        let found = std::mem::take(&mut step.objects).into_iter();
        let found: Vec<(ListedPlace, ListedObject)> = found
            .filter_map(|object| Some((place_of(&object)?, object)))
            .collect();
        let (places, objects) = found.into_iter().unzip();
        step.objects = objects;
        Self { places, step }
    }

    /// The organization as a place of its own, for its projects; `None` if the step has brought no repository of it.
    pub(crate) fn owner(&self) -> Option<ListedPlace> {
        let place = self.places.first()?;
        let owner_id: OwnerId = place.owner_id;
        Some(ListedPlace {
            owner: place.owner.clone(),
            owner_id,
            repository: None,
        })
    }
}
