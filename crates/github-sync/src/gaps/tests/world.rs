//! A GitHub whose webhook reaches nobody, an empty log, and a sweep between them.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use event_flow::record::Recorder;
use fake_github::{
    auth::APP_PRIVATE_KEY,
    hooks::{FakeHookKey, FakeHookOwner},
    server::GithubServer,
    world::{AccountKey, RepoKey, TicketKey},
};
use github::{GithubClient, GithubConfig, GithubDeps, GithubIdentity, GithubMetrics, GithubPace};
use github_events::{Envelope, PayloadText};
use http_client::HttpProxies;
use model::{
    Clock, DeliveryId, ManualClock, RandomIds, ResourceEvent, Sequence, SystemClock, TraceContext,
};
use ports::EventLog;
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryBudget, MemoryLogStore};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    gaps::{
        metrics::GapMetrics,
        status::{GapStatus, SweepTurn},
        sweep::{GapSweeper, SweepParts},
    },
    limits::REPAIR_APPEND_TIMEOUT,
    metrics::SyncMetrics,
    mirror::Mirror,
    webhook_place::{SweptPlace, WebhookTarget},
};

pub(super) const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1/webhooks/github";

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

pub(super) struct GapWorld {
    pub(super) github: GithubServer,
    pub(super) clock: Arc<ManualClock>,
    pub(super) organization: AccountKey,
    pub(super) repo: RepoKey,
    pub(super) issue: TicketKey,
    pub(super) user: AccountKey,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) status: Arc<GapStatus>,
    recorder: Arc<Recorder>,
    parts: Option<SweepParts>,
}

impl GapWorld {
    /// An organization `octo` with the repository `reactor` and an issue, and a log for so many events.
    pub(super) async fn new(capacity: usize) -> Self {
        // The server dates its answers by the machine's clock, from which the client counts.
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let github = GithubServer::start(7, clock.clone()).await.unwrap();
        let (organization, repo, issue, user) = github.change(|world| {
            let organization = world.add_organization("octo");
            let repo = world.create_repo(organization, "reactor");
            let issue = world.open_issue(repo, "It is slow");
            (organization, repo, issue, world.actor())
        });
        github.admit(TOKEN, user);
        let capacity = NonZeroUsize::new(capacity).unwrap();
        let log: Arc<dyn EventLog> =
            Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, capacity)));
        let metrics = GapMetrics::default();
        let recorder = Arc::new(Recorder::new(
            Arc::clone(&log),
            Arc::new(InProcessBus::new(NonZeroUsize::new(100).unwrap())),
            Arc::new(metrics.clone()),
            REPAIR_APPEND_TIMEOUT,
        ));
        let status = Arc::<GapStatus>::default();
        status.turn(SweepTurn::Here { fence: None });
        let mut world = Self {
            github,
            clock,
            organization,
            repo,
            issue,
            user,
            log,
            status,
            recorder,
            parts: None,
        };
        let client = world.client(GithubIdentity::Token(TOKEN.to_owned()));
        world.parts = Some(SweepParts {
            client,
            places: vec![SweptPlace::Repository {
                owner: "octo".to_owned(),
                repo: "reactor".to_owned(),
            }],
            target: WebhookTarget::default(),
            log: Arc::clone(&world.log),
            recorder: Arc::clone(&world.recorder),
            mirror: Arc::new(Mirror::new(100, SyncMetrics::default())),
            clock: world.clock.clone(),
            ids: Arc::new(RandomIds),
            metrics,
            status: Arc::clone(&world.status),
        });
        world
    }

    /// The same with a webhook of the repository that reaches nobody.
    pub(super) async fn with_lost_webhook() -> (Self, FakeHookKey) {
        let world = Self::new(10_000).await;
        let hook = world.hook(FakeHookOwner::Repo(world.repo), NOWHERE);
        world.github.delivered().await;
        (world, hook)
    }

    fn client(&self, identity: GithubIdentity) -> GithubClient {
        self.client_of(self.github.url(), identity)
    }

    /// A client of a server at this URL.
    pub(super) fn client_of(&self, url: &str, identity: GithubIdentity) -> GithubClient {
        let graphql = self.github.graphql_url();
        let mut config = GithubConfig::new(url, &graphql, identity).unwrap();
        config.pace = FAST;
        config.proxies = HttpProxies::none();
        let deps = GithubDeps {
            budget: Arc::new(MemoryBudget::new(self.clock.clone())),
            clock: self.clock.clone(),
            metrics: GithubMetrics::default(),
        };
        GithubClient::new(&config, deps).unwrap()
    }

    /// A webhook for issues and comments.
    pub(super) fn hook(&self, owner: FakeHookOwner, url: &str) -> FakeHookKey {
        let events = ["issues", "issue_comment"];
        self.github
            .change(|world| world.add_hook(owner, url, "a secret", &events))
    }

    pub(super) fn lost_hook(&self, owner: FakeHookOwner) -> FakeHookKey {
        self.hook(owner, NOWHERE)
    }

    pub(super) fn parts(&self) -> SweepParts {
        self.parts.clone().unwrap()
    }

    pub(super) fn sweeper(&self) -> GapSweeper {
        GapSweeper::new(self.parts())
    }

    pub(super) fn sweeper_of(&self, places: Vec<SweptPlace>) -> GapSweeper {
        let parts = self.parts();
        GapSweeper::new(SweepParts { places, ..parts })
    }

    /// A sweep of an App's webhook, with its key.
    pub(super) fn sweeper_of_app(&self) -> GapSweeper {
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("app.pem");
        std::fs::write(&key_file, APP_PRIVATE_KEY).unwrap();
        let id = self.github.app_id();
        let client = self.client(GithubIdentity::App { id, key_file });
        let parts = self.parts();
        GapSweeper::new(SweepParts {
            client,
            places: vec![SweptPlace::App],
            ..parts
        })
    }

    /// Changes the issue so many times, a second apart; the GUIDs of what that causes, once it was attempted.
    pub(super) async fn happen(&self, count: usize) -> Vec<String> {
        let mut guids = Vec::new();
        for n in 0..count {
            self.clock.advance(Duration::from_secs(1));
            guids.extend(self.github.change(|world| {
                let before = world.ledger().len();
                world.retitle(self.issue, &format!("It is slow ({n})"));
                let new = world.ledger()[before..].iter();
                new.map(|entry| entry.guid.clone()).collect::<Vec<_>>()
            }));
            self.github.delivered().await;
        }
        guids
    }

    /// Stores the newest attempt to deliver this as an ingest does.
    pub(super) async fn ingest(&self, hook: FakeHookKey, guid: &str) {
        let now = self.clock.now();
        let (event, payload) = self.github.change(|world| {
            let mut all = world.hooks.attempts_of(hook, now);
            let found = all.find(|it| it.guid == guid).unwrap();
            (found.event, Arc::clone(&found.payload))
        });
        let envelope = Envelope {
            event: event.to_owned(),
            delivery: DeliveryId::new(guid).unwrap(),
            hook_id: Some(hook.0.to_string()),
            received_at: now,
        };
        let payload = PayloadText::read(payload.as_bytes()).unwrap();
        let events = github_events::normalise(&envelope, payload.value).unwrap();
        let trace = TraceContext::start(&RandomIds);
        let stored = events.iter().map(|event| event.store(trace).unwrap());
        self.recorder.append(stored.collect()).await.unwrap();
    }

    /// All events of the log, in its order.
    pub(super) async fn events(&self) -> Vec<ResourceEvent> {
        let page = self.log.read_after(Sequence::START, 10_000).await.unwrap();
        let events = page.events.iter();
        events
            .map(|event| serde_json::from_slice(&event.item.json).unwrap())
            .collect()
    }

    /// Their GUIDs.
    pub(super) async fn stored(&self) -> Vec<String> {
        let events = self.events().await;
        let guids = events.into_iter().map(|event| event.metadata.delivery);
        guids.map(Option::unwrap).collect()
    }

    /// The log has each of these once, in any order, and nothing else.
    pub(super) async fn has_stored_each_once(&self, mut guids: Vec<String>) {
        let mut stored = self.stored().await;
        stored.sort_unstable();
        guids.sort_unstable();
        assert_eq!(stored, guids);
    }

    /// The path of the attempt to deliver this.
    pub(super) fn path_of(&self, hook: FakeHookKey, guid: &str) -> String {
        let now = self.clock.now();
        let id = self.github.change(|world| {
            let mut all = world.hooks.attempts_of(hook, now);
            all.find(|it| it.guid == guid).unwrap().id
        });
        format!("/deliveries/{id}")
    }

    /// How often details of deliveries were asked for.
    pub(super) fn fetches(&self) -> u64 {
        let reads = self.github.counts().delivery_reads;
        reads.values().sum()
    }
}

/// The URL of a receiver that takes everything and stores nothing.
pub(super) async fn forgetful_receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/github", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 << 10];
                let _ = socket.read(&mut bytes).await;
                let answer =
                    b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = socket.write_all(answer).await;
            });
        }
    });
    url
}
