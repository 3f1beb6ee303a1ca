//! A GitHub, and what a reader of its lists has brought together.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use fake_github::{
    server::{FakeLimits, GithubServer},
    world::{AccountKey, FakeWorld, RepoKey},
};
use github::{
    GithubApiVersion, GithubClient, GithubConfig, GithubDeps, GithubError, GithubIdentity,
    GithubMetrics, GithubPace,
};
use http_client::HttpProxies;
use model::{Clock, ManualClock, OwnerId, RepositoryId, SystemClock, Timestamp};
use ports::MirroredKind;
use store_memory::MemoryBudget;

use crate::{
    listed::{ListedObject, ListedPlace, ListedRepository},
    lists::{GithubLists, ListCheckpoint, ListStep},
};

const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

/// Short pauses.
const FAST: GithubPace = GithubPace {
    request_timeout: Duration::from_secs(20),
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(2),
    first_limit_pause: Duration::from_secs(3600),
    breaker_pause: Duration::from_millis(1),
    secret_check: Duration::ZERO,
    window: Duration::from_secs(3600),
};

/// Which GitHub is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// Issues by cursor.
    Cloud,
    /// Issues by the number of the page.
    Enterprise,
}

pub(super) struct ListWorld {
    pub(super) github: GithubServer,
    pub(super) clock: Arc<ManualClock>,
    pub(super) organization: AccountKey,
    pub(super) repo: RepoKey,
}

impl ListWorld {
    /// An organization `octo` with the repository `reactor`.
    pub(super) async fn new() -> Self {
        // The server dates its answers by the machine's clock, from which the client counts.
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let github = GithubServer::start(7, clock.clone()).await.unwrap();
        let (organization, repo, user) = github.change(|world| {
            let organization = world.add_organization("octo");
            let repo = world.create_repo(organization, "reactor");
            (organization, repo, world.actor())
        });
        github.admit(TOKEN, user);
        github.limit(FakeLimits {
            core_per_minute: 1_000_000,
            core: 1_000_000,
            ..FakeLimits::default()
        });
        Self {
            github,
            clock,
            organization,
            repo,
        }
    }

    /// A reader with pages of so many items.
    pub(super) fn lists(&self, served: Served, page_items: usize) -> GithubLists {
        self.lists_of(served, GithubApiVersion::default(), page_items)
    }

    pub(super) fn lists_of(
        &self,
        served: Served,
        version: GithubApiVersion,
        page_items: usize,
    ) -> GithubLists {
        let url = match served {
            Served::Cloud => self.github.url().to_owned(),
            Served::Enterprise => self.github.enterprise_url(),
        };
        let identity = GithubIdentity::Token(TOKEN.to_owned());
        let mut config = GithubConfig::new(&url, &self.github.graphql_url(), identity).unwrap();
        config.pace = FAST;
        config.proxies = HttpProxies::none();
        config.version = version;
        let deps = GithubDeps {
            budget: Arc::new(MemoryBudget::new(self.clock.clone())),
            clock: self.clock.clone(),
            metrics: GithubMetrics::default(),
        };
        let client = GithubClient::new(&config, deps).unwrap();
        GithubLists {
            page_items,
            ..GithubLists::new(client, self.clock.clone())
        }
    }

    pub(super) fn place(&self) -> ListedPlace {
        ListedPlace {
            repository: Some(ListedRepository {
                name: "reactor".to_owned(),
                id: RepositoryId(self.repo.0),
            }),
            ..self.owner()
        }
    }

    pub(super) fn owner(&self) -> ListedPlace {
        ListedPlace {
            owner: "octo".to_owned(),
            owner_id: OwnerId(self.organization.0),
            repository: None,
        }
    }

    pub(super) fn pass_time(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut FakeWorld, RepoKey) -> T) -> T {
        self.github.change(|world| change(world, self.repo))
    }

    /// Opens so many issues, with so many seconds between them.
    pub(super) fn open_issues(&self, count: usize, seconds: u64) {
        for n in 0..count {
            self.pass_time(seconds);
            self.change(|world, repo| world.open_issue(repo, &format!("issue {n}")));
        }
    }

    /// The numbers, titles and times of what there is of a kind.
    pub(super) fn truth(&self, kind: MirroredKind) -> BTreeMap<u64, (String, Timestamp)> {
        self.change(|world, repo| match kind {
            MirroredKind::Milestone => {
                let all = world.milestones_of(repo);
                all.map(|it| (it.number, (it.title.clone(), it.updated_at)))
                    .collect()
            }
            _ => {
                let wants_pulls = kind == MirroredKind::PullRequest;
                let all = world.tickets_of(repo);
                all.filter(|(_, it)| it.pull.is_some() == wants_pulls)
                    .map(|(key, it)| (key.number, (it.title.clone(), it.updated_at)))
                    .collect()
            }
        })
    }
}

/// What a reader has of one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReadList {
    pub(super) checkpoint: ListCheckpoint,
    pub(super) objects: BTreeMap<u64, (Timestamp, Bytes)>,
    pub(super) gone: Vec<u64>,
}

impl ReadList {
    /// Takes a step and stores the checkpoint.
    pub(super) async fn step(
        &mut self,
        lists: &GithubLists,
        place: &ListedPlace,
        kind: MirroredKind,
    ) -> Result<ListStep, GithubError> {
        let step = lists.step(place, kind, &self.checkpoint).await?;
        self.take(&step);
        Ok(step)
    }

    pub(super) fn take(&mut self, step: &ListStep) {
        self.checkpoint = ListCheckpoint::from_json(&step.checkpoint.to_json());
        assert_eq!(self.checkpoint, step.checkpoint);
        assert_eq!(step.unreadable, 0);
        for object in &step.objects {
            self.put(object);
        }
        for number in &step.gone {
            self.objects.remove(number);
            self.gone.push(*number);
        }
    }

    fn put(&mut self, object: &ListedObject) {
        let state = (object.updated_at, object.json.clone());
        let known = self.objects.entry(object.number).or_insert(state.clone());
        if known.0 <= state.0 {
            *known = state;
        }
    }

    /// Takes steps to the end of the pass; their number.
    pub(super) async fn pass(
        &mut self,
        lists: &GithubLists,
        place: &ListedPlace,
        kind: MirroredKind,
    ) -> usize {
        for steps in 1..=1_000 {
            if self.step(lists, place, kind).await.unwrap().end {
                assert!(self.checkpoint.is_whole(), "{kind}");
                return steps;
            }
        }
        panic!("a pass over {kind} does not end: {:?}", self.checkpoint);
    }

    /// The numbers, titles and times of what was read.
    pub(super) fn titles(&self) -> BTreeMap<u64, (String, Timestamp)> {
        let objects = self.objects.iter();
        objects
            .map(|(number, (at, json))| {
                let object: serde_json::Value = serde_json::from_slice(json).unwrap();
                let title = object["title"].as_str().unwrap_or_default().to_owned();
                (*number, (title, *at))
            })
            .collect()
    }
}
