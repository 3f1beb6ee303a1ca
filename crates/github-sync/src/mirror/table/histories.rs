//! Random histories of repositories and owners against a naive GitHub: which state is under which address.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use model::{EventFacts, ResourceType, Timestamp};
use proptest::prelude::*;

use super::{
    tests::{ids, issue, owner_renamed, renamed},
    *,
};
use crate::mirror::reading::{EventReading, StateReading};

const LOGINS: [&str; 3] = ["acme", "beta", "gamma"];
const NAMES: [&str; 3] = ["rocket", "missile", "van"];

/// What happens next. Numbers choose among what there is at that moment.
#[derive(Debug, Clone)]
enum Happening {
    Creation {
        owner: usize,
        name: usize,
    },
    Deletion {
        repository: usize,
    },
    Rename {
        repository: usize,
        name: usize,
        told: bool,
    },
    Transfer {
        repository: usize,
        owner: usize,
        told: bool,
    },
    OwnerRename {
        owner: usize,
        login: usize,
        told: bool,
    },
    Stranger {
        login: usize,
    },
    Issue {
        repository: usize,
    },
    /// A delivery of before arrives again; ingest may not know that it is late.
    Again {
        delivery: usize,
        late: bool,
    },
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let n = || 0..64_usize;
    let told = || prop::bool::weighted(0.6);
    let one = prop_oneof![
        2 => (n(), n()).prop_map(|(owner, name)| Happening::Creation { owner, name }),
        1 => n().prop_map(|repository| Happening::Deletion { repository }),
        2 => (n(), n(), told())
            .prop_map(|(repository, name, told)| Happening::Rename { repository, name, told }),
        2 => (n(), n(), told())
            .prop_map(|(repository, owner, told)| Happening::Transfer { repository, owner, told }),
        2 => (n(), n(), told())
            .prop_map(|(owner, login, told)| Happening::OwnerRename { owner, login, told }),
        1 => n().prop_map(|login| Happening::Stranger { login }),
        5 => n().prop_map(|repository| Happening::Issue { repository }),
        3 => (n(), any::<bool>())
            .prop_map(|(delivery, late)| Happening::Again { delivery, late }),
    ];
    prop::collection::vec(one, 1..60)
}

/// A repository as it is on GitHub.
#[derive(Debug, Clone)]
struct RealRepository {
    owner: u64,
    name: &'static str,
    /// The version of issue 7 in its newest delivery.
    version: u64,
    /// The address under which a delivery showed it since it is there.
    shown: String,
}

/// A delivery that was sent.
#[derive(Debug, Clone)]
struct SentDelivery {
    facts: EventFacts,
    text: String,
    made_at: u64,
}

/// GitHub, and the table that follows it.
struct NaiveGithub {
    owners: BTreeMap<u64, &'static str>,
    repositories: BTreeMap<u64, RealRepository>,
    /// Versions of repositories that are gone.
    gone: BTreeMap<u64, u64>,
    /// The logins that owners have had, and the owners that repositories have had.
    logins: BTreeSet<(&'static str, u64)>,
    belonged: BTreeSet<(u64, u64)>,
    last_id: u64,
    deliveries: Vec<SentDelivery>,
    table: Table,
    sequence: u64,
}

impl NaiveGithub {
    fn new() -> Self {
        let mut github = Self {
            owners: BTreeMap::from([(1, "acme"), (2, "beta")]),
            repositories: BTreeMap::new(),
            gone: BTreeMap::new(),
            logins: BTreeSet::new(),
            belonged: BTreeSet::new(),
            last_id: 10,
            deliveries: Vec::new(),
            table: Table::new(1000, usize::MAX),
            sequence: 0,
        };
        github.record();
        github
    }

    fn address(&self, repository: &RealRepository) -> String {
        format!("{}/{}", self.owners[&repository.owner], repository.name)
    }

    fn holder(&self, address: &str) -> Option<u64> {
        let mut all = self.repositories.iter();
        let found = all.find(|(_, repository)| self.address(repository) == address);
        found.map(|(id, _)| *id)
    }

    fn record(&mut self) {
        let owners = self.owners.iter();
        self.logins.extend(owners.map(|(id, login)| (*login, *id)));
        let repositories = self.repositories.iter();
        let belong = repositories.map(|(id, repository)| (*id, repository.owner));
        self.belonged.extend(belong);
    }

    /// Whether a repository has ever been in an owner that has ever had this login.
    fn has_been_under(&self, login: &str, id: u64) -> bool {
        let mut owners = self.logins.iter().filter(|(had, _)| *had == login);
        owners.any(|(_, owner)| self.belonged.contains(&(id, *owner)))
    }

    fn deliver(&mut self, facts: EventFacts, text: String) {
        let made_at = 10 * (self.deliveries.len() as u64 + 1);
        let delivery = SentDelivery {
            facts,
            text,
            made_at,
        };
        self.deliveries.push(delivery.clone());
        self.arrive(&delivery, false);
    }

    fn arrive(&mut self, delivery: &SentDelivery, late: bool) {
        self.sequence += 1;
        let state = match delivery.text.as_str() {
            "" => StateReading::Nothing,
            text => StateReading::State {
                json: Bytes::copy_from_slice(text.as_bytes()),
                updated_at: Timestamp::default(),
                whole: true,
            },
        };
        let reading = EventReading {
            late,
            made_at: delivery.made_at,
            repository_node_id: None,
            state,
        };
        let sequence = Sequence(self.sequence);
        self.table.apply(&delivery.facts, sequence, reading);
    }

    /// Something of a repository is delivered under its present address.
    fn shows(&mut self, id: u64, is_issue: bool) {
        let address = self.address(&self.repositories[&id]);
        let repository = self.repositories.get_mut(&id).unwrap();
        repository.shown.clone_from(&address);
        let facts = issue(&address, ids(repository.owner, id));
        if is_issue {
            repository.version += 1;
            let text = format!("{id} {}", repository.version);
            self.deliver(facts, text);
        } else {
            let of_repository = EventFacts {
                resource_type: ResourceType::open("repository"),
                number: None,
                ..facts
            };
            self.deliver(of_repository, String::new());
        }
    }

    /// A repository gets another address, unless that is taken.
    fn moves(&mut self, id: u64, owner: u64, name: &'static str, told: bool) {
        let before = self.address(&self.repositories[&id]);
        let after = format!("{}/{name}", self.owners[&owner]);
        if self.holder(&after).is_some() {
            return;
        }
        let repository = self.repositories.get_mut(&id).unwrap();
        (repository.owner, repository.name) = (owner, name);
        repository.shown.clear();
        if told {
            repository.shown.clone_from(&after);
            self.deliver(renamed(&before, &after, ids(owner, id)), String::new());
        }
    }

    fn owner_moves(&mut self, id: u64, login: &'static str, told: bool) {
        let before = self.owners[&id];
        if self.owners.values().any(|taken| *taken == login) {
            return;
        }
        self.owners.insert(id, login);
        let own = self.repositories.values_mut();
        for repository in own.filter(|repository| repository.owner == id) {
            // It goes with its owner, if it was known to be there.
            let was_shown = repository.shown == format!("{before}/{}", repository.name);
            repository.shown = match told && was_shown {
                true => format!("{login}/{}", repository.name),
                false => String::new(),
            };
        }
        if told {
            self.deliver(owner_renamed(before, login, id), String::new());
        }
    }

    fn happens(&mut self, happening: &Happening) {
        let owners: Vec<u64> = self.owners.keys().copied().collect();
        let owner = |n: usize| owners[n % owners.len()];
        let all: Vec<u64> = self.repositories.keys().copied().collect();
        let repository = |n: usize| (!all.is_empty()).then(|| all[n % all.len()]);
        match *happening {
            Happening::Creation { owner: n, name } => {
                let (owner, name) = (owner(n), NAMES[name % NAMES.len()]);
                let address = format!("{}/{name}", self.owners[&owner]);
                if self.holder(&address).is_none() {
                    self.last_id += 1;
                    let new = RealRepository {
                        owner,
                        name,
                        version: 0,
                        shown: String::new(),
                    };
                    self.repositories.insert(self.last_id, new);
                    self.shows(self.last_id, false);
                }
            }
            Happening::Deletion { repository: n } => {
                if let Some(id) = repository(n) {
                    self.shows(id, false);
                    let gone = self.repositories.remove(&id).unwrap();
                    self.gone.insert(id, gone.version);
                }
            }
            Happening::Rename {
                repository: n,
                name,
                told,
            } => {
                if let Some(id) = repository(n) {
                    let owner = self.repositories[&id].owner;
                    self.moves(id, owner, NAMES[name % NAMES.len()], told);
                }
            }
            Happening::Transfer {
                repository: n,
                owner: to,
                told,
            } => {
                if let Some(id) = repository(n) {
                    let name = self.repositories[&id].name;
                    self.moves(id, owner(to), name, told);
                }
            }
            Happening::OwnerRename {
                owner: n,
                login,
                told,
            } => self.owner_moves(owner(n), LOGINS[login % LOGINS.len()], told),
            Happening::Stranger { login } => {
                let login = LOGINS[login % LOGINS.len()];
                if self.owners.values().all(|taken| *taken != login) {
                    self.last_id += 1;
                    self.owners.insert(self.last_id, login);
                }
            }
            Happening::Issue { repository: n } => {
                if let Some(id) = repository(n) {
                    self.shows(id, true);
                }
            }
            Happening::Again { delivery, late } => {
                if !self.deliveries.is_empty() {
                    let again = self.deliveries[delivery % self.deliveries.len()].clone();
                    self.arrive(&again, late);
                }
            }
        }
        self.record();
    }

    fn version(&self, id: u64) -> u64 {
        let gone = || self.gone.get(&id).copied();
        let live = self.repositories.get(&id).map(|live| live.version);
        live.or_else(gone).unwrap_or_default()
    }

    /// What is under every address is right, as far as deliveries have shown it.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for (login, name) in LOGINS
            .iter()
            .flat_map(|l| NAMES.iter().map(move |n| (l, n)))
        {
            let address = format!("{login}/{name}");
            let uri = ResourceUri::parse(&format!("github://issues/{address}/7")).unwrap();
            let state = self.table.found(&uri);
            let state = state.map(|(state, _)| {
                let text = String::from_utf8(state.json.to_vec()).unwrap();
                let (id, version) = text.split_once(' ').unwrap();
                let read: [u64; 2] = [id, version].map(|number| number.parse().unwrap());
                (read, state.ids)
            });
            if let Some(([id, version], ids)) = &state {
                // Whoever is pinned to an id reads what is of that id.
                prop_assert_eq!(ids.repository.map(|id| id.0), Some(*id), "{}", address);
                prop_assert_eq!(*version, self.version(*id), "{}: the newest", address);
            }
            let Some(holder) = self.holder(&address) else {
                continue;
            };
            let present = self.repositories[&holder].clone();
            if present.shown != address {
                continue;
            }
            let expected = (present.version > 0).then_some([holder, present.version]);
            let read = state.as_ref().map(|(read, _)| *read);
            prop_assert_eq!(read, expected, "{}", address);
            if let Some((_, ids)) = state {
                prop_assert_eq!(ids.owner.map(|id| id.0), Some(present.owner));
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Under an address is the present holder's newest version, however often others had it, and whatever comes late.
    #[test]
    fn an_address_has_the_newest_version_of_its_present_holder(history in happenings()) {
        let mut github = NaiveGithub::new();
        for happening in &history {
            github.happens(happening);
            github.check()?;
        }
        // Once each has been heard of, nothing is left to chance.
        let all: Vec<u64> = github.repositories.keys().copied().collect();
        for id in all {
            github.shows(id, true);
        }
        github.check()?;
        // A former address leads to one that was under its login, or nowhere.
        for (login, name) in LOGINS.iter().flat_map(|l| NAMES.iter().map(move |n| (l, n))) {
            let uri = ResourceUri::parse(&format!("github://issues/{login}/{name}/7")).unwrap();
            if let Some((state, _)) = github.table.found(&uri) {
                let id = state.ids.repository.unwrap().0;
                prop_assert!(github.has_been_under(login, id), "{} is not {}", uri, id);
            }
        }
    }
}
