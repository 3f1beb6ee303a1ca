//! The state of the fake GitHub: a machine without I/O. Operations change it, write what happened into the ledger,
//! and put a delivery for every webhook that listens into the outbox.

mod accounts;
mod boards;
mod checks;
mod emit;
mod issues;
mod marks;
mod projects;
mod pulls;
mod relations;
mod repos;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Clock, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};

pub use accounts::{FakeAccount, FakeAccountKind, FakeInstallation};
pub use boards::{
    FakeField, FakeFieldKind, FakeFieldValue, FakeItem, FakeItemContent, FakeIteration, FakeOption,
    FakeProject, FakeView,
};
pub use checks::{FakeCheckRun, FakeCommitStatus, FakeWorkflowRun};
pub use issues::{FakeComment, FakeIssueType, FakeTicket};
pub use marks::{FakeLabel, FakeMilestone, FakeRelease};
pub use pulls::{FakePull, FakeReview, FakeReviewState, Mergeability};
pub use repos::FakeRepo;

pub use crate::keys::{AccountKey, ItemKey, ProjectKey, RepoKey, TicketKey};
use crate::{
    hooks::FakeHooks,
    keys::{NodeKey, node_id},
    ledger::{FakeLedger, LedgerEntry},
};

/// Everything that exists on the fake GitHub.
#[derive(Debug)]
pub struct FakeWorld {
    clock: Arc<dyn Clock>,
    rng: StdRng,
    next_id: u64,
    /// Who performs the operations.
    actor: AccountKey,
    /// Base of the URLs in answers: `https://api.github.com`.
    pub(crate) api: String,
    /// Base of the URLs of pages: `https://github.com`.
    pub(crate) web: String,
    pub(crate) accounts: BTreeMap<AccountKey, FakeAccount>,
    pub(crate) installations: BTreeMap<u64, FakeInstallation>,
    pub(crate) repos: BTreeMap<RepoKey, FakeRepo>,
    /// Names in lower case, former ones too.
    pub(crate) repo_names: BTreeMap<String, RepoKey>,
    pub(crate) tickets: BTreeMap<TicketKey, FakeTicket>,
    /// Those that were ever blocked by others.
    pub(crate) blocked: BTreeSet<TicketKey>,
    /// Releases have no `updated_at`.
    pub(crate) hides_times_of_releases: bool,
    /// Issues that were deleted, and those that were transferred with where they are now.
    pub(crate) departed: BTreeMap<TicketKey, Option<TicketKey>>,
    pub(crate) comments: BTreeMap<u64, FakeComment>,
    pub(crate) labels: BTreeMap<u64, FakeLabel>,
    pub(crate) milestones: BTreeMap<u64, FakeMilestone>,
    pub(crate) releases: BTreeMap<u64, FakeRelease>,
    pub(crate) reviews: BTreeMap<u64, FakeReview>,
    pub(crate) check_runs: BTreeMap<u64, FakeCheckRun>,
    pub(crate) statuses: BTreeMap<u64, FakeCommitStatus>,
    pub(crate) runs: BTreeMap<u64, FakeWorkflowRun>,
    pub(crate) projects: BTreeMap<ProjectKey, FakeProject>,
    pub(crate) items: BTreeMap<ItemKey, FakeItem>,
    /// Node ids and what they name.
    pub(crate) nodes: BTreeMap<String, NodeKey>,
    /// The webhooks and what was sent to them.
    pub hooks: FakeHooks,
    ledger: FakeLedger,
}

impl FakeWorld {
    /// An empty GitHub with one user, `octocat`, who performs the operations until [`Self::act_as`]. Ids depend on the
    /// seed alone, times on the clock.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let next_id = rng.random_range(1_000_000_000..2_000_000_000);
        let mut world = Self {
            clock,
            rng,
            next_id,
            actor: AccountKey(0),
            api: "https://api.github.com".to_owned(),
            web: "https://github.com".to_owned(),
            accounts: BTreeMap::new(),
            installations: BTreeMap::new(),
            repos: BTreeMap::new(),
            repo_names: BTreeMap::new(),
            tickets: BTreeMap::new(),
            blocked: BTreeSet::new(),
            hides_times_of_releases: false,
            departed: BTreeMap::new(),
            comments: BTreeMap::new(),
            labels: BTreeMap::new(),
            milestones: BTreeMap::new(),
            releases: BTreeMap::new(),
            reviews: BTreeMap::new(),
            check_runs: BTreeMap::new(),
            statuses: BTreeMap::new(),
            runs: BTreeMap::new(),
            projects: BTreeMap::new(),
            items: BTreeMap::new(),
            nodes: BTreeMap::new(),
            hooks: FakeHooks::default(),
            ledger: FakeLedger::default(),
        };
        world.actor = world.add_user("octocat");
        world
    }

    /// Performs all further operations as another account.
    pub fn act_as(&mut self, account: AccountKey) {
        self.actor = account;
    }

    /// Who performs the operations.
    #[must_use]
    pub fn actor(&self) -> AccountKey {
        self.actor
    }

    /// The time in whole seconds: GitHub keeps no finer one.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let millis = self.clock.now().unix_millis();
        Timestamp::from_unix_millis(millis - millis.rem_euclid(1000))
    }

    /// What happened, oldest first.
    #[must_use]
    pub fn ledger(&self) -> &[LedgerEntry] {
        self.ledger.entries()
    }

    pub(crate) fn write(&mut self, entry: LedgerEntry) {
        self.ledger.push(entry);
    }

    pub(crate) fn exact_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += self.rng.random_range(1..40);
        self.next_id
    }

    pub(crate) fn fresh_guid(&mut self) -> String {
        let uuid = uuid::Builder::from_random_bytes(self.rng.random()).into_uuid();
        uuid.to_string()
    }

    /// A commit id: 40 hexadecimal digits.
    pub(crate) fn fresh_sha(&mut self) -> String {
        (0..5)
            .map(|_| format!("{:08x}", self.rng.random::<u32>()))
            .collect()
    }

    /// Registers what `node_id` names.
    pub(crate) fn named(&mut self, prefix: &str, id: u64, key: NodeKey) -> String {
        let node_id = node_id(prefix, id);
        self.nodes.insert(node_id.clone(), key);
        node_id
    }

    /// Repositories that an account owns, in the order of their ids.
    pub(crate) fn repos_of(&self, owner: AccountKey) -> impl Iterator<Item = (RepoKey, &FakeRepo)> {
        let repos = self.repos.iter().map(|(key, repo)| (*key, repo));
        repos.filter(move |(_, repo)| repo.owner == owner)
    }

    /// The issues and pull requests of a repository by number.
    pub fn tickets_of(
        &self,
        repo: RepoKey,
    ) -> impl DoubleEndedIterator<Item = (TicketKey, &FakeTicket)> {
        let first = TicketKey { repo, number: 0 };
        let last = TicketKey {
            repo,
            number: u64::MAX,
        };
        let tickets = self.tickets.range(first..=last);
        tickets.map(|(key, ticket)| (*key, ticket))
    }
}
