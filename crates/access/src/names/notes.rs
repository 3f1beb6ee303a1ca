//! What a reader should know of filters by names that have had several holders.

use std::collections::BTreeSet;

use model::{Filter, FilterSet, PlaceId, PlaceName, ResourceUri};

use super::{NamesAt, change::key_of};
use crate::{
    Visibility,
    limits::{MAX_NAME_NOTES, MAX_NOTED_HOLDERS},
};

/// A name that several have had.
#[derive(Debug)]
struct SharedName {
    meant: PlaceId,
    /// The present name of what is meant, if it is known.
    present: Option<String>,
    /// The ones that are not meant, the newest first, with the present name of each, if it is known.
    others: Vec<(PlaceId, Option<String>)>,
}

impl NamesAt<'_> {
    /// A note for each name that has had several holders: which one it means in these filters, and under which name
    /// the others' events are found. It tells a reader of no place that it may not see.
    #[must_use]
    pub fn notes(&self, filters: &FilterSet, sees: &Visibility) -> Vec<String> {
        let (mut told, mut notes) = (BTreeSet::new(), Vec::new());
        for (name, bound) in filters.filters().iter().flat_map(named) {
            if !told.insert(key_of(&name.to_string())) {
                continue;
            }
            let shared = self.shared(name, bound);
            let Some(note) = shared.and_then(|shared| shared.note(name, sees)) else {
                continue;
            };
            if notes.len() == MAX_NAME_NOTES {
                notes.push("Other names of these filters have had several holders too.".to_owned());
                break;
            }
            notes.push(note);
        }
        notes
    }

    fn shared(&self, name: PlaceName<'_>, bound: Option<PlaceId>) -> Option<SharedName> {
        let book = &self.directory.state.read().book;
        let holders = book.holders_of(name, self.at);
        let meant = match bound {
            Some(bound) if holders.contains(&bound) => bound,
            _ => book.meaning(name, self.at)?,
        };
        let others = holders.iter().rev().filter(|id| **id != meant);
        let others: Vec<_> = others.map(|id| (*id, book.current_name(*id))).collect();
        (holders.contains(&meant) && !others.is_empty()).then(|| SharedName {
            meant,
            present: book.current_name(meant),
            others,
        })
    }
}

/// The names of a filter, with the id to which it is bound: that of the owner, and that of the repository.
fn named(filter: &Filter) -> impl Iterator<Item = (PlaceName<'_>, Option<PlaceId>)> {
    let owner = filter.owner.as_deref();
    let login = owner.map(|owner| PlaceName { owner, repo: None });
    let whole = owner.zip(filter.repo.as_deref());
    let whole = whole.map(|(owner, repo)| PlaceName {
        owner,
        repo: Some(repo),
    });
    let names = login.into_iter().chain(whole);
    names.map(|name| (name, filter.place))
}

impl SharedName {
    fn note(&self, name: PlaceName<'_>, sees: &Visibility) -> Option<String> {
        let shows = |present: &Option<String>| match present.as_deref() {
            None => sees.is_all(),
            Some(present) => sees.allows_uri(&list_of(PlaceName::read(present))),
        };
        let others = self.others.iter().filter(|(_, present)| shows(present));
        let others: Vec<_> = others.map(way_to).collect();
        let (told, rest) = others.split_at(others.len().min(MAX_NOTED_HOLDERS));
        let rest = match rest.len() {
            0 => String::new(),
            more => format!(", and of {more} more"),
        };
        let kind = match self.meant {
            PlaceId::Owner(_) => "owner",
            PlaceId::Repository(_) => "repository",
        };
        let meant = match &self.present {
            present if !shows(present) => "another one here".to_owned(),
            Some(present) if !PlaceName::read(present).is_same(&name) => {
                format!(
                    "the one with id {} here, now {present}",
                    self.meant.number()
                )
            }
            _ => format!("the one with id {} here", self.meant.number()),
        };
        (!told.is_empty()).then(|| {
            format!(
                "{kind} {name}: several have had this name, which means {meant}. For the events of the others, filter \
                 by {}{rest}.",
                told.join(" and ")
            )
        })
    }
}

/// How the events of one that the name does not mean are found.
fn way_to((id, present): &(PlaceId, Option<String>)) -> String {
    let id = id.number();
    match present {
        Some(present) => format!("`{present}` (id {id})"),
        None => format!("the present name of id {id}, which no event has shown yet"),
    }
}

/// The list of the events of a place.
fn list_of(name: PlaceName<'_>) -> ResourceUri {
    ResourceUri::Events {
        owner: Some(name.owner.to_owned()),
        repo: name.repo.map(ToOwned::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use model::{FilterSet, Sequence};

    use super::super::tests::{World, event, owner_renamed, renamed};
    use super::*;

    fn notes(world: &World, name: &str, sees: &Visibility) -> Vec<String> {
        let name = PlaceName::read(name);
        let filter = Filter {
            owner: Some(name.owner.to_owned()),
            repo: name.repo.map(ToOwned::to_owned),
            ..Filter::default()
        };
        let filters = FilterSet::new(vec![filter]).unwrap();
        let now = world.names.now();
        let notes = now.notes(&filters, sees);
        assert_eq!(now.notes(&now.bind(&filters), sees), notes, "once bound");
        notes
    }

    #[test]
    fn a_name_that_changed_hands_has_a_note_that_leads_to_its_former_holder() {
        let mut world = World::default();
        world.happens(&event("acme/rocket", Some((5, 1))));
        world.happens(&renamed("acme/rocket", "acme/missile", (5, 1)));
        let all = Visibility::all();
        assert!(notes(&world, "acme/rocket", &all).is_empty(), "one holder");
        world.happens(&event("acme/rocket", Some((5, 2))));
        world.happens(&renamed("acme/missile", "acme/probe", (5, 1)));
        let expected = "repository acme/Rocket: several have had this name, which means the one with id 2 here. For the \
                        events of the others, filter by `acme/probe` (id 1).";
        assert_eq!(notes(&world, "acme/Rocket", &all), [expected]);
        for other in ["acme", "acme/missile", "acme/probe", "acme/cat", "octo"] {
            assert!(notes(&world, other, &all).is_empty(), "{other}");
        }
        // Those who meant the former one are told so.
        let then = world.names.at(Sequence(1));
        let filters = FilterSet::new(vec![Filter {
            owner: Some("acme".to_owned()),
            repo: Some("rocket".to_owned()),
            ..Filter::default()
        }]);
        let told = then.notes(&filters.unwrap(), &all);
        assert!(told[0].contains("the one with id 1 here, now acme/probe"));
        assert!(
            told[0].contains("filter by `acme/rocket` (id 2)"),
            "{told:?}"
        );
    }

    #[test]
    fn a_login_that_changed_hands_has_a_note_also_for_its_repositories() {
        let mut world = World::default();
        world.happens(&event("acme/rocket", Some((5, 1))));
        world.happens(&owner_renamed("acme", "acme-labs", 5));
        world.happens(&event("acme/cat", Some((6, 2))));
        let of = |name| notes(&world, name, &Visibility::all());
        for name in ["acme", "acme/cat", "acme/unheard"] {
            let told = of(name);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("owner acme: "), "{told:?}");
            assert!(told[0].contains("id 6 here") && told[0].contains("`acme-labs` (id 5)"));
        }
        assert!(of("acme-labs").is_empty());
    }

    #[test]
    fn a_note_names_nothing_that_its_reader_may_not_see() {
        let mut world = World::default();
        let old = world.token("old", &["acme/rocket"]);
        world.happens(&event("acme/rocket", Some((5, 1))));
        world.happens(&renamed("acme/rocket", "acme/missile", (5, 1)));
        world.happens(&event("acme/rocket", Some((5, 2))));
        let new = world.token("new", &["acme/rocket"]);
        let told = notes(&world, "acme/rocket", &old);
        assert!(told[0].contains("means another one here."), "{told:?}");
        assert!(told[0].contains("`acme/missile` (id 1)"), "{told:?}");
        assert!(notes(&world, "acme/rocket", &new).is_empty());
        let owner = world.token("owner", &["acme"]);
        assert_eq!(notes(&world, "acme/rocket", &owner).len(), 1);
    }

    #[test]
    fn the_notes_of_many_filters_are_few() {
        let mut world = World::default();
        let mut filters = Vec::new();
        for n in 0..10 {
            let (name, other) = (format!("acme/r{n}"), format!("acme/s{n}"));
            world.happens(&event(&name, Some((5, 100 + n))));
            world.happens(&renamed(&name, &other, (5, 100 + n)));
            world.happens(&event(&name, Some((5, 200 + n))));
            filters.push(Filter {
                owner: Some("acme".to_owned()),
                repo: Some(format!("r{n}")),
                ..Filter::default()
            });
        }
        let filters = FilterSet::new(filters).unwrap();
        let told = world.names.now().notes(&filters, &Visibility::all());
        assert_eq!(told.len(), MAX_NAME_NOTES + 1, "{told:?}");
    }
}
