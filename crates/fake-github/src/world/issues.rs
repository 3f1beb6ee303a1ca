//! Issues, and what pull requests share with them; comments and types.

use std::collections::BTreeSet;

use model::Timestamp;
use serde_json::json;

use super::{FakePull, FakeWorld, emit::Happening};
use crate::keys::{AccountKey, NodeKey, RepoKey, TicketKey};

/// A type of issues of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeIssueType {
    /// A defect.
    Bug,
    /// A wish.
    Feature,
    /// A piece of work.
    Task,
}

impl FakeIssueType {
    /// Its name and color.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Bug => ("Bug", "red"),
            Self::Feature => ("Feature", "blue"),
            Self::Task => ("Task", "yellow"),
        }
    }
}

/// An issue, or a pull request if it has branches.
#[derive(Debug, Clone)]
pub struct FakeTicket {
    /// Database id as an issue; a pull request has another one besides.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Title.
    pub title: String,
    /// Text.
    pub body: Option<String>,
    /// Who opened it.
    pub author: AccountKey,
    /// Who works on it.
    pub assignees: BTreeSet<AccountKey>,
    /// Ids of its labels.
    pub labels: BTreeSet<u64>,
    /// Id of its milestone.
    pub milestone: Option<u64>,
    /// Its type.
    pub kind: Option<FakeIssueType>,
    /// Why it is in its state: `completed`, `not_planned`, `duplicate`, `reopened`.
    pub state_reason: Option<&'static str>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Who closed it.
    pub closed_by: Option<AccountKey>,
    /// The issue that it is a part of.
    pub parent: Option<TicketKey>,
    /// Its parts, in order.
    pub sub_issues: Vec<TicketKey>,
    /// What has to be done before it.
    pub blocked_by: BTreeSet<TicketKey>,
    /// What a pull request has besides.
    pub pull: Option<FakePull>,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone)]
pub struct FakeComment {
    /// What it is on.
    pub on: TicketKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Who wrote it.
    pub author: AccountKey,
    /// Text.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

impl FakeWorld {
    /// Opens an issue.
    ///
    /// # Panics
    /// There is no such repository.
    pub fn open_issue(&mut self, repo: RepoKey, title: &str) -> TicketKey {
        let key = self.add_ticket(repo, title, "I", None);
        self.emit(self.ticket_happening("opened", key));
        key
    }

    pub(crate) fn add_ticket(
        &mut self,
        repo: RepoKey,
        title: &str,
        prefix: &str,
        pull: Option<FakePull>,
    ) -> TicketKey {
        let (id, now, author) = (self.fresh_id(), self.now(), self.actor());
        let number = self.repo_mut(repo).next_number;
        self.repo_mut(repo).next_number += 1;
        let key = TicketKey { repo, number };
        let ticket = FakeTicket {
            id,
            node_id: self.named(prefix, id, NodeKey::Ticket(key)),
            title: title.to_owned(),
            body: Some(format!("About {title}.")),
            author,
            assignees: BTreeSet::new(),
            labels: BTreeSet::new(),
            milestone: None,
            kind: None,
            state_reason: None,
            created_at: now,
            updated_at: now,
            closed_at: None,
            closed_by: None,
            parent: None,
            sub_issues: Vec::new(),
            blocked_by: BTreeSet::new(),
            pull,
        };
        self.tickets.insert(key, ticket);
        self.repo_mut(repo).open_tickets += 1;
        key
    }

    /// Closes a ticket at this second, or opens it again.
    pub(crate) fn put_closed(&mut self, key: TicketKey, is_closed: bool) -> &mut FakeTicket {
        let (now, actor) = (self.now(), self.actor());
        let was_closed = self.tickets[&key].closed_at.is_some();
        let open = &mut self.repo_mut(key.repo).open_tickets;
        *open = *open + u64::from(was_closed) - u64::from(is_closed);
        let ticket = self.touch(key);
        ticket.closed_at = is_closed.then_some(now);
        ticket.closed_by = is_closed.then_some(actor);
        ticket
    }

    /// The issue or pull request.
    #[must_use]
    pub fn ticket(&self, key: TicketKey) -> Option<&FakeTicket> {
        self.tickets.get(&key)
    }

    /// Changes a ticket at this second.
    pub(crate) fn touch(&mut self, key: TicketKey) -> &mut FakeTicket {
        let now = self.now();
        let ticket = self.tickets.get_mut(&key).expect("a key of this world");
        ticket.updated_at = now;
        ticket
    }

    /// Gives it another title.
    ///
    /// # Panics
    /// As everywhere: there is no such issue or pull request.
    pub fn retitle(&mut self, key: TicketKey, title: &str) {
        let from = std::mem::replace(&mut self.touch(key).title, title.to_owned());
        let edited = self.ticket_happening("edited", key);
        self.emit(edited.with("changes", json!({ "title": { "from": from } })));
    }

    /// Gives it another text.
    pub fn rewrite(&mut self, key: TicketKey, body: &str) {
        let from = self.touch(key).body.replace(body.to_owned());
        let edited = self.ticket_happening("edited", key);
        self.emit(edited.with(
            "changes",
            json!({ "body": { "from": from.unwrap_or_default() } }),
        ));
    }

    /// Assigns somebody.
    pub fn assign(&mut self, key: TicketKey, to: AccountKey) {
        self.touch(key).assignees.insert(to);
        let assignee = self.render().account(to);
        self.emit(
            self.ticket_happening("assigned", key)
                .with("assignee", assignee),
        );
    }

    /// Takes an assignment back.
    pub fn unassign(&mut self, key: TicketKey, from: AccountKey) {
        self.touch(key).assignees.remove(&from);
        let assignee = self.render().account(from);
        self.emit(
            self.ticket_happening("unassigned", key)
                .with("assignee", assignee),
        );
    }

    /// Closes it: `completed`, `not_planned` or `duplicate`.
    pub fn close(&mut self, key: TicketKey, reason: &'static str) {
        let ticket = self.put_closed(key, true);
        ticket.state_reason = ticket.pull.is_none().then_some(reason);
        self.emit(self.ticket_happening("closed", key));
    }

    /// Opens it again.
    pub fn reopen(&mut self, key: TicketKey) {
        let ticket = self.put_closed(key, false);
        ticket.state_reason = ticket.pull.is_none().then_some("reopened");
        self.emit(self.ticket_happening("reopened", key));
    }

    /// Gives it a type, or takes the type away.
    pub fn set_type(&mut self, key: TicketKey, kind: Option<FakeIssueType>) {
        let before = std::mem::replace(&mut self.touch(key).kind, kind);
        let (action, said) = match kind {
            Some(kind) => ("typed", Some(kind)),
            None => ("untyped", before),
        };
        let said = said.map(|kind| self.render().issue_type(kind));
        self.emit(self.ticket_happening(action, key).with("type", said.into()));
    }

    /// Deletes an issue: nothing about it can be asked any more.
    pub fn delete_issue(&mut self, key: TicketKey) {
        let deleted = self.ticket_happening("deleted", key);
        self.forget_ticket(key);
        self.departed.insert(key, None);
        self.emit(deleted);
    }

    /// Moves an issue to another repository of the same owner, where it is another issue: its number and its ids are new.
    ///
    /// # Panics
    /// There is no such issue or repository.
    pub fn transfer_issue(&mut self, key: TicketKey, to: RepoKey) -> TicketKey {
        let there = self.add_ticket(to, &self.tickets[&key].title.clone(), "I", None);
        let (render, old) = (self.render(), &self.tickets[&key]);
        let (old_issue, new_issue) = (render.issue(key), render.issue(there));
        let (old_repo, new_repo) = (render.repo(key.repo), render.repo(to));
        let moved = json!({ "new_issue": new_issue, "new_repository": new_repo });
        let came = json!({ "old_issue": old_issue, "old_repository": old_repo });
        let (body, created_at) = (old.body.clone(), old.created_at);
        let transferred = self
            .ticket_happening("transferred", key)
            .with("changes", moved);
        let ticket = self.touch(there);
        (ticket.body, ticket.created_at) = (body, created_at);
        self.forget_ticket(key);
        self.departed.insert(key, Some(there));
        self.emit(transferred);
        self.emit(self.ticket_happening("opened", there).with("changes", came));
        there
    }

    fn forget_ticket(&mut self, key: TicketKey) {
        if let Some(ticket) = self.tickets.remove(&key) {
            self.nodes.remove(&ticket.node_id);
            let open = &mut self.repo_mut(key.repo).open_tickets;
            *open -= u64::from(ticket.closed_at.is_none());
        }
        self.blocked.remove(&key);
        for other in self.tickets.values_mut() {
            other.sub_issues.retain(|part| *part != key);
            other.blocked_by.remove(&key);
            other.parent = other.parent.filter(|parent| *parent != key);
        }
        self.comments.retain(|_, comment| comment.on != key);
        self.forget_content(key);
    }

    /// Writes a comment.
    pub fn comment(&mut self, on: TicketKey, body: &str) -> u64 {
        let (id, now, author) = (self.fresh_id(), self.now(), self.actor());
        let comment = FakeComment {
            on,
            id,
            node_id: self.named("IC", id, NodeKey::Comment(id)),
            author,
            body: body.to_owned(),
            created_at: now,
            updated_at: now,
        };
        self.comments.insert(id, comment);
        self.touch(on);
        let render = self.render();
        let created = Happening::new("issue_comment", "created", on.repo)
            .about(&self.comments[&id].node_id, on.number)
            .with("issue", render.issue(on))
            .with("comment", render.comment(id));
        self.emit(created);
        id
    }

    /// Edits a comment.
    ///
    /// # Panics
    /// There is no such comment.
    pub fn edit_comment(&mut self, id: u64, body: &str) {
        let now = self.now();
        let comment = self.comments.get_mut(&id).expect("a comment of this world");
        let from = std::mem::replace(&mut comment.body, body.to_owned());
        comment.updated_at = now;
        let on = comment.on;
        let render = self.render();
        let edited = Happening::new("issue_comment", "edited", on.repo)
            .about(&self.comments[&id].node_id, on.number)
            .with("issue", render.issue(on))
            .with("comment", render.comment(id))
            .with("changes", json!({ "body": { "from": from } }));
        self.emit(edited);
    }
}
