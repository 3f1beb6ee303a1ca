//! Labels, milestones and releases.

use model::Timestamp;
use serde_json::json;

use super::{FakeWorld, emit::Happening};
use crate::keys::{AccountKey, NodeKey, RepoKey, TicketKey};

/// A label of a repository.
#[derive(Debug, Clone)]
pub struct FakeLabel {
    /// Its repository.
    pub repo: RepoKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Name.
    pub name: String,
    /// Six hexadecimal digits.
    pub color: String,
}

/// A milestone of a repository.
#[derive(Debug, Clone)]
pub struct FakeMilestone {
    /// Its repository.
    pub repo: RepoKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Its number in the repository.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Who created it.
    pub creator: AccountKey,
    /// When it is due.
    pub due_on: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

/// A release.
#[derive(Debug, Clone)]
pub struct FakeRelease {
    /// Its repository.
    pub repo: RepoKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// The tag.
    pub tag: String,
    /// Name.
    pub name: String,
    /// Text.
    pub body: String,
    /// Nobody without access to the code sees it.
    pub draft: bool,
    /// It is not for everybody yet.
    pub prerelease: bool,
    /// Who published it.
    pub author: AccountKey,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it last changed. Servers of before 2025 do not say it.
    pub updated_at: Timestamp,
}

impl FakeWorld {
    pub(crate) fn add_label(&mut self, repo: RepoKey, name: &str, color: &str) -> u64 {
        let id = self.fresh_id();
        let label = FakeLabel {
            repo,
            id,
            node_id: self.named("LA", id, NodeKey::Label(id)),
            name: name.to_owned(),
            color: color.to_owned(),
        };
        self.labels.insert(id, label);
        id
    }

    /// Creates a label.
    pub fn create_label(&mut self, repo: RepoKey, name: &str, color: &str) -> u64 {
        let id = self.add_label(repo, name, color);
        self.tell_label("created", id);
        id
    }

    /// Gives a label another name and color; what carries it does not change its time.
    ///
    /// # Panics
    /// There is no such label.
    pub fn edit_label(&mut self, id: u64, name: &str, color: &str) {
        let label = self.labels.get_mut(&id).expect("a label of this world");
        let (repo, node_id) = (label.repo, label.node_id.clone());
        let from = std::mem::replace(&mut label.name, name.to_owned());
        let from_color = std::mem::replace(&mut label.color, color.to_owned());
        let changes = json!({ "name": { "from": from }, "color": { "from": from_color } });
        let happening = Happening::new("label", "edited", repo)
            .about(&node_id, None::<u64>)
            .with("label", self.render().label(id))
            .with("changes", changes);
        self.emit(happening);
    }

    /// Deletes a label; nothing carries it any more.
    pub fn delete_label(&mut self, id: u64) {
        let Some(label) = self.labels.get(&id) else {
            return;
        };
        let node_id = label.node_id.clone();
        self.tell_label("deleted", id);
        self.labels.remove(&id);
        self.nodes.remove(&node_id);
        for ticket in self.tickets.values_mut() {
            ticket.labels.remove(&id);
        }
    }

    fn tell_label(&mut self, action: &'static str, id: u64) {
        let label = &self.labels[&id];
        let happening = Happening::new("label", action, label.repo)
            .about(&label.node_id, None::<u64>)
            .with("label", self.render().label(id));
        self.emit(happening);
    }

    fn label_named(&self, repo: RepoKey, name: &str) -> Option<u64> {
        let mut labels = self.labels.values();
        let found = labels.find(|it| it.repo == repo && it.name.eq_ignore_ascii_case(name));
        found.map(|it| it.id)
    }

    /// Puts a label on an issue or a pull request; created if the repository does not have it.
    pub fn label(&mut self, key: TicketKey, name: &str) {
        let found = self.label_named(key.repo, name);
        let id = found.unwrap_or_else(|| self.create_label(key.repo, name, "ededed"));
        self.touch(key).labels.insert(id);
        let label = self.render().label(id);
        self.emit(self.ticket_happening("labeled", key).with("label", label));
    }

    /// Takes a label off.
    pub fn unlabel(&mut self, key: TicketKey, name: &str) {
        let Some(id) = self.label_named(key.repo, name) else {
            return;
        };
        self.touch(key).labels.remove(&id);
        let label = self.render().label(id);
        self.emit(self.ticket_happening("unlabeled", key).with("label", label));
    }

    /// Creates a milestone; returns its database id.
    pub fn create_milestone(&mut self, repo: RepoKey, title: &str) -> u64 {
        let (id, now, creator) = (self.fresh_id(), self.now(), self.actor());
        let number = self.repo_mut(repo).next_milestone;
        self.repo_mut(repo).next_milestone += 1;
        let milestone = FakeMilestone {
            repo,
            id,
            node_id: self.named("MI", id, NodeKey::Milestone(id)),
            number,
            title: title.to_owned(),
            creator,
            due_on: None,
            created_at: now,
            updated_at: now,
            closed_at: None,
        };
        self.milestones.insert(id, milestone);
        self.tell_milestone("created", id, None);
        id
    }

    /// Sets when a milestone is due.
    pub fn set_due(&mut self, id: u64, due_on: Option<Timestamp>) {
        let before = std::mem::replace(&mut self.milestone_mut(id).due_on, due_on);
        let changes = match before.map(crate::render::moment) {
            Some(from) => json!({ "due_on": { "from": from } }),
            None => json!({}),
        };
        self.tell_milestone("edited", id, Some(changes));
    }

    /// Gives a milestone another title; the time of what is in it does not change.
    ///
    /// # Panics
    /// There is no such milestone.
    pub fn retitle_milestone(&mut self, id: u64, title: &str) {
        let from = std::mem::replace(&mut self.milestone_mut(id).title, title.to_owned());
        let changes = json!({ "title": { "from": from } });
        self.tell_milestone("edited", id, Some(changes));
    }

    /// Closes a milestone, or opens it again.
    pub fn close_milestone(&mut self, id: u64, is_closed: bool) {
        let now = self.now();
        self.milestone_mut(id).closed_at = is_closed.then_some(now);
        self.tell_milestone(if is_closed { "closed" } else { "opened" }, id, None);
    }

    /// Deletes a milestone; nothing is in it any more.
    pub fn delete_milestone(&mut self, id: u64) {
        let Some(milestone) = self.milestones.get(&id) else {
            return;
        };
        let node_id = milestone.node_id.clone();
        self.tell_milestone("deleted", id, None);
        self.milestones.remove(&id);
        self.nodes.remove(&node_id);
        for ticket in self.tickets.values_mut() {
            ticket.milestone = ticket.milestone.filter(|it| *it != id);
        }
    }

    /// Milestones of a repository, in the order of their creation.
    pub fn milestones_of(&self, repo: RepoKey) -> impl Iterator<Item = &FakeMilestone> {
        self.milestones.values().filter(move |it| it.repo == repo)
    }

    fn milestone_mut(&mut self, id: u64) -> &mut FakeMilestone {
        let now = self.now();
        let milestone = self.milestones.get_mut(&id);
        let milestone = milestone.expect("a milestone of this world");
        milestone.updated_at = now;
        milestone
    }

    fn tell_milestone(
        &mut self,
        action: &'static str,
        id: u64,
        changes: Option<serde_json::Value>,
    ) {
        let milestone = &self.milestones[&id];
        let mut happening = Happening::new("milestone", action, milestone.repo)
            .about(&milestone.node_id, milestone.number)
            .with("milestone", self.render().milestone(id));
        if let Some(changes) = changes {
            happening = happening.with("changes", changes);
        }
        self.emit(happening);
    }

    /// Puts an issue or a pull request into a milestone, or out of it.
    pub fn set_milestone(&mut self, key: TicketKey, milestone: Option<u64>) {
        let before = std::mem::replace(&mut self.touch(key).milestone, milestone);
        let action = if milestone.is_some() {
            "milestoned"
        } else {
            "demilestoned"
        };
        let mut happening = self.ticket_happening(action, key);
        if let Some(said) = milestone.or(before) {
            happening = happening.with("milestone", self.render().milestone(said));
        }
        self.emit(happening);
    }

    /// Publishes a release.
    pub fn publish_release(&mut self, repo: RepoKey, tag: &str) -> u64 {
        let (id, now, author) = (self.fresh_id(), self.now(), self.actor());
        let release = FakeRelease {
            repo,
            id,
            node_id: self.named("RE", id, NodeKey::Release(id)),
            tag: tag.to_owned(),
            name: tag.to_owned(),
            body: "What is new.".to_owned(),
            draft: false,
            prerelease: false,
            author,
            published_at: now,
            updated_at: now,
        };
        self.releases.insert(id, release);
        self.tell_release("published", id);
        id
    }

    /// Gives a release another text, and says whether it is for everybody.
    ///
    /// # Panics
    /// There is no such release.
    pub fn edit_release(&mut self, id: u64, body: &str, prerelease: bool) {
        let now = self.now();
        let release = self.releases.get_mut(&id).expect("a release of this world");
        let (repo, node_id) = (release.repo, release.node_id.clone());
        let from = std::mem::replace(&mut release.body, body.to_owned());
        (release.prerelease, release.updated_at) = (prerelease, now);
        let happening = Happening::new("release", "edited", repo)
            .about(&node_id, None::<u64>)
            .with("release", self.render().release(id))
            .with("changes", json!({ "body": { "from": from } }));
        self.emit(happening);
    }

    /// From now on releases have no time of their last change, as on servers of before 2025.
    pub fn hide_times_of_releases(&mut self) {
        self.hides_times_of_releases = true;
    }

    /// Deletes a release.
    pub fn delete_release(&mut self, id: u64) {
        if !self.releases.contains_key(&id) {
            return;
        }
        self.tell_release("deleted", id);
        if let Some(release) = self.releases.remove(&id) {
            self.nodes.remove(&release.node_id);
        }
    }

    fn tell_release(&mut self, action: &'static str, id: u64) {
        let release = &self.releases[&id];
        let happening = Happening::new("release", action, release.repo)
            .about(&release.node_id, None::<u64>)
            .with("release", self.render().release(id));
        self.emit(happening);
    }
}
