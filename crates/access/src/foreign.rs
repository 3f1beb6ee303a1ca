//! Content of other repositories inside an event or a resource: where an issue was transferred to, the fork
//! that a pull request comes from, the parent of a sub-issue.
//!
//! GitHub shows such content to whoever may see both repositories. So does Forgewire: every text that goes to
//! a client passes [`Visibility::cut_event`] or [`Visibility::cut_resource`], which replace what the reader
//! may not see by facts that identify nothing. The rules do not depend on the kind of event: an object says
//! itself to which repository it belongs, and `place` reads that.

mod confirmed;
mod place;

use std::collections::BTreeSet;

use bytes::Bytes;
use model::{EventFacts, GithubIds, PlaceName, ResourceUri, StoredEvent};
use serde_json::{Map, Value, json};

use crate::Visibility;
use confirmed::ConfirmedNames;
use place::{OwnPlace, Place};

/// Added to an object in place of what was cut from it.
const WITHHELD: &str = "withheld";
/// Facts of a repository that stay: they tell a fork from a branch, and identify nothing.
const FACTS: [&str; 4] = ["private", "fork", "archived", "visibility"];
/// Members of a pull request's side that name the owner of its repository.
const OWNER_OF_SIDE: [&str; 2] = ["label", "user"];

/// The repositories, other than its own, whose content an event carries. Read once per event, so that a
/// stream only compares names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForeignContent(BTreeSet<Place>);

impl ForeignContent {
    /// The foreign content of an event.
    #[must_use]
    pub fn of(event: &StoredEvent) -> Self {
        let mut found = BTreeSet::new();
        if let Ok(mut root) = serde_json::from_slice(&event.json) {
            let mut record = |place: &Place| {
                found.insert(place.clone());
                true
            };
            let own = own(&event.facts);
            let confirmed = confirmed(&root, &own);
            Cut::new(&own, &confirmed, &mut record).walk(&mut root);
        }
        Self(found)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Visibility {
    /// Whether the whole event may be shown to a reader that may see the event.
    #[must_use]
    pub fn allows_content(&self, content: &ForeignContent) -> bool {
        content.0.iter().all(|place| self.allows_place(place))
    }

    /// Whether nothing of the foreign content may be shown.
    #[must_use]
    pub fn hides_content(&self, content: &ForeignContent) -> bool {
        !content.0.iter().any(|place| self.allows_place(place))
    }

    /// The JSON of an event as this reader may see it; the event itself is visible to it.
    #[must_use]
    pub fn cut_event(&self, event: &StoredEvent) -> Bytes {
        match self.is_all() {
            true => event.json.clone(),
            false => cut(
                &event.json,
                |_| own(&event.facts),
                |place| self.allows_place(place),
            ),
        }
    }

    /// The JSON of a resource as this reader may see it; the resource itself, which has these ids, is visible to it.
    #[must_use]
    pub fn cut_resource(&self, uri: &ResourceUri, ids: GithubIds, json: &Bytes) -> Bytes {
        self.cut_object(uri.place(), ids, json)
    }

    /// As [`Self::cut_resource`], of what is at this place: labels, releases and runs have no URI.
    #[must_use]
    pub fn cut_object(&self, place: Option<PlaceName<'_>>, ids: GithubIds, json: &Bytes) -> Bytes {
        if self.is_all() {
            return json.clone();
        }
        let named = OwnPlace {
            owner: place.map(|place| place.owner.to_owned()),
            repo: place.and_then(|place| place.repo).map(str::to_owned),
            ids,
        };
        // It may have been renamed since the event that has this JSON.
        let own = |root: &Value| OwnPlace::of_object(root, named);
        cut(json, own, |place| self.allows_place(place))
    }

    fn allows_place(&self, place: &Place) -> bool {
        match place {
            Place::Repository { owner, repo, ids } => {
                let ids = GithubIds {
                    owner: ids.owner,
                    repository: ids.repository,
                    resource: None,
                };
                self.allows_repository(owner, repo, ids)
            }
            Place::Unknown => self.is_all(),
        }
    }
}

/// The JSON of an event without any content of other repositories.
#[must_use]
pub fn without_foreign_content(event: &StoredEvent) -> Bytes {
    cut(&event.json, |_| own(&event.facts), |_| false)
}

fn own(facts: &EventFacts) -> OwnPlace {
    OwnPlace {
        owner: facts.owner.clone(),
        repo: facts.repo.clone(),
        ids: facts.ids,
    }
}

/// The names that stand beside their ids in a payload, and those of what it is about.
fn confirmed(root: &Value, own: &OwnPlace) -> ConfirmedNames {
    let mut confirmed = ConfirmedNames::default();
    if let Some(owner) = own.owner.as_deref() {
        confirmed.confirm(owner, own.repo.as_deref(), own.ids);
    }
    confirmed.read(root);
    confirmed
}

/// The JSON without the places that `shows` refuses; unchanged, byte by byte, if there are none.
fn cut(
    json: &Bytes,
    own: impl FnOnce(&Value) -> OwnPlace,
    mut shows: impl FnMut(&Place) -> bool,
) -> Bytes {
    let Ok(mut root) = serde_json::from_slice::<Value>(json) else {
        // What cannot be read cannot be judged. Forgewire never writes it.
        return Bytes::from_static(b"null");
    };
    let own = own(&root);
    let confirmed = confirmed(&root, &own);
    let mut cut = Cut::new(&own, &confirmed, &mut shows);
    cut.walk(&mut root);
    match cut.has_changed {
        true => root.to_string().into(),
        false => json.clone(),
    }
}

/// A walk through JSON that cuts what the reader may not see.
struct Cut<'c> {
    own: &'c OwnPlace,
    confirmed: &'c ConfirmedNames,
    shows: &'c mut dyn FnMut(&Place) -> bool,
    has_changed: bool,
}

impl<'c> Cut<'c> {
    fn new(
        own: &'c OwnPlace,
        confirmed: &'c ConfirmedNames,
        shows: &'c mut dyn FnMut(&Place) -> bool,
    ) -> Self {
        Self {
            own,
            confirmed,
            shows,
            has_changed: false,
        }
    }

    fn walk(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) => self.walk_members(members),
            Value::Array(elements) => elements.iter_mut().for_each(|element| {
                self.visit("", None, element);
            }),
            _ => {}
        }
    }

    fn walk_members(&mut self, members: &mut Map<String, Value>) {
        let siblings = place::places_of_siblings(members);
        let mut named = Vec::new();
        for (key, member) in members.iter_mut() {
            if !self.visit(key, siblings.get(key), member) {
                continue;
            }
            // `sub_issue_id` is that of `sub_issue`.
            named.push(format!("{key}_id"));
            if key == "repo" {
                named.extend(OWNER_OF_SIDE.map(str::to_owned));
            }
        }
        for key in named {
            members.entry(key).and_modify(|named| *named = Value::Null);
        }
    }

    /// Cuts a member or looks into it; returns whether it was cut.
    fn visit(&mut self, key: &str, sibling: Option<&Place>, value: &mut Value) -> bool {
        let places = match value {
            Value::Object(members) => place::of_object(key, sibling, members),
            Value::String(text) => place::of_text(key, text).into_iter().collect(),
            Value::Array(elements) if place::is_foreign_key(key) => {
                let mut was_cut = false;
                for element in elements {
                    was_cut |= self.visit(key, sibling, element);
                }
                return was_cut;
            }
            _ => Vec::new(),
        };
        let (own, confirmed, shows) = (self.own, self.confirmed, &mut self.shows);
        // All of them are asked, so that all are recorded.
        let hidden = places
            .into_iter()
            .map(|place| confirmed.identify(place))
            .filter(|place| !place.is(own) && !shows(place))
            .count();
        if hidden == 0 {
            self.walk(value);
            return false;
        }
        self.has_changed = true;
        *value = match value {
            Value::Object(members) => facts(members),
            _ => Value::Null,
        };
        true
    }
}

/// What stays of an object that was cut.
fn facts(members: &Map<String, Value>) -> Value {
    let mut rest = json!({ WITHHELD: true });
    for key in FACTS {
        if let Some(fact) = members.get(key) {
            // Texts other than GitHub's own words could be anything.
            let is_word = |text: &str| ["public", "private", "internal"].contains(&text);
            if fact.is_boolean() || fact.as_str().is_some_and(is_word) {
                rest[key] = fact.clone();
            }
        }
    }
    rest
}

#[cfg(test)]
mod tests;
