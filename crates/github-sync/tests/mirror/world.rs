//! A GitHub, a log, stores, and sync roles that share them.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use event_flow::follow::{FollowOptions, follow};
use fake_github::{
    server::GithubServer,
    world::{AccountKey, RepoKey, TicketKey},
};
use github::{GithubClient, GithubConfig, GithubDeps, GithubIdentity, GithubMetrics, GithubPace};
use github_events::{Envelope, PayloadText};
use github_sync::{RunningSync, SyncConfig, SyncDeps, SyncGithub, SyncService};
use http_body_util::BodyExt;
use http_client::HttpProxies;
use mirror_cache::{
    cache::{MirrorCache, MirrorCacheParts},
    limits::DEFAULT_MAX_BYTES,
    metrics::MirrorCacheMetrics,
};
use model::{
    Clock, DeliveryId, LogPosition, ManualClock, RandomIds, ResourceEvent, ResourceUri, Sequence,
    SystemClock, TraceContext,
};
use ports::{
    Bus, BusMessage, EventHint, EventLog, Leases, MirrorAddress, MirrorFilter, MirrorListing,
    MirrorOrder, MirrorReads, MirroredKind, MirroredState, ResourceReader, Topic,
};
use role_keys::RoleTrust;
use serde_json::Value;
use service_kit::{lifecycle::Lifecycle, metrics::MetricsRegistry};
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryBudget, MemoryLogStore, MemorySessionStore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
/// Longest time that a test waits for an expected effect.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long after a change, no webhook of it is waited for.
pub(crate) const LONG: Duration = Duration::from_secs(20 * 60);

/// Kinds that belong to an organization.
const OF_OWNER: [MirroredKind; 4] = [
    MirroredKind::Project,
    MirroredKind::ProjectField,
    MirroredKind::ProjectView,
    MirroredKind::ProjectItem,
];

/// Short pauses.
const FAST: GithubPace = GithubPace {
    request_timeout: Duration::from_secs(5),
    first_pause: Duration::from_millis(2),
    longest_pause: Duration::from_millis(5),
    first_limit_pause: Duration::from_secs(3600),
    breaker_pause: Duration::from_millis(1),
    secret_check: Duration::ZERO,
    window: Duration::from_secs(3600),
};

/// What all replicas share.
pub(crate) struct MirrorWorld {
    pub(crate) github: GithubServer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) organization: AccountKey,
    pub(crate) repo: RepoKey,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) store: Arc<MemorySessionStore>,
}

/// A running sync role.
pub(crate) struct Replica {
    pub(crate) running: RunningSync,
    pub(crate) reads: Arc<dyn MirrorReads>,
    pub(crate) lifecycle: Lifecycle,
}

impl MirrorWorld {
    /// An organization `octo` with the repository `reactor`.
    pub(crate) async fn new() -> Self {
        // The server dates its answers by the machine's clock, from which the client counts.
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let github = GithubServer::start(7, clock.clone()).await.unwrap();
        let (organization, repo, user) = github.change(|world| {
            let organization = world.add_organization("octo");
            let repo = world.create_repo(organization, "reactor");
            (organization, repo, world.actor())
        });
        github.admit(TOKEN, user);
        let capacity = NonZeroUsize::new(10_000).unwrap();
        Self {
            github,
            organization,
            repo,
            log: Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, capacity))),
            bus: Arc::new(InProcessBus::new(capacity)),
            store: Arc::new(MemorySessionStore::new(clock.clone(), 100_000)),
            clock,
        }
    }

    /// Opens so many issues, a second apart.
    pub(crate) fn open_issues(&self, count: usize) -> Vec<TicketKey> {
        let issues = (0..count).map(|n| {
            self.clock.advance(Duration::from_secs(1));
            let title = format!("It is slow ({n})");
            self.github
                .change(|world| world.open_issue(self.repo, &title))
        });
        issues.collect()
    }

    fn client(&self) -> GithubClient {
        let identity = GithubIdentity::Token(TOKEN.to_owned());
        let graphql = self.github.graphql_url();
        let mut config = GithubConfig::new(self.github.url(), &graphql, identity).unwrap();
        config.pace = FAST;
        config.proxies = HttpProxies::none();
        let deps = GithubDeps {
            budget: Arc::new(MemoryBudget::new(self.clock.clone())),
            clock: self.clock.clone(),
            metrics: GithubMetrics::default(),
        };
        GithubClient::new(&config, deps).unwrap()
    }

    /// The configuration of a role that mirrors the repository, and compares it only when it is asked to.
    pub(crate) fn config() -> SyncConfig {
        SyncConfig {
            repositories: vec!["octo/reactor".to_owned()],
            sweep_seconds: 0,
            interval_seconds: 0,
            ..SyncConfig::default()
        }
    }

    /// Starts the only role.
    pub(crate) fn start(&self, config: &SyncConfig) -> Replica {
        self.start_replica(config, None)
    }

    /// Starts one of several.
    pub(crate) fn start_one_of_many(&self, config: &SyncConfig) -> Replica {
        self.start_replica(config, Some(self.store.clone()))
    }

    fn start_replica(&self, config: &SyncConfig, leases: Option<Arc<dyn Leases>>) -> Replica {
        let lifecycle = Lifecycle::with_keep_accepting(PATIENCE, Duration::ZERO);
        let deps = SyncDeps {
            log: Arc::clone(&self.log),
            bus: Arc::clone(&self.bus),
            ids: Arc::new(RandomIds),
            trust: RoleTrust::none(),
            github: Some(SyncGithub {
                client: self.client(),
                leases,
                clock: self.clock.clone(),
            }),
            records: Some(self.store.clone()),
        };
        let service = SyncService::build(config, deps, &mut MetricsRegistry::default()).unwrap();
        let running = service.spawn(&lifecycle);
        Replica {
            reads: running.mirror_reads(),
            running,
            lifecycle,
        }
    }

    /// Starts the only role, and waits for its first comparison.
    pub(crate) async fn mirrored(&self) -> Replica {
        let replica = self.start(&Self::config());
        replica.whole(1).await;
        replica
    }

    /// An edge that reads a replica through a cache.
    pub(crate) fn edge_of(&self, replica: &Replica) -> CachedEdge {
        let cache = MirrorCache::over(MirrorCacheParts {
            resources: replica.running.reader(),
            mirror: replica.running.mirror_reads(),
            log: Arc::clone(&self.log),
            max_bytes: DEFAULT_MAX_BYTES,
            metrics: MirrorCacheMetrics::default(),
        });
        let (followed, stop) = (Arc::clone(&cache), CancellationToken::new());
        let (log, bus) = (Arc::clone(&self.log), Arc::clone(&self.bus));
        let sink = move |item| followed.apply(&item);
        let following = follow(log, bus, None, FollowOptions::default(), stop.clone(), sink);
        tokio::spawn(following);
        CachedEdge {
            cache,
            log: Arc::clone(&self.log),
            _stop: stop.drop_guard(),
        }
    }

    /// What GitHub's API gives at a path.
    pub(crate) async fn at_github(&self, path: &str) -> Value {
        let settings = http_client::ConnectSettings {
            connect_timeout: PATIENCE,
            keepalive: None,
            idle_timeout: PATIENCE,
        };
        let uri: http::Uri = format!("{}{path}", self.github.url()).parse().unwrap();
        let client = http_client::http_client([&uri], settings).unwrap();
        let request = http::Request::get(uri)
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("user-agent", "test")
            .body(http_body_util::Full::new(bytes::Bytes::new()))
            .unwrap();
        let answer = client.request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    /// All events of the log.
    pub(crate) async fn events(&self) -> Vec<ResourceEvent> {
        let page = self.log.read_after(Sequence::START, 10_000).await.unwrap();
        let events = page.events.iter();
        events
            .map(|event| serde_json::from_slice(&event.item.json).unwrap())
            .collect()
    }

    /// Actions, numbers and sources of all events.
    pub(crate) async fn told(&self) -> Vec<(String, Option<u64>, String)> {
        let events = self.events().await.into_iter();
        events
            .map(|event| {
                (
                    event.action,
                    event.resource.number,
                    event.source.to_string(),
                )
            })
            .collect()
    }

    /// Brings the webhook of this repository's newest change of an issue, as an ingest would.
    pub(crate) async fn ingest(&self, event: &str, action: &str, issue: &Value) {
        self.ingest_of(event, action, ("issue", issue)).await;
    }

    /// Brings the webhook of this repository's newest change, of which the payload has this member.
    pub(crate) async fn ingest_of(
        &self,
        event: &str,
        action: &str,
        (member, object): (&str, &Value),
    ) {
        let (id, name) = self.github.change(|world| {
            let repo = world.repo(self.repo).unwrap();
            (repo.id, world.full_name(self.repo))
        });
        let (owner, repo) = name.split_once('/').unwrap();
        let payload = serde_json::json!({
            "action": action, member: object, "sender": { "login": "ada", "id": 5 },
            "repository": { "id": id, "name": repo, "full_name": name, "owner": { "login": owner, "id": self.organization.0 } },
        });
        let envelope = Envelope {
            event: event.to_owned(),
            delivery: DeliveryId::new(&format!("delivery-{event}-{action}")).unwrap(),
            hook_id: None,
            received_at: self.clock.now(),
        };
        let payload = PayloadText::read(payload.to_string().as_bytes())
            .unwrap()
            .value;
        let trace = TraceContext::start(&RandomIds);
        let events = github_events::normalise(&envelope, payload).unwrap();
        let stored: Vec<_> = events
            .iter()
            .map(|event| event.store(trace).unwrap())
            .collect();
        let appended = self.log.append(stored.clone()).await.unwrap();
        let events = stored.into_iter().zip(appended);
        let events = events.map(|(item, at)| model::Sequenced {
            sequence: at.sequence,
            item,
        });
        let hint = Arc::new(EventHint {
            epoch: self.log.head().await.unwrap().epoch,
            events: events.collect(),
        });
        let message = BusMessage::Events(hint);
        self.bus
            .publish(&Topic::Broadcast, message, Some(trace))
            .await
            .unwrap();
    }

    /// Requests, and points of the primary limit, until now.
    pub(crate) fn cost(&self) -> (u64, u64) {
        let counts = self.github.counts();
        (counts.requests.values().sum(), counts.points)
    }
}

/// An edge with a cache.
pub(crate) struct CachedEdge {
    cache: Arc<MirrorCache>,
    log: Arc<dyn EventLog>,
    _stop: DropGuard,
}

impl CachedEdge {
    /// Comments of an issue.
    pub(crate) async fn comments(&self, number: u64) -> u64 {
        self.issue(number).await["comments"].as_u64().unwrap()
    }

    /// An issue, as a client reads it that has seen the log up to its end.
    pub(crate) async fn issue(&self, number: u64) -> Value {
        let head = self.log.head().await.unwrap();
        let seen = LogPosition {
            epoch: head.epoch,
            sequence: head.last,
            tag: None,
        };
        let uri = format!("github://issues/octo/reactor/{number}");
        let uri = ResourceUri::parse(&uri).unwrap();
        let state = self.cache.get_resource(&uri, Some(seen), None).await;
        serde_json::from_slice(&state.unwrap().unwrap().json).unwrap()
    }

    /// Answers from memory.
    pub(crate) fn hits(&self) -> u64 {
        self.cache.view()["hits"].as_u64().unwrap()
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let wait = async {
            while !is_so(self).await {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("not in time: {what}; {:#}", self.cache.view()));
    }
}

impl Replica {
    /// The part of `/health` about the mirror.
    pub(crate) fn health(&self) -> Value {
        self.running.health().view()["mirror"].take()
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let wait = async {
            while !is_so(self).await {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("not in time: {what}; {:#}", self.health()));
    }

    /// Waits until so many places are whole.
    pub(crate) async fn whole(&self, places: u64) {
        self.until("the places are whole", async |it| {
            it.health()["wholePlaces"] == places
        })
        .await;
    }

    /// Compares the place at once, and waits until that has ended; the numbers of it.
    pub(crate) async fn compare(&self) -> Value {
        let last = |it: &Self| it.health()["places"][0]["lastComparisonHere"].clone();
        let number = |it: &Self| it.health()["places"][0]["comparisonsHere"].as_u64();
        let before = number(self);
        assert!(self.reads.compare_now(None, None).await.unwrap());
        self.until("the comparison has ended", async |it| number(it) > before)
            .await;
        last(self)
    }

    /// All resources of a kind, oldest first.
    pub(crate) async fn all(&self, kind: MirroredKind) -> Vec<MirroredState> {
        self.fitting(kind, MirrorFilter::default()).await
    }

    /// The resources of a kind that fit a filter, oldest first.
    pub(crate) async fn fitting(
        &self,
        kind: MirroredKind,
        filter: MirrorFilter,
    ) -> Vec<MirroredState> {
        let mut listing = MirrorListing {
            kind,
            owner: "octo".to_owned(),
            repo: (!OF_OWNER.contains(&kind)).then(|| "reactor".to_owned()),
            filter,
            order: MirrorOrder::Number,
            descending: false,
            limit: 100,
            after: None,
        };
        let mut all = Vec::new();
        loop {
            let page = self.reads.list(&listing, None, None).await.unwrap();
            all.extend(page.states);
            listing.after = page.next;
            if listing.after.is_none() {
                return all;
            }
        }
    }

    /// The objects of all resources of a kind, oldest first.
    pub(crate) async fn objects(&self, kind: MirroredKind) -> Vec<Value> {
        let all = self.all(kind).await.into_iter();
        all.map(|state| serde_json::from_slice(&state.json).unwrap())
            .collect()
    }

    /// GitHub's object of a resource of the repository.
    pub(crate) async fn object(&self, kind: MirroredKind, number: u64) -> Option<Value> {
        let address = MirrorAddress {
            kind,
            owner: "Octo".to_owned(),
            repo: Some("Reactor".to_owned()),
            number,
        };
        let mut found = self.reads.get_many(&[address], None, None).await.unwrap();
        let state = found.remove(0).filter(|state| !state.deleted)?;
        Some(serde_json::from_slice(&state.json).unwrap())
    }

    /// Ends the role as a drain does.
    pub(crate) async fn stop(self) {
        self.lifecycle.shut_down();
        self.lifecycle.run(std::future::pending()).await;
    }
}
