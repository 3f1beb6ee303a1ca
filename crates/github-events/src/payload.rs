//! A payload, and the parts that all of them have in common.

use model::{OwnerId, RepositoryId, ResourceId, ResourceRef, ResourceType};
use serde_json::Value;

use crate::{
    Skip,
    event::{self, Content, Subject},
    fields, identity,
};

/// A payload and the name of its event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload<'p> {
    /// GitHub's name of the event.
    pub(crate) event: &'p str,
    /// The payload.
    pub(crate) json: &'p Value,
}

impl<'p> Payload<'p> {
    /// GitHub's word for the event: the payload's action; without one, the event's name (`push`, `fork`).
    pub(crate) fn action(self) -> &'p str {
        let action = fields::text(self.json, "/action").map(str::trim);
        action.filter(|word| !word.is_empty()).unwrap_or(self.event)
    }

    /// The object under a key; null without one.
    pub(crate) fn object(self, key: &str) -> &'p Value {
        fields::object(self.json, key).unwrap_or(&Value::Null)
    }

    /// The reason to skip a payload without this field.
    pub(crate) fn missing(self, pointer: &str) -> Skip {
        Skip::Incomplete {
            event: self.event.to_owned(),
            field: pointer.to_owned(),
        }
    }

    /// The reason to skip a payload that names no resource.
    fn names_nothing(self) -> Skip {
        Skip::NoResource {
            event: self.event.to_owned(),
        }
    }

    /// A resource of the payload's repository; without one, of its organization, or else of the account on which
    /// the app is installed.
    pub(crate) fn resource(self, id: ResourceId) -> ResourceRef {
        let json = self.json;
        let repository = fields::object(json, "repository");
        let named = repository.and_then(|repository| {
            let (owner, repo) = names(repository)?;
            Some(ResourceRef {
                owner: Some(owner.to_owned()),
                repo: Some(repo.to_owned()),
                owner_id: fields::number(repository, "/owner/id").map(OwnerId),
                repository_id: fields::number(repository, "/id").map(RepositoryId),
                repository_node_id: fields::node_id(repository, "/node_id"),
                ..ResourceRef::of(id.clone())
            })
        });
        named.unwrap_or_else(|| self.resource_of_owner(id))
    }

    /// A resource of the payload's organization, or of the account on which the app is installed.
    pub(crate) fn resource_of_owner(self, id: ResourceId) -> ResourceRef {
        let accounts = ["/organization", "/installation/account"];
        let mut accounts = accounts.iter().filter_map(|at| fields::at(self.json, at));
        let account = accounts.find(|account| fields::text(account, "/login").is_some());
        match account {
            Some(account) => of_account(account, id),
            None => ResourceRef::of(id),
        }
    }

    /// The id of a resource without a node id, at a path of the payload's place; `None` without a place.
    pub(crate) fn derived_id(self, path: &str) -> Option<ResourceId> {
        identity::derived(Some(&self.place_id()?), path)
    }

    /// The id of the repository, else of the organization, enterprise or installation.
    fn place_id(self) -> Option<ResourceId> {
        const PLACES: [&str; 4] = ["repository", "organization", "enterprise", "installation"];
        let mut ids = PLACES.iter().filter_map(|place| {
            let object = fields::object(self.json, place)?;
            let numbered = || {
                let id = fields::number(object, "/id")?;
                identity::derived(None, &format!("{place}/{id}"))
            };
            fields::node_id(object, "/node_id").or_else(numbered)
        });
        ids.next()
    }

    /// The event of an object under a key, whose node id is its only identity.
    pub(crate) fn node_subject(self, kind: ResourceType, key: &str) -> Result<Subject, Skip> {
        let pointer = format!("/{key}/node_id");
        let id = fields::node_id(self.json, &pointer).ok_or_else(|| self.missing(&pointer))?;
        Ok(self.about(kind, key, id))
    }

    /// The event of an object under a key. Older servers leave out some node ids, and then its id in its place
    /// identifies it.
    pub(crate) fn subject(self, kind: ResourceType, key: &str) -> Result<Subject, Skip> {
        self.numbered_subject(kind, key, "/id")
    }

    /// The event of an object under a key. Without a node id, a field with its number, id or name within its place
    /// identifies it; without that too, it is one of those that the place has.
    pub(crate) fn numbered_subject(
        self,
        kind: ResourceType,
        key: &str,
        id_field: &str,
    ) -> Result<Subject, Skip> {
        let object = self.object(key);
        let id = fields::node_id(object, "/node_id").or_else(|| {
            let name = match fields::number(object, id_field) {
                Some(number) => number.to_string(),
                None => fields::owned(object, id_field)?,
            };
            let path = format!("{kind}/{name}");
            // GitHub's ids and commits are unique without a place, its numbers and names are not.
            let is_unique = id_field.ends_with("/id") || id_field == "/head_sha";
            let is_unique = is_unique && !name.contains('/');
            let placeless = || identity::derived(None, &path).filter(|_| is_unique);
            self.derived_id(&path).or_else(placeless)
        });
        let id = match id {
            Some(id) => id,
            None => self.once(kind.clone())?.resource.node_id,
        };
        Ok(self.about(kind, key, id))
    }

    /// The event of an object under a key, which has this id.
    pub(crate) fn about(self, kind: ResourceType, key: &str, id: ResourceId) -> Subject {
        let object = self.object(key);
        let title = fields::title(object, "/title").or_else(|| fields::title(object, "/name"));
        let event_type = event::event_type(self.action());
        let resource = ResourceRef {
            number: fields::number(object, "/number"),
            database_id: fields::number(object, "/id"),
            title,
            url: fields::owned(object, "/html_url"),
            ..self.resource(id)
        };
        Subject {
            happened_at: event::happened_at(object, &event_type),
            tags: fields::label_names(object),
            content: Content::Member(key.to_owned()),
            ..Subject::new(kind, event_type, resource)
        }
    }

    /// The event of what the place of the payload has once. Without a place, the sender is the place.
    pub(crate) fn once(self, kind: ResourceType) -> Result<Subject, Skip> {
        let sender = || fields::node_id(self.json, "/sender/node_id");
        let id = match self.place_id() {
            Some(place) => identity::derived(Some(&place), kind.as_str()),
            None => sender().and_then(|id| identity::derived(Some(&id), kind.as_str())),
        };
        let id = id.ok_or_else(|| self.names_nothing())?;
        Ok(self.whole(kind, self.resource(id)))
    }

    /// The event of a resource at a path of the payload's place, whose object is the payload itself; without the
    /// path, it is one of those that the place has.
    pub(crate) fn at(self, kind: ResourceType, path: Option<String>) -> Result<Subject, Skip> {
        let id = path.and_then(|path| self.derived_id(&format!("{kind}/{path}")));
        match id {
            Some(id) => Ok(self.whole(kind, self.resource(id))),
            None => self.once(kind),
        }
    }

    /// The event of a resource whose object is the payload itself.
    pub(crate) fn whole(self, kind: ResourceType, resource: ResourceRef) -> Subject {
        Subject::new(kind, event::event_type(self.action()), resource)
    }
}

/// Owner and name of a repository. Lists of an installation's repositories have only the full name.
fn names(repository: &Value) -> Option<(&str, &str)> {
    let owner = fields::text(repository, "/owner/login");
    let name = fields::text(repository, "/name");
    owner
        .zip(name)
        .or_else(|| fields::text(repository, "/full_name")?.split_once('/'))
}

/// A resource of an account.
pub(crate) fn of_account(account: &Value, id: ResourceId) -> ResourceRef {
    ResourceRef {
        owner: fields::owned(account, "/login"),
        owner_id: fields::number(account, "/id").map(OwnerId),
        ..ResourceRef::of(id)
    }
}
