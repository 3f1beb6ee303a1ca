//! Which ids the names in one payload have: GitHub wrote all of it at one moment, so a name is the same thing
//! everywhere in it.

use std::collections::HashMap;

use model::{GithubIds, OwnerId, RepositoryId};
use serde_json::{Map, Value};

use super::place::{self, Place, PlaceIds};

/// An id, or none where a payload gives several for one name.
type Confirmed<I> = Option<I>;

/// The names in a payload that stand beside their ids. Names are in lower case.
#[derive(Debug, Default)]
pub(super) struct ConfirmedNames {
    owners: HashMap<String, Confirmed<OwnerId>>,
    repositories: HashMap<(String, String), Confirmed<RepositoryId>>,
}

impl ConfirmedNames {
    /// Reads a payload.
    pub(super) fn read(&mut self, value: &Value) {
        match value {
            Value::Object(members) => self.read_members(members),
            Value::Array(elements) => elements.iter().for_each(|element| self.read(element)),
            _ => {}
        }
    }

    fn read_members(&mut self, members: &Map<String, Value>) {
        let id = members.get("id").and_then(Value::as_u64);
        if let (Some(id), Some(login)) = (id, members.get("login").and_then(Value::as_str)) {
            self.confirm_owner(login, OwnerId(id));
        }
        if let (Some(id), Some((owner, repo))) = (id, place::full_name(members)) {
            self.confirm_repository(owner, repo, RepositoryId(id));
        }
        for (key, member) in members {
            // The sides of a pull request in a check have no full name.
            if let (true, Value::Object(repository)) = (key == "repo", member)
                && let Some(id) = repository.get("id").and_then(Value::as_u64)
                && let Some((owner, repo)) = place::api_name(repository)
            {
                self.confirm_repository(owner, repo, RepositoryId(id));
            }
            self.read(member);
        }
    }

    /// What is known of an event besides its payload.
    pub(super) fn confirm(&mut self, owner: &str, repo: Option<&str>, ids: GithubIds) {
        if let Some(id) = ids.owner {
            self.confirm_owner(owner, id);
        }
        if let (Some(repo), Some(id)) = (repo, ids.repository) {
            self.confirm_repository(owner, repo, id);
        }
    }

    fn confirm_owner(&mut self, login: &str, id: OwnerId) {
        let known = self.owners.entry(login.to_ascii_lowercase());
        let known = known.or_insert(Some(id));
        *known = known.filter(|known| *known == id);
    }

    fn confirm_repository(&mut self, owner: &str, repo: &str, id: RepositoryId) {
        let name = (owner.to_ascii_lowercase(), repo.to_ascii_lowercase());
        let known = self.repositories.entry(name).or_insert(Some(id));
        *known = known.filter(|known| *known == id);
    }

    /// The place with its ids, as far as the payload has them; nobody's if it contradicts itself.
    pub(super) fn identify(&self, place: Place) -> Place {
        let Place::Repository { owner, repo, .. } = place else {
            return place;
        };
        let (login, name) = (owner.to_ascii_lowercase(), repo.to_ascii_lowercase());
        let of_owner = self.owners.get(&login).copied();
        let of_repository = self.repositories.get(&(login, name)).copied();
        if of_owner == Some(None) || of_repository == Some(None) {
            return Place::Unknown;
        }
        Place::Repository {
            owner,
            repo,
            ids: PlaceIds {
                owner: of_owner.flatten(),
                repository: of_repository.flatten(),
            },
        }
    }
}
