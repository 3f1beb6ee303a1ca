//! How each step changes the world, and the payload that describes the change.

use model::{ResourceType, Timestamp};
use serde_json::Value;

use super::{
    FakeGithub,
    delivery::ExpectedEvent,
    payload::{changed_from, due_change},
    step::{Family, StoryStep},
    world::{Focus, GithubWorld, Ticket},
};

/// The members of a payload that are specific to its action, by name.
type Members = Vec<(&'static str, Value)>;

impl FakeGithub {
    pub(super) fn apply(
        &mut self,
        step: StoryStep,
        focus: Focus,
        now: Timestamp,
    ) -> (Value, ExpectedEvent) {
        let sender = self.world.person();
        let (members, expected) = match step.family() {
            Family::Issue | Family::Pull => self.ticket_step(step, focus, now),
            Family::Milestone => self.milestone_step(step, focus, now),
            Family::Project => self.project_step(step, focus, now),
            Family::Item => self.item_step(step, focus, now),
        };
        let mut payload = self.renderer(now).envelope(step.action(), sender);
        for (name, value) in members {
            payload[name] = value;
        }
        (payload, expected)
    }

    fn expected(&self, step: StoryStep, kind: ResourceType, id: &str) -> ExpectedEvent {
        ExpectedEvent {
            event_type: step.event_type(&kind),
            resource_type: kind,
            resource_id: id.to_owned(),
            action: step.action(),
            owner: self.world.organization.login.clone(),
            repo: None,
            number: None,
        }
    }

    /// A ticket that the step applies to; created without a delivery if there is none.
    fn ticket_for(&mut self, step: StoryStep, focus: Focus, now: Timestamp) -> usize {
        let is_pull = step.family() == Family::Pull;
        if matches!(step, StoryStep::IssueOpened | StoryStep::PullOpened) {
            return self.world.add_ticket(now, is_pull);
        }
        let fits = |ticket: &Ticket| {
            ticket.branch.is_some() == is_pull
                && match step {
                    StoryStep::IssueReopened | StoryStep::PullReopened => {
                        !ticket.is_open() && !ticket.is_merged()
                    }
                    StoryStep::IssueDeleted => true,
                    _ => ticket.is_open(),
                }
        };
        let world = &mut self.world;
        GithubWorld::pick(&mut world.rng, &world.tickets, focus, fits)
            .unwrap_or_else(|| world.add_ticket(now, is_pull))
    }

    fn ticket_step(
        &mut self,
        step: StoryStep,
        focus: Focus,
        now: Timestamp,
    ) -> (Members, ExpectedEvent) {
        let at = self.ticket_for(step, focus, now);
        let mut members = self.change_ticket(step, at, now);
        let renderer = self.renderer(now);
        let ticket = &self.world.tickets[at];
        let kind = match ticket.branch {
            Some(_) => {
                members.push(("number", ticket.number.into()));
                members.push(("pull_request", renderer.pull_request(ticket)));
                ResourceType::PULL_REQUEST
            }
            None => {
                members.push(("issue", renderer.issue(ticket)));
                ResourceType::ISSUE
            }
        };
        members.push(("repository", renderer.repository(ticket.repo)));
        let expected = ExpectedEvent {
            repo: Some(self.world.repos[ticket.repo].name.to_owned()),
            number: Some(ticket.number),
            ..self.expected(step, kind, &ticket.node_id)
        };
        if step == StoryStep::IssueDeleted {
            self.world.tickets.remove(at);
        }
        (members, expected)
    }

    /// Applies the step; gives the members that only this action has.
    fn change_ticket(&mut self, step: StoryStep, at: usize, now: Timestamp) -> Members {
        let (person, label) = (self.world.person(), self.world.label());
        match step {
            StoryStep::IssueEdited => {
                let title = self.world.title();
                let old = std::mem::replace(&mut self.world.tickets[at].title, title);
                vec![("changes", changed_from("title", old))]
            }
            StoryStep::IssueLabeled | StoryStep::PullLabeled | StoryStep::IssueUnlabeled => {
                vec![("label", self.relabel(step, at, label, now))]
            }
            StoryStep::IssueAssigned => {
                self.world.tickets[at].assignee = Some(person);
                vec![("assignee", self.renderer(now).sender(person))]
            }
            StoryStep::IssueMilestoned => {
                let repo = self.world.tickets[at].repo;
                let fits = |m: &super::world::Milestone| m.repo == repo && m.closed_at.is_none();
                let world = &mut self.world;
                let found =
                    GithubWorld::pick(&mut world.rng, &world.milestones, Focus::Newest, fits)
                        .unwrap_or_else(|| world.add_milestone(now, repo));
                let milestone = world.milestones[found].clone();
                let rendered = self.renderer(now).milestone(&milestone);
                self.world.tickets[at].milestone = Some(milestone);
                vec![("milestone", rendered)]
            }
            StoryStep::IssueClosed | StoryStep::PullClosed => {
                self.world.tickets[at].closed_at = Some(now);
                Vec::new()
            }
            StoryStep::IssueReopened | StoryStep::PullReopened => {
                self.world.tickets[at].closed_at = None;
                Vec::new()
            }
            StoryStep::PullMerged => {
                let ticket = &mut self.world.tickets[at];
                ticket.closed_at = Some(now);
                if let Some(branch) = &mut ticket.branch {
                    branch.merged_at = Some(now);
                }
                Vec::new()
            }
            StoryStep::PullReviewRequested => {
                if let Some(branch) = &mut self.world.tickets[at].branch {
                    branch.reviewer = Some(person);
                }
                vec![("requested_reviewer", self.renderer(now).sender(person))]
            }
            StoryStep::PullSynchronized => self.push_commits(at),
            _ => Vec::new(),
        }
    }

    fn relabel(&mut self, step: StoryStep, at: usize, label: usize, now: Timestamp) -> Value {
        let ticket = &mut self.world.tickets[at];
        let label = if step == StoryStep::IssueUnlabeled {
            ticket.labels.pop().unwrap_or(label)
        } else {
            if !ticket.labels.contains(&label) {
                ticket.labels.push(label);
            }
            label
        };
        let repo = ticket.repo;
        self.renderer(now).label(&self.world.labels[label], repo)
    }

    fn push_commits(&mut self, at: usize) -> Members {
        let after = self.world.sha();
        let Some(branch) = &mut self.world.tickets[at].branch else {
            return Vec::new();
        };
        branch.commits += 1;
        let before = std::mem::replace(&mut branch.head_sha, after.clone());
        vec![("before", before.into()), ("after", after.into())]
    }

    fn milestone_step(
        &mut self,
        step: StoryStep,
        focus: Focus,
        now: Timestamp,
    ) -> (Members, ExpectedEvent) {
        let world = &mut self.world;
        let wants_closed = step == StoryStep::MilestoneOpened;
        let found = match step {
            StoryStep::MilestoneCreated => None,
            _ => GithubWorld::pick(&mut world.rng, &world.milestones, focus, |m| {
                m.closed_at.is_some() == wants_closed || step == StoryStep::MilestoneDeleted
            }),
        };
        let at = found.unwrap_or_else(|| {
            let repo = rand::Rng::random_range(&mut world.rng, 0..world.repos.len());
            world.add_milestone(now, repo)
        });
        let milestone = &mut world.milestones[at];
        let mut members = Members::new();
        match step {
            StoryStep::MilestoneEdited => {
                let old = milestone.due_on;
                milestone.due_on = old.plus(std::time::Duration::from_secs(7 * 86_400));
                members.push(("changes", due_change(old)));
            }
            StoryStep::MilestoneClosed => milestone.closed_at = Some(now),
            StoryStep::MilestoneOpened => milestone.closed_at = None,
            _ => {}
        }
        let (renderer, milestone) = (self.renderer(now), &self.world.milestones[at]);
        members.push(("milestone", renderer.milestone(milestone)));
        members.push(("repository", renderer.repository(milestone.repo)));
        let expected = ExpectedEvent {
            repo: Some(self.world.repos[milestone.repo].name.to_owned()),
            number: Some(milestone.number),
            ..self.expected(step, ResourceType::MILESTONE, &milestone.node_id)
        };
        if step == StoryStep::MilestoneDeleted {
            self.world.milestones.remove(at);
        }
        (members, expected)
    }

    fn project_step(
        &mut self,
        step: StoryStep,
        focus: Focus,
        now: Timestamp,
    ) -> (Members, ExpectedEvent) {
        let world = &mut self.world;
        let wants_closed = step == StoryStep::ProjectReopened;
        let found = match step {
            StoryStep::ProjectCreated => None,
            _ => GithubWorld::pick(&mut world.rng, &world.projects, focus, |p| {
                p.closed_at.is_some() == wants_closed || step == StoryStep::ProjectDeleted
            }),
        };
        let at = found.unwrap_or_else(|| world.add_project(now));
        let summary = world.title();
        let project = &mut world.projects[at];
        let mut members = Members::new();
        match step {
            StoryStep::ProjectEdited => {
                let old = std::mem::replace(&mut project.summary, summary);
                members.push(("changes", changed_from("short_description", old)));
            }
            StoryStep::ProjectClosed => project.closed_at = Some(now),
            StoryStep::ProjectReopened => project.closed_at = None,
            StoryStep::ProjectDeleted => project.deleted_at = Some(now),
            _ => {}
        }
        let project = &self.world.projects[at];
        members.push(("projects_v2", self.renderer(now).project(project)));
        let expected = ExpectedEvent {
            number: Some(project.number),
            ..self.expected(step, ResourceType::PROJECT, &project.node_id)
        };
        if step == StoryStep::ProjectDeleted {
            self.world.projects.remove(at);
        }
        (members, expected)
    }

    fn item_step(
        &mut self,
        step: StoryStep,
        focus: Focus,
        now: Timestamp,
    ) -> (Members, ExpectedEvent) {
        let at = self.item_for(step, focus, now);
        let before = self.world.items[at].archived_at;
        let item = &mut self.world.items[at];
        match step {
            StoryStep::ItemEdited => item.status += 1,
            StoryStep::ItemArchived => item.archived_at = Some(now),
            StoryStep::ItemRestored => item.archived_at = None,
            _ => {}
        }
        let (renderer, item) = (self.renderer(now), &self.world.items[at]);
        let mut members = vec![("projects_v2_item", renderer.item(item))];
        match step {
            StoryStep::ItemEdited => members.push(("changes", renderer.status_change(item))),
            StoryStep::ItemArchived | StoryStep::ItemRestored => {
                members.push(("changes", renderer.archive_change(before, item.archived_at)));
            }
            _ => {}
        }
        let kind = if item.is_draft {
            ResourceType::DRAFT_ISSUE
        } else {
            ResourceType::ISSUE
        };
        let expected = self.expected(step, kind, &item.content);
        if step == StoryStep::ItemDeleted {
            self.world.items.remove(at);
        }
        (members, expected)
    }

    fn item_for(&mut self, step: StoryStep, focus: Focus, now: Timestamp) -> usize {
        let wants_archived = step == StoryStep::ItemRestored;
        let world = &mut self.world;
        if !matches!(step, StoryStep::ItemAdded | StoryStep::DraftAdded) {
            let fits = |item: &super::world::Item| item.archived_at.is_some() == wants_archived;
            if let Some(at) = GithubWorld::pick(&mut world.rng, &world.items, focus, fits) {
                return at;
            }
        }
        let project = GithubWorld::pick(&mut world.rng, &world.projects, focus, |p| {
            p.closed_at.is_none()
        })
        .unwrap_or_else(|| world.add_project(now));
        let issue = (step != StoryStep::DraftAdded).then(|| {
            let fits = |t: &Ticket| t.branch.is_none() && t.is_open();
            GithubWorld::pick(&mut world.rng, &world.tickets, focus, fits)
                .unwrap_or_else(|| world.add_ticket(now, false))
        });
        world.add_item(now, project, issue)
    }
}
