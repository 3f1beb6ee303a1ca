//! The resources that exist on the fake GitHub at a point in the story.

use model::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// Maximum number of resources of one kind in the world; a new one displaces the oldest.
const MAX_KEPT: usize = 256;

const PEOPLE: [&str; 6] = [
    "mira-k",
    "tobiasw",
    "jun-ito",
    "ada-okafor",
    "lpetrov",
    "sana99",
];
const REPOSITORIES: [&str; 3] = ["reactor", "console", "handbook"];
const AREAS: [&str; 8] = [
    "Login",
    "Search",
    "Export",
    "Upload queue",
    "Billing page",
    "Webhook retry",
    "Dark theme",
    "Importer",
];
const PROBLEMS: [&str; 8] = [
    "times out after a minute",
    "loses the last row",
    "shows a blank page on Safari",
    "ignores the locale",
    "needs a progress bar",
    "leaks file handles",
    "should keep its filter",
    "is slow with 10,000 items",
];

/// A user or an organization.
#[derive(Debug, Clone)]
pub(super) struct GithubAccount {
    pub(super) login: String,
    pub(super) id: u64,
    pub(super) node_id: String,
}

/// A repository.
#[derive(Debug, Clone)]
pub(super) struct Repo {
    pub(super) name: &'static str,
    pub(super) id: u64,
    pub(super) node_id: String,
    next_number: u64,
    next_milestone: u64,
}

/// A label; the same set in every repository.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) color: &'static str,
    pub(super) id: u64,
    pub(super) node_id: String,
}

/// The members that a pull request has in addition to those of an issue.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) head_sha: String,
    pub(super) base_sha: String,
    pub(super) name: String,
    pub(super) merged_at: Option<Timestamp>,
    pub(super) reviewer: Option<usize>,
    pub(super) commits: u64,
}

/// An issue, or a pull request if it has a branch: both share one sequence of numbers, as on
/// GitHub.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) repo: usize,
    pub(super) number: u64,
    pub(super) id: u64,
    pub(super) node_id: String,
    pub(super) title: String,
    pub(super) author: usize,
    pub(super) assignee: Option<usize>,
    pub(super) labels: Vec<usize>,
    pub(super) milestone: Option<Milestone>,
    pub(super) created_at: Timestamp,
    pub(super) closed_at: Option<Timestamp>,
    pub(super) branch: Option<Branch>,
}

impl Ticket {
    pub(super) fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    pub(super) fn is_merged(&self) -> bool {
        self.branch.as_ref().is_some_and(|b| b.merged_at.is_some())
    }
}

/// A milestone.
#[derive(Debug, Clone)]
pub(super) struct Milestone {
    pub(super) repo: usize,
    pub(super) number: u64,
    pub(super) id: u64,
    pub(super) node_id: String,
    pub(super) title: String,
    pub(super) creator: usize,
    pub(super) due_on: Timestamp,
    pub(super) created_at: Timestamp,
    pub(super) closed_at: Option<Timestamp>,
}

/// A project (Projects v2) of the organization.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) number: u64,
    pub(super) id: u64,
    pub(super) node_id: String,
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) creator: usize,
    pub(super) created_at: Timestamp,
    pub(super) closed_at: Option<Timestamp>,
    pub(super) deleted_at: Option<Timestamp>,
}

/// An item of a project.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) node_id: String,
    pub(super) project: String,
    pub(super) project_number: u64,
    pub(super) content: String,
    pub(super) is_draft: bool,
    pub(super) creator: usize,
    pub(super) created_at: Timestamp,
    pub(super) archived_at: Option<Timestamp>,
    pub(super) status: usize,
}

/// Selects the resource that a step acts on among several candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    /// The newest: a scripted story stays with one resource.
    Newest,
    /// A random one: a busy organization.
    Any,
}

/// All resources of the fake GitHub.
#[derive(Debug)]
pub(super) struct GithubWorld {
    pub(super) rng: StdRng,
    next_id: u64,
    pub(super) organization: GithubAccount,
    pub(super) installation: u64,
    pub(super) people: Vec<GithubAccount>,
    pub(super) repos: Vec<Repo>,
    pub(super) labels: Vec<Label>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) milestones: Vec<Milestone>,
    pub(super) projects: Vec<Project>,
    pub(super) items: Vec<Item>,
    next_project: u64,
}

/// GitHub's new node ids are a prefix and base64 of (container, database id): unique by
/// construction.
fn node_id(prefix: &str, container: u64, id: u64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit =
        |value: u64, at: u32| char::from(DIGITS[usize::from((value >> (6 * at)) as u8 & 63)]);
    let container = (0..6).rev().map(|at| digit(container, at));
    let id = (0..6).rev().map(|at| digit(id, at));
    format!(
        "{prefix}_kwDO{}{}",
        container.collect::<String>(),
        id.collect::<String>()
    )
}

impl GithubWorld {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        // The first id depends on the seed, so that two fakes with different seeds do not share
        // ids.
        let next_id = rng.random_range(1_000_000_000..3_000_000_000);
        let mut world = Self {
            installation: rng.random_range(30_000_000..60_000_000),
            rng,
            next_id,
            organization: GithubAccount {
                login: "nordlicht-labs".into(),
                id: 0,
                node_id: String::new(),
            },
            people: Vec::new(),
            repos: Vec::new(),
            labels: Vec::new(),
            tickets: Vec::new(),
            milestones: Vec::new(),
            projects: Vec::new(),
            items: Vec::new(),
            next_project: 1,
        };
        world.organization.id = world.id();
        world.organization.node_id = node_id("O", 0, world.organization.id);
        for login in PEOPLE {
            let id = world.id();
            let node_id = node_id("U", 0, id);
            world.people.push(GithubAccount {
                login: login.into(),
                id,
                node_id,
            });
        }
        for name in REPOSITORIES {
            let id = world.id();
            let node_id = node_id("R", 0, id);
            world.repos.push(Repo {
                name,
                id,
                node_id,
                next_number: 1,
                next_milestone: 1,
            });
        }
        let labels = [
            ("bug", "d73a4a"),
            ("enhancement", "a2eeef"),
            ("docs", "0075ca"),
            ("p1", "b60205"),
        ];
        for (name, color) in labels {
            let id = world.id();
            let node_id = node_id("LA", world.repos[0].id, id);
            world.labels.push(Label {
                name,
                color,
                id,
                node_id,
            });
        }
        world
    }

    fn id(&mut self) -> u64 {
        self.next_id += self.rng.random_range(1..40);
        self.next_id
    }

    pub(super) fn person(&mut self) -> usize {
        self.rng.random_range(0..self.people.len())
    }

    pub(super) fn label(&mut self) -> usize {
        self.rng.random_range(0..self.labels.len())
    }

    pub(super) fn sha(&mut self) -> String {
        (0..5)
            .map(|_| format!("{:08x}", self.rng.random::<u32>()))
            .collect()
    }

    pub(super) fn title(&mut self) -> String {
        let area = AREAS.choose(&mut self.rng).unwrap_or(&AREAS[0]);
        let problem = PROBLEMS.choose(&mut self.rng).unwrap_or(&PROBLEMS[0]);
        format!("{area} {problem}")
    }

    /// The index of a candidate that `fits`, if any.
    pub(super) fn pick<T>(
        rng: &mut StdRng,
        all: &[T],
        focus: Focus,
        fits: impl Fn(&T) -> bool,
    ) -> Option<usize> {
        let fitting: Vec<usize> = (0..all.len()).filter(|at| fits(&all[*at])).collect();
        match focus {
            Focus::Newest => fitting.last().copied(),
            Focus::Any => fitting.choose(rng).copied(),
        }
    }

    pub(super) fn add_ticket(&mut self, now: Timestamp, is_pull: bool) -> usize {
        let repo = self.rng.random_range(0..self.repos.len());
        let (id, author, title) = (self.id(), self.person(), self.title());
        let number = self.repos[repo].next_number;
        self.repos[repo].next_number += 1;
        let branch = is_pull.then(|| Branch {
            head_sha: self.sha(),
            base_sha: self.sha(),
            name: format!("topic/{number}"),
            merged_at: None,
            reviewer: None,
            commits: 1,
        });
        let ticket = Ticket {
            repo,
            number,
            id,
            node_id: node_id(if is_pull { "PR" } else { "I" }, self.repos[repo].id, id),
            title,
            author,
            assignee: None,
            labels: Vec::new(),
            milestone: None,
            created_at: now,
            closed_at: None,
            branch,
        };
        push_bounded(&mut self.tickets, ticket)
    }

    pub(super) fn add_milestone(&mut self, now: Timestamp, repo: usize) -> usize {
        let (id, creator) = (self.id(), self.person());
        let number = self.repos[repo].next_milestone;
        self.repos[repo].next_milestone += 1;
        let weeks = self.rng.random_range(1..9);
        let milestone = Milestone {
            repo,
            number,
            id,
            node_id: node_id("MI", self.repos[repo].id, id),
            title: format!("v0.{number}"),
            creator,
            due_on: now.plus(std::time::Duration::from_secs(weeks * 7 * 86_400)),
            created_at: now,
            closed_at: None,
        };
        push_bounded(&mut self.milestones, milestone)
    }

    pub(super) fn add_project(&mut self, now: Timestamp) -> usize {
        let (id, creator, number) = (self.id(), self.person(), self.next_project);
        self.next_project += 1;
        let area = AREAS.choose(&mut self.rng).unwrap_or(&AREAS[0]);
        let project = Project {
            number,
            id,
            node_id: node_id("PVT", self.organization.id, id),
            title: format!("{area} roadmap"),
            summary: "What we do next, and why".into(),
            creator,
            created_at: now,
            closed_at: None,
            deleted_at: None,
        };
        push_bounded(&mut self.projects, project)
    }

    pub(super) fn add_item(
        &mut self,
        now: Timestamp,
        project: usize,
        issue: Option<usize>,
    ) -> usize {
        let (id, creator) = (self.id(), self.person());
        let content = match issue {
            Some(at) => self.tickets[at].node_id.clone(),
            None => node_id("DI", self.organization.id, self.id()),
        };
        let item = Item {
            id,
            node_id: node_id("PVTI", self.organization.id, id),
            project: self.projects[project].node_id.clone(),
            project_number: self.projects[project].number,
            content,
            is_draft: issue.is_none(),
            creator,
            created_at: now,
            archived_at: None,
            status: 0,
        };
        push_bounded(&mut self.items, item)
    }
}

fn push_bounded<T>(all: &mut Vec<T>, new: T) -> usize {
    if all.len() == MAX_KEPT {
        all.remove(0);
    }
    all.push(new);
    all.len() - 1
}
