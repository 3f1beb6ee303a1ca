//! Random histories of GitHub: what an event shows under a name, the name meant when the event came, whatever was
//! renamed, transferred, deleted and made anew around it, told or untold, and however late copies of events arrive.

use std::collections::BTreeSet;

use model::{
    EventId, EventOrigin, EventType, FormerPlace, GithubIds, OwnerId, RepositoryId, ResourceId,
    ResourceType, Timestamp,
};
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::Visibility;

const EPOCH: Epoch = Epoch(7);
const LOGINS: [&str; 4] = ["acme", "apex", "beta", "octo"];
const REPOS: [&str; 3] = ["kit", "rocket", "missile"];
/// 2026-11-29T00:00:00Z, from which GitHub's clock runs.
const BEGIN_MILLIS: i64 = 1_795_910_400_000;
/// Between two happenings: longer than payloads show names of before.
const STEP_MILLIS: i64 = 20_000;

#[derive(Debug, Clone)]
enum Happening {
    /// Somebody takes a login that is free.
    Joins(usize),
    /// An owner has another login, if it is free.
    RenamesOwner(Index, usize, bool),
    Creates(Index, usize),
    RenamesRepository(Index, usize, bool),
    Transfers(Index, Index, bool),
    Deletes(Index),
    /// Something happens in a repository.
    Shows(Index),
    /// Another hook's copy of an event arrives late.
    Copies(Index),
    /// A token is made for a repository, by login and name, or for an owner.
    Grants(usize, Option<usize>),
}

fn happening() -> impl Strategy<Value = Happening> {
    let (any, told) = (any::<Index>, any::<bool>);
    prop_oneof![
        2 => (0..LOGINS.len()).prop_map(Happening::Joins),
        3 => (any(), 0..LOGINS.len(), told()).prop_map(|(o, l, t)| Happening::RenamesOwner(o, l, t)),
        4 => (any(), 0..REPOS.len()).prop_map(|(o, r)| Happening::Creates(o, r)),
        4 => (any(), 0..REPOS.len(), told()).prop_map(|(o, r, t)| Happening::RenamesRepository(o, r, t)),
        3 => (any(), any(), told()).prop_map(|(r, o, t)| Happening::Transfers(r, o, t)),
        1 => any().prop_map(Happening::Deletes),
        8 => any().prop_map(Happening::Shows),
        3 => any().prop_map(Happening::Copies),
        2 => (0..LOGINS.len(), proptest::option::of(0..REPOS.len()))
            .prop_map(|(l, r)| Happening::Grants(l, r)),
    ]
}

#[derive(Debug, Clone)]
struct Repository {
    id: u64,
    owner: usize,
    name: usize,
}

/// A token, what it was granted, and what that was by then, if an event had shown it.
struct Granted {
    name: String,
    sees: Visibility,
    meant: Option<PlaceId>,
}

/// GitHub, with its log and an edge that follows it.
struct World {
    /// By id.
    logins: Vec<usize>,
    repositories: Vec<Repository>,
    count: u64,
    clock: i64,
    /// With whether it came in its turn.
    log: Vec<(EventFacts, bool)>,
    names: Arc<NameDirectory>,
    granted: Vec<Granted>,
}

impl World {
    fn new() -> Self {
        let names = Arc::new(NameDirectory::default());
        names.begin_log(EPOCH);
        Self {
            logins: Vec::new(),
            repositories: Vec::new(),
            count: 0,
            clock: BEGIN_MILLIS,
            log: Vec::new(),
            names,
            granted: Vec::new(),
        }
    }

    fn is_free(&self, owner: usize, name: usize) -> bool {
        let mut repositories = self.repositories.iter();
        !repositories.any(|other| (other.owner, other.name) == (owner, name))
    }

    fn login(&self, owner: usize) -> &'static str {
        LOGINS[self.logins[owner]]
    }

    fn event(&self, owner: usize, repository: Option<&Repository>) -> EventFacts {
        let ticks = u64::try_from(self.clock + 12_219_292_800_000).unwrap() * 10_000;
        let (low, middle, high) = (ticks & 0xffff_ffff, (ticks >> 32) & 0xffff, ticks >> 48);
        let kind = repository.map_or("organization", |_| "repository");
        EventFacts {
            id: EventId::new(&format!(
                "{low:08x}-{middle:04x}-1{high:03x}-81ab-4c9367dc0958"
            ))
            .unwrap(),
            event_type: EventType::UPDATED,
            action: None,
            resource_type: ResourceType::open(kind),
            resource_id: ResourceId::new("R_1").unwrap(),
            owner: Some(self.login(owner).to_owned()),
            repo: repository.map(|repository| REPOS[repository.name].to_owned()),
            number: None,
            ids: GithubIds {
                owner: Some(OwnerId(owner as u64 + 1)),
                repository: repository.map(|repository| RepositoryId(repository.id)),
                resource: None,
            },
            former: None,
            actor: None,
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::default(),
            received_at: Timestamp::from_unix_millis(self.clock),
        }
    }

    fn tell(&mut self, facts: EventFacts, is_on_time: bool) {
        self.log.push((facts, is_on_time));
        let (facts, _) = self.log.last().unwrap();
        let _ = self.names.observe(at(self.log.len()), facts);
    }

    fn happens(&mut self, what: &Happening) {
        self.clock += STEP_MILLIS;
        match what {
            Happening::Joins(login) if !self.logins.contains(login) => self.logins.push(*login),
            Happening::RenamesOwner(owner, login, told)
                if !self.logins.is_empty() && !self.logins.contains(login) =>
            {
                let owner = owner.index(self.logins.len());
                let from = self.login(owner).to_owned();
                self.logins[owner] = *login;
                if *told {
                    let former = (Some(from), None);
                    let event = renamed(self.event(owner, None), former);
                    self.tell(event, true);
                }
            }
            Happening::Creates(owner, name) if !self.logins.is_empty() => {
                let owner = owner.index(self.logins.len());
                if self.is_free(owner, *name) {
                    self.count += 1;
                    let (id, name) = (self.count, *name);
                    self.repositories.push(Repository { id, owner, name });
                }
            }
            Happening::Shows(of) if !self.repositories.is_empty() => {
                let of = of.get(&self.repositories).clone();
                let event = self.event(of.owner, Some(&of));
                self.tell(event, true);
            }
            Happening::Copies(of) if !self.log.is_empty() => {
                let (event, _) = of.get(&self.log).clone();
                self.tell(event, false);
            }
            Happening::Grants(login, repo) => self.grant(*login, *repo),
            _ if self.repositories.is_empty() => {}
            Happening::Deletes(of) => {
                let of = of.index(self.repositories.len());
                let _ = self.repositories.remove(of);
            }
            Happening::RenamesRepository(of, name, told) => {
                let of = of.index(self.repositories.len());
                self.moves(of, (self.repositories[of].owner, *name), *told);
            }
            Happening::Transfers(of, to, told) => {
                let of = of.index(self.repositories.len());
                let to = (to.index(self.logins.len()), self.repositories[of].name);
                self.moves(of, to, *told);
            }
            _ => {}
        }
    }

    fn moves(&mut self, of: usize, (owner, name): (usize, usize), told: bool) {
        if !self.is_free(owner, name) {
            return;
        }
        let before = self.repositories[of].clone();
        let after = Repository {
            owner,
            name,
            ..before
        };
        self.repositories[of] = after.clone();
        if told {
            let former = (
                Some(self.login(before.owner).to_owned()),
                Some(REPOS[before.name].to_owned()),
            );
            let event = renamed(self.event(owner, Some(&after)), former);
            self.tell(event, true);
        }
    }

    /// What has this name now, if the last event that showed the name or what has it showed both together.
    fn shown(&self, login: usize, repo: Option<usize>) -> Option<PlaceId> {
        let owner = self.logins.iter().position(|known| *known == login)?;
        let of_owner = PlaceId::Owner(OwnerId(owner as u64 + 1));
        let id = match repo {
            None => of_owner,
            Some(repo) => {
                let mut repositories = self.repositories.iter();
                let found = repositories.find(|of| (of.owner, of.name) == (owner, repo))?;
                PlaceId::Repository(RepositoryId(found.id))
            }
        };
        let name = name_of(login, repo);
        let mut on_time = self.log.iter().rev().filter(|(_, is_on_time)| *is_on_time);
        let is_shown = |wanted: (PlaceId, &str)| {
            let mut events = on_time.clone();
            let last = events.find_map(|(facts, _)| {
                let mut shown = names_shown_by(facts);
                shown.find(|(id, name)| *id == wanted.0 || name == wanted.1)
            });
            last.is_some_and(|(id, name)| (id, name.as_str()) == wanted)
        };
        let is_shown = is_shown((id, &name)) && is_shown((of_owner, LOGINS[login]));
        let _ = on_time.next();
        is_shown.then_some(id)
    }

    fn grant(&mut self, login: usize, repo: Option<usize>) {
        let name = name_of(login, repo);
        let (owners, repositories) = match repo {
            None => (Some(&*name), None),
            Some(_) => (None, Some(&*name)),
        };
        let sees = Visibility::only(owners, repositories).unwrap();
        let principal = PrincipalId::new(&format!("p{}", self.granted.len())).unwrap();
        sees.follow_ids(&principal, &self.names);
        let meant = self.shown(login, repo);
        self.granted.push(Granted { name, sees, meant });
    }
}

fn name_of(login: usize, repo: Option<usize>) -> String {
    let login = LOGINS[login];
    repo.map_or_else(
        || login.to_owned(),
        |repo| format!("{login}/{}", REPOS[repo]),
    )
}

fn renamed(event: EventFacts, (owner, repo): (Option<String>, Option<String>)) -> EventFacts {
    EventFacts {
        former: Some(Box::new(FormerPlace { owner, repo })),
        ..event
    }
}

const fn at(position: usize) -> LogPosition {
    LogPosition {
        epoch: EPOCH,
        sequence: Sequence(position as u64),
        tag: None,
    }
}

/// The id of an event that a name of this kind means.
fn id_for(name: &str, facts: &EventFacts) -> Option<PlaceId> {
    match name.contains('/') {
        true => facts.ids.repository.map(PlaceId::Repository),
        false => facts.ids.owner.map(PlaceId::Owner),
    }
}

/// `Err` with what is wrong.
fn check_meanings(world: &World) -> Result<(), TestCaseError> {
    let on_time = world.log.iter().filter(|(_, is_on_time)| *is_on_time);
    let shown: BTreeSet<(PlaceId, String)> = on_time
        .flat_map(|(facts, _)| names_shown_by(facts))
        .collect();
    for (n, (facts, is_on_time)) in (1..).zip(&world.log) {
        for (id, name) in names_shown_by(facts).filter(|_| *is_on_time) {
            let meaning = world.names.at(Sequence(n)).meaning(PlaceName::read(&name));
            match meaning {
                Some(meaning) => prop_assert_eq!(meaning, id, "{} at {}", name, n),
                // It has not changed: name and id say the same.
                None => {
                    let is_other =
                        |(other, also): &&(PlaceId, String)| (*other == id) != (*also == name);
                    let other = shown.iter().find(is_other);
                    prop_assert_eq!(other, None, "{} at {} of {:?}", name, n, id);
                }
            }
        }
    }
    Ok(())
}

fn check_tokens(world: &World) -> Result<(), TestCaseError> {
    for Granted { name, sees, meant } in &world.granted {
        let events = world.log.iter().map(|(facts, _)| facts);
        let plain = events.filter(|facts| facts.former.is_none());
        let seen = plain.filter(|facts| sees.allows(facts));
        let ids: BTreeSet<_> = seen.filter_map(|facts| id_for(name, facts)).collect();
        prop_assert!(ids.len() < 2, "{} sees {:?}", name, ids);
        if let Some(meant) = meant {
            let plain = world.log.iter().filter(|(facts, _)| facts.former.is_none());
            for (facts, _) in plain {
                let is_of = id_for(name, facts) == Some(*meant);
                prop_assert_eq!(
                    sees.allows(facts),
                    is_of,
                    "{} is {:?}: {:?}",
                    name,
                    meant,
                    facts
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_name_meant_what_the_event_shows_under_it(
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::new();
        for what in &happenings {
            world.happens(what);
        }
        check_meanings(&world)?;
        check_tokens(&world)?;
        // An edge that starts later: it reads what was stored, and then a part of the log again.
        let late = NameDirectory::default();
        late.begin_log(EPOCH);
        let (changes, _) = world.names.merge_changes(Vec::new());
        let _ = late.merge_changes(changes);
        for part in 0..crate::limits::SHOWN_PARTS {
            let places = world.names.merge_places(part, Vec::new());
            let _ = late.merge_places(part, places.unwrap_or_default());
        }
        for (n, (facts, _)) in (1..).zip(&world.log).skip(world.log.len() / 2) {
            let observed = late.observe(at(n), facts);
            prop_assert_eq!(observed.renamed, Vec::new(), "{} again: {:?}", n, facts);
        }
        let again = World { names: Arc::new(late), ..world };
        check_meanings(&again)?;
    }
}
