//! Sub-issues and dependencies between issues.

use super::{FakeWorld, emit::Happening};
use crate::keys::TicketKey;

impl FakeWorld {
    /// Makes an issue a part of another. Both sides are told, as GitHub does.
    pub fn add_sub_issue(&mut self, parent: TicketKey, part: TicketKey) {
        self.touch(parent).sub_issues.push(part);
        self.touch(part).parent = Some(parent);
        self.tell_relation(parent, part, ["sub_issue_added", "parent_issue_added"]);
    }

    /// Makes an issue stand by itself again.
    pub fn remove_sub_issue(&mut self, parent: TicketKey, part: TicketKey) {
        self.touch(parent).sub_issues.retain(|it| *it != part);
        self.touch(part).parent = None;
        self.tell_relation(parent, part, ["sub_issue_removed", "parent_issue_removed"]);
    }

    fn tell_relation(&mut self, parent: TicketKey, part: TicketKey, actions: [&'static str; 2]) {
        for (action, at) in actions.into_iter().zip([parent, part]) {
            let render = self.render();
            let (whole, sub) = (&self.tickets[&parent], &self.tickets[&part]);
            let mut happening = Happening::new("sub_issues", action, at.repo)
                .about(&self.tickets[&at].node_id, at.number)
                .with("parent_issue_id", whole.id.into())
                .with("parent_issue", render.issue(parent))
                .with("sub_issue_id", sub.id.into())
                .with("sub_issue", render.issue(part));
            let (name, other) = if at == parent {
                ("sub_issue_repo", part)
            } else {
                ("parent_issue_repo", parent)
            };
            happening = happening.with(name, render.repo(other.repo));
            self.emit(happening);
        }
    }

    /// Says that an issue waits for another.
    pub fn block(&mut self, blocked: TicketKey, by: TicketKey) {
        self.blocked.insert(blocked);
        self.touch(blocked).blocked_by.insert(by);
        self.tell_dependency(blocked, by, ["blocked_by_added", "blocking_added"]);
    }

    /// Says that it waits no longer.
    pub fn unblock(&mut self, blocked: TicketKey, by: TicketKey) {
        self.touch(blocked).blocked_by.remove(&by);
        self.tell_dependency(blocked, by, ["blocked_by_removed", "blocking_removed"]);
    }

    fn tell_dependency(&mut self, blocked: TicketKey, by: TicketKey, actions: [&'static str; 2]) {
        for (action, at) in actions.into_iter().zip([blocked, by]) {
            let render = self.render();
            let (one, other) = (&self.tickets[&blocked], &self.tickets[&by]);
            let mut happening = Happening::new("issue_dependencies", action, at.repo)
                .about(&self.tickets[&at].node_id, at.number)
                .with("blocked_issue_id", one.id.into())
                .with("blocked_issue", render.issue(blocked))
                .with("blocking_issue_id", other.id.into())
                .with("blocking_issue", render.issue(by));
            let (name, far) = if at == blocked {
                ("blocking_issue_repo", by)
            } else {
                ("blocked_issue_repo", blocked)
            };
            happening = happening.with(name, render.repo(far.repo));
            self.emit(happening);
        }
    }

    /// What an issue is in the way of.
    pub(crate) fn blocking(&self, key: TicketKey) -> impl Iterator<Item = TicketKey> {
        let blocked = self.blocked.iter().copied();
        blocked.filter(move |it| self.tickets[it].blocked_by.contains(&key))
    }
}
