//! The life of a busy organization, for demos: first every kind of event once, then whatever comes.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::world::{
    AccountKey, FakeFieldKind, FakeFieldValue, FakeReviewState, FakeWorld, ItemKey, ProjectKey,
    RepoKey, TicketKey,
};

const PEOPLE: [&str; 4] = ["mira-k", "tobiasw", "jun-ito", "ada-okafor"];
const REPOSITORIES: [&str; 3] = ["reactor", "console", "handbook"];
const LABELS: [&str; 4] = ["bug", "enhancement", "docs", "p1"];
const AREAS: [&str; 6] = [
    "Login",
    "Search",
    "Export",
    "Upload queue",
    "Billing page",
    "Importer",
];
const PROBLEMS: [&str; 6] = [
    "times out after a minute",
    "loses the last row",
    "ignores the locale",
    "leaks file handles",
    "should keep its filter",
    "is slow with 10,000 items",
];
/// Issues and pull requests that are open at once; then some are closed.
const MAX_OPEN: usize = 40;

/// A step of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Open,
    Label,
    Assign,
    Comment,
    Retitle,
    Milestone,
    OpenPull,
    Push,
    Review,
    Check,
    Merge,
    Plan,
    Draft,
    Progress,
    Close,
    Reopen,
    Release,
    Describe,
    RequestReview,
}

/// The first steps: a little of everything.
const BEGINNING: [Step; 24] = [
    Step::Open,
    Step::Label,
    Step::Assign,
    Step::Milestone,
    Step::Describe,
    Step::Plan,
    Step::Progress,
    Step::Comment,
    Step::OpenPull,
    Step::Push,
    Step::Check,
    Step::Comment,
    Step::RequestReview,
    Step::Review,
    Step::Merge,
    Step::Progress,
    Step::Close,
    Step::Reopen,
    Step::Draft,
    Step::Open,
    Step::Retitle,
    Step::Assign,
    Step::Close,
    Step::Release,
];
const LATER: [Step; 12] = [
    Step::Open,
    Step::Label,
    Step::Assign,
    Step::Comment,
    Step::Retitle,
    Step::OpenPull,
    Step::Push,
    Step::Review,
    Step::Merge,
    Step::Plan,
    Step::Progress,
    Step::Close,
];

/// A story in a world.
#[derive(Debug)]
pub struct FakeStory {
    /// The organization that it is about.
    pub organization: AccountKey,
    people: Vec<AccountKey>,
    repos: Vec<RepoKey>,
    project: ProjectKey,
    open: Vec<TicketKey>,
    pulls: Vec<TicketKey>,
    closed: Vec<TicketKey>,
    items: Vec<ItemKey>,
    told: usize,
    rng: StdRng,
}

impl FakeStory {
    /// Steps after which a little of everything has happened.
    pub const BEGINNING_STEPS: usize = BEGINNING.len();
    /// Login of the organization.
    pub const ORGANIZATION: &str = "nordlicht-labs";

    /// Founds the organization `nordlicht-labs` with people, repositories and a project. Webhooks that are configured
    /// after this hear of none of it.
    pub fn begin(world: &mut FakeWorld, seed: u64) -> Self {
        let organization = world.add_organization(Self::ORGANIZATION);
        let people = PEOPLE.map(|login| world.add_user(login)).to_vec();
        let repos = REPOSITORIES
            .map(|name| world.create_repo(organization, name))
            .to_vec();
        let project = world.create_project(organization, "Roadmap");
        Self {
            organization,
            people,
            repos,
            project,
            open: Vec::new(),
            pulls: Vec::new(),
            closed: Vec::new(),
            items: Vec::new(),
            told: 0,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Lets the next thing happen.
    pub fn go_on(&mut self, world: &mut FakeWorld) {
        let scripted = BEGINNING.get(self.told).copied();
        self.told += 1;
        let step = match scripted {
            Some(step) => step,
            None if self.open.len() + self.pulls.len() > MAX_OPEN => Step::Close,
            None => LATER[self.rng.random_range(0..LATER.len())],
        };
        let person = self.person();
        world.act_as(person);
        self.take(world, step);
    }

    fn person(&mut self) -> AccountKey {
        *self.people.choose(&mut self.rng).unwrap_or(&self.people[0])
    }

    fn title(&mut self) -> String {
        let area = AREAS.choose(&mut self.rng).unwrap_or(&AREAS[0]);
        let problem = PROBLEMS.choose(&mut self.rng).unwrap_or(&PROBLEMS[0]);
        format!("{area} {problem}")
    }

    /// The newest open issue in the beginning, later any; opened if there is none.
    fn issue(&mut self, world: &mut FakeWorld) -> TicketKey {
        let any = match self.told <= BEGINNING.len() {
            true => self.open.last().copied(),
            false => self.open.choose(&mut self.rng).copied(),
        };
        any.unwrap_or_else(|| self.open_issue(world))
    }

    fn open_issue(&mut self, world: &mut FakeWorld) -> TicketKey {
        let (repo, title) = (
            self.repos[self.rng.random_range(0..self.repos.len())],
            self.title(),
        );
        let key = world.open_issue(repo, &title);
        self.open.push(key);
        key
    }

    fn pull(&mut self, world: &mut FakeWorld) -> TicketKey {
        let any = self.pulls.choose(&mut self.rng).copied();
        any.unwrap_or_else(|| self.open_pull(world))
    }

    fn open_pull(&mut self, world: &mut FakeWorld) -> TicketKey {
        let (repo, title) = (
            self.repos[self.rng.random_range(0..self.repos.len())],
            self.title(),
        );
        let branch = format!("topic/{}", self.told);
        let key = world.open_pull(repo, &title, [&branch, "main"]);
        self.pulls.push(key);
        key
    }

    fn take(&mut self, world: &mut FakeWorld, step: Step) {
        match step {
            Step::Open => {
                self.open_issue(world);
            }
            Step::OpenPull => {
                self.open_pull(world);
            }
            Step::Label => {
                let label = LABELS[self.rng.random_range(0..LABELS.len())];
                let issue = self.issue(world);
                world.label(issue, label);
            }
            Step::Assign => {
                let person = self.person();
                let issue = self.issue(world);
                world.assign(issue, person);
            }
            Step::Comment => {
                let issue = self.issue(world);
                world.comment(issue, "It happens here, too.");
            }
            Step::Retitle => {
                let title = self.title();
                let issue = self.issue(world);
                world.retitle(issue, &title);
            }
            Step::Milestone => {
                let issue = self.issue(world);
                let milestone = world.create_milestone(issue.repo, &format!("v0.{}", self.told));
                world.set_milestone(issue, Some(milestone));
            }
            Step::Push => {
                let pull = self.pull(world);
                world.push(pull);
            }
            Step::Review => {
                let pull = self.pull(world);
                world.review(pull, FakeReviewState::Approved, "Good.");
            }
            Step::Check => {
                let pull = self.pull(world);
                let sha = world.push(pull);
                let check = world.start_check(pull.repo, &sha, "build");
                world.complete_check(check, "success");
            }
            Step::RequestReview => {
                let (pull, person) = (self.pull(world), self.person());
                world.request_review(pull, person);
            }
            Step::Merge => {
                let pull = self.pull(world);
                world.merge(pull);
                self.pulls.retain(|it| *it != pull);
            }
            Step::Plan => {
                let issue = self.issue(world);
                self.items.push(world.add_item(self.project, issue));
            }
            Step::Draft => {
                let title = self.title();
                world.add_draft(self.project, &title);
            }
            Step::Progress => self.progress(world),
            Step::Close => {
                let issue = self.issue(world);
                world.close(issue, "completed");
                self.open.retain(|it| *it != issue);
                self.closed.push(issue);
            }
            Step::Reopen => {
                if let Some(issue) = self.closed.pop() {
                    world.reopen(issue);
                    self.open.push(issue);
                }
            }
            Step::Describe => {
                let title = self.title();
                world.describe_project(self.project, &title);
            }
            Step::Release => {
                let repo = self.repos[0];
                world.publish_release(repo, &format!("v0.{}.0", self.told));
            }
        }
    }

    /// Moves an item of the project to another status.
    fn progress(&mut self, world: &mut FakeWorld) {
        let Some(item) = self.items.choose(&mut self.rng).copied() else {
            return;
        };
        let options = world.field_options(self.project, "Status");
        if let Some(option) = options.choose(&mut self.rng) {
            world.set_value(
                item,
                "Status",
                Some(FakeFieldValue::Option(option.id.clone())),
            );
        }
    }
}

impl FakeWorld {
    /// The options of a field; none if it is no such field.
    #[must_use]
    pub fn field_options(&self, project: ProjectKey, field: &str) -> Vec<crate::world::FakeOption> {
        let fields = self.projects.get(&project).map(|it| it.fields.as_slice());
        let mut fields = fields.unwrap_or_default().iter();
        match fields.find(|it| it.name == field).map(|it| &it.kind) {
            Some(FakeFieldKind::Select(options)) => options.clone(),
            _ => Vec::new(),
        }
    }
}
