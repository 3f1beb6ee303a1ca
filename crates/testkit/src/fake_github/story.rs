//! How each step changes the world, and the payload that describes the change.

use model::{ResourceType, Timestamp};
use serde_json::Value;

use super::{
    FakeGithub,
    delivery::Expected,
    payload::{changed_from, due_change},
    step::{Family, Step},
    world::{Focus, Ticket, World},
};

/// The members of a payload that are specific to its action, by name.
type Members = Vec<(&'static str, Value)>;

impl FakeGithub {
    pub(super) fn tell(&mut self, step: Step, focus: Focus, now: Timestamp) -> (Value, Expected) {
        let sender = self.world.person();
        let (members, expected) = match step.family() {
            Family::Issue | Family::Pull => self.ticket_step(step, focus, now),
            Family::Milestone => self.milestone_step(step, focus, now),
            Family::Project => self.project_step(step, focus, now),
            Family::Item => self.item_step(step, focus, now),
        };
        let mut payload = self.painter(now).envelope(step.action(), sender);
        for (name, value) in members {
            payload[name] = value;
        }
        (payload, expected)
    }

    fn expected(&self, step: Step, kind: ResourceType, id: &str) -> Expected {
        Expected {
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
    fn ticket_for(&mut self, step: Step, focus: Focus, now: Timestamp) -> usize {
        let is_pull = step.family() == Family::Pull;
        if matches!(step, Step::IssueOpened | Step::PullOpened) {
            return self.world.add_ticket(now, is_pull);
        }
        let fits = |ticket: &Ticket| {
            ticket.branch.is_some() == is_pull
                && match step {
                    Step::IssueReopened | Step::PullReopened => {
                        !ticket.is_open() && !ticket.is_merged()
                    }
                    Step::IssueDeleted => true,
                    _ => ticket.is_open(),
                }
        };
        let world = &mut self.world;
        World::pick(&mut world.rng, &world.tickets, focus, fits)
            .unwrap_or_else(|| world.add_ticket(now, is_pull))
    }

    fn ticket_step(&mut self, step: Step, focus: Focus, now: Timestamp) -> (Members, Expected) {
        let at = self.ticket_for(step, focus, now);
        let mut members = self.change_ticket(step, at, now);
        let painter = self.painter(now);
        let ticket = &self.world.tickets[at];
        let kind = match ticket.branch {
            Some(_) => {
                members.push(("number", ticket.number.into()));
                members.push(("pull_request", painter.pull_request(ticket)));
                ResourceType::PULL_REQUEST
            }
            None => {
                members.push(("issue", painter.issue(ticket)));
                ResourceType::ISSUE
            }
        };
        members.push(("repository", painter.repository(ticket.repo)));
        let expected = Expected {
            repo: Some(self.world.repos[ticket.repo].name.to_owned()),
            number: Some(ticket.number),
            ..self.expected(step, kind, &ticket.node_id)
        };
        if step == Step::IssueDeleted {
            self.world.tickets.remove(at);
        }
        (members, expected)
    }

    /// Applies the step; gives the members that only this action has.
    fn change_ticket(&mut self, step: Step, at: usize, now: Timestamp) -> Members {
        let (person, label) = (self.world.person(), self.world.label());
        match step {
            Step::IssueEdited => {
                let title = self.world.title();
                let old = std::mem::replace(&mut self.world.tickets[at].title, title);
                vec![("changes", changed_from("title", old))]
            }
            Step::IssueLabeled | Step::PullLabeled | Step::IssueUnlabeled => {
                vec![("label", self.relabel(step, at, label, now))]
            }
            Step::IssueAssigned => {
                self.world.tickets[at].assignee = Some(person);
                vec![("assignee", self.painter(now).sender(person))]
            }
            Step::IssueMilestoned => {
                let repo = self.world.tickets[at].repo;
                let fits = |m: &super::world::Milestone| m.repo == repo && m.closed_at.is_none();
                let world = &mut self.world;
                let found = World::pick(&mut world.rng, &world.milestones, Focus::Newest, fits)
                    .unwrap_or_else(|| world.add_milestone(now, repo));
                let milestone = world.milestones[found].clone();
                let painted = self.painter(now).milestone(&milestone);
                self.world.tickets[at].milestone = Some(milestone);
                vec![("milestone", painted)]
            }
            Step::IssueClosed | Step::PullClosed => {
                self.world.tickets[at].closed_at = Some(now);
                Vec::new()
            }
            Step::IssueReopened | Step::PullReopened => {
                self.world.tickets[at].closed_at = None;
                Vec::new()
            }
            Step::PullMerged => {
                let ticket = &mut self.world.tickets[at];
                ticket.closed_at = Some(now);
                if let Some(branch) = &mut ticket.branch {
                    branch.merged_at = Some(now);
                }
                Vec::new()
            }
            Step::PullReviewRequested => {
                if let Some(branch) = &mut self.world.tickets[at].branch {
                    branch.reviewer = Some(person);
                }
                vec![("requested_reviewer", self.painter(now).sender(person))]
            }
            Step::PullSynchronized => self.push_commits(at),
            _ => Vec::new(),
        }
    }

    fn relabel(&mut self, step: Step, at: usize, label: usize, now: Timestamp) -> Value {
        let ticket = &mut self.world.tickets[at];
        let label = if step == Step::IssueUnlabeled {
            ticket.labels.pop().unwrap_or(label)
        } else {
            if !ticket.labels.contains(&label) {
                ticket.labels.push(label);
            }
            label
        };
        let repo = ticket.repo;
        self.painter(now).label(&self.world.labels[label], repo)
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

    fn milestone_step(&mut self, step: Step, focus: Focus, now: Timestamp) -> (Members, Expected) {
        let world = &mut self.world;
        let wants_closed = step == Step::MilestoneOpened;
        let found = match step {
            Step::MilestoneCreated => None,
            _ => World::pick(&mut world.rng, &world.milestones, focus, |m| {
                m.closed_at.is_some() == wants_closed || step == Step::MilestoneDeleted
            }),
        };
        let at = found.unwrap_or_else(|| {
            let repo = rand::Rng::random_range(&mut world.rng, 0..world.repos.len());
            world.add_milestone(now, repo)
        });
        let milestone = &mut world.milestones[at];
        let mut members = Members::new();
        match step {
            Step::MilestoneEdited => {
                let old = milestone.due_on;
                milestone.due_on = old.plus(std::time::Duration::from_secs(7 * 86_400));
                members.push(("changes", due_change(old)));
            }
            Step::MilestoneClosed => milestone.closed_at = Some(now),
            Step::MilestoneOpened => milestone.closed_at = None,
            _ => {}
        }
        let (painter, milestone) = (self.painter(now), &self.world.milestones[at]);
        members.push(("milestone", painter.milestone(milestone)));
        members.push(("repository", painter.repository(milestone.repo)));
        let expected = Expected {
            repo: Some(self.world.repos[milestone.repo].name.to_owned()),
            number: Some(milestone.number),
            ..self.expected(step, ResourceType::MILESTONE, &milestone.node_id)
        };
        if step == Step::MilestoneDeleted {
            self.world.milestones.remove(at);
        }
        (members, expected)
    }

    fn project_step(&mut self, step: Step, focus: Focus, now: Timestamp) -> (Members, Expected) {
        let world = &mut self.world;
        let wants_closed = step == Step::ProjectReopened;
        let found = match step {
            Step::ProjectCreated => None,
            _ => World::pick(&mut world.rng, &world.projects, focus, |p| {
                p.closed_at.is_some() == wants_closed || step == Step::ProjectDeleted
            }),
        };
        let at = found.unwrap_or_else(|| world.add_project(now));
        let summary = world.title();
        let project = &mut world.projects[at];
        let mut members = Members::new();
        match step {
            Step::ProjectEdited => {
                let old = std::mem::replace(&mut project.summary, summary);
                members.push(("changes", changed_from("short_description", old)));
            }
            Step::ProjectClosed => project.closed_at = Some(now),
            Step::ProjectReopened => project.closed_at = None,
            Step::ProjectDeleted => project.deleted_at = Some(now),
            _ => {}
        }
        let project = &self.world.projects[at];
        members.push(("projects_v2", self.painter(now).project(project)));
        let expected = Expected {
            number: Some(project.number),
            ..self.expected(step, ResourceType::PROJECT, &project.node_id)
        };
        if step == Step::ProjectDeleted {
            self.world.projects.remove(at);
        }
        (members, expected)
    }

    fn item_step(&mut self, step: Step, focus: Focus, now: Timestamp) -> (Members, Expected) {
        let at = self.item_for(step, focus, now);
        let before = self.world.items[at].archived_at;
        let item = &mut self.world.items[at];
        match step {
            Step::ItemEdited => item.status += 1,
            Step::ItemArchived => item.archived_at = Some(now),
            Step::ItemRestored => item.archived_at = None,
            _ => {}
        }
        let (painter, item) = (self.painter(now), &self.world.items[at]);
        let mut members = vec![("projects_v2_item", painter.item(item))];
        match step {
            Step::ItemEdited => members.push(("changes", painter.status_change(item))),
            Step::ItemArchived | Step::ItemRestored => {
                members.push(("changes", painter.archive_change(before, item.archived_at)));
            }
            _ => {}
        }
        let kind = if item.is_draft {
            ResourceType::DRAFT_ISSUE
        } else {
            ResourceType::ISSUE
        };
        let expected = self.expected(step, kind, &item.content);
        if step == Step::ItemDeleted {
            self.world.items.remove(at);
        }
        (members, expected)
    }

    fn item_for(&mut self, step: Step, focus: Focus, now: Timestamp) -> usize {
        let wants_archived = step == Step::ItemRestored;
        let world = &mut self.world;
        if !matches!(step, Step::ItemAdded | Step::DraftAdded) {
            let fits = |item: &super::world::Item| item.archived_at.is_some() == wants_archived;
            if let Some(at) = World::pick(&mut world.rng, &world.items, focus, fits) {
                return at;
            }
        }
        let project = World::pick(&mut world.rng, &world.projects, focus, |p| {
            p.closed_at.is_none()
        })
        .unwrap_or_else(|| world.add_project(now));
        let issue = (step != Step::DraftAdded).then(|| {
            let fits = |t: &Ticket| t.branch.is_none() && t.is_open();
            World::pick(&mut world.rng, &world.tickets, focus, fits)
                .unwrap_or_else(|| world.add_ticket(now, false))
        });
        world.add_item(now, project, issue)
    }
}
