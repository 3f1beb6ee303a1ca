//! Projects (v2): fields, views, items and their values.

use std::collections::BTreeMap;

use model::Timestamp;
use serde_json::{Value, json};

use super::{
    FakeField, FakeFieldKind, FakeFieldValue, FakeItem, FakeItemContent, FakeIteration, FakeOption,
    FakeProject, FakeView, FakeWorld, emit::Happening,
};
use crate::keys::{AccountKey, ItemKey, NodeKey, ProjectKey, TicketKey};

impl FakeWorld {
    /// Creates a project with the fields `Title` and `Status` (Todo, In Progress, Done) and a table.
    pub fn create_project(&mut self, owner: AccountKey, title: &str) -> ProjectKey {
        let (id, now, creator) = (self.fresh_id(), self.now(), self.actor());
        let key = ProjectKey(id);
        let of_owner = self.projects.values().filter(|it| it.owner == owner);
        let number = of_owner.map(|it| it.number).max().unwrap_or(0) + 1;
        let project = FakeProject {
            owner,
            id,
            node_id: self.named("PVT", id, NodeKey::Project(key)),
            number,
            title: title.to_owned(),
            summary: None,
            creator,
            created_at: now,
            updated_at: now,
            closed_at: None,
            fields: Vec::new(),
            views: Vec::new(),
        };
        self.projects.insert(key, project);
        self.put_field(key, "Title", FakeFieldKind::Title);
        let statuses = ["Todo", "In Progress", "Done"];
        let options = statuses.map(|name| self.fresh_option(name)).to_vec();
        self.put_field(key, "Status", FakeFieldKind::Select(options));
        self.put_view(key, "View 1", "TABLE_LAYOUT", None);
        self.emit(self.project_happening("created", key));
        key
    }

    /// An option with an id of its own.
    pub fn fresh_option(&mut self, name: &str) -> FakeOption {
        let mut id = self.fresh_sha();
        id.truncate(8);
        FakeOption {
            id,
            name: name.to_owned(),
        }
    }

    /// An iteration with an id of its own; `start` is a day: `2026-11-30`.
    pub fn fresh_iteration(
        &mut self,
        title: &str,
        start: &str,
        duration_days: u32,
    ) -> FakeIteration {
        FakeIteration {
            id: self.fresh_option(title).id,
            title: title.to_owned(),
            start: start.to_owned(),
            duration_days,
        }
    }

    /// Adds a field, or changes what a field holds; returns its id.
    pub fn set_field(&mut self, project: ProjectKey, name: &str, kind: FakeFieldKind) -> u64 {
        let id = self.put_field(project, name, kind);
        self.emit(
            self.project_happening("edited", project)
                .with("changes", json!({})),
        );
        id
    }

    fn put_field(&mut self, project: ProjectKey, name: &str, kind: FakeFieldKind) -> u64 {
        let (id, now) = (self.fresh_id(), self.now());
        let of = self.project_mut(project);
        if let Some(field) = of.fields.iter_mut().find(|it| it.name == name) {
            field.kind = kind;
            return field.id;
        }
        let prefix = match kind {
            FakeFieldKind::Select(_) => "PVTSSF",
            FakeFieldKind::Iteration { .. } => "PVTIF",
            _ => "PVTF",
        };
        of.fields.push(FakeField {
            id,
            node_id: crate::keys::node_id(prefix, id),
            name: name.to_owned(),
            kind,
            created_at: now,
        });
        id
    }

    /// Adds a view; returns its number.
    pub fn put_view(
        &mut self,
        project: ProjectKey,
        name: &str,
        layout: &'static str,
        filter: Option<&str>,
    ) -> u64 {
        let (id, created_at) = (self.fresh_id(), self.now());
        let views = &mut self.project_mut(project).views;
        let number = views.len() as u64 + 1;
        views.push(FakeView {
            id,
            number,
            name: name.to_owned(),
            layout,
            filter: filter.map(str::to_owned),
            created_at,
        });
        number
    }

    pub(crate) fn project_mut(&mut self, key: ProjectKey) -> &mut FakeProject {
        let now = self.now();
        let project = self.projects.get_mut(&key).expect("a key of this world");
        project.updated_at = now;
        project
    }

    /// Gives a project another description.
    pub fn describe_project(&mut self, key: ProjectKey, summary: &str) {
        let from = self.project_mut(key).summary.replace(summary.to_owned());
        let changes = json!({ "short_description": { "from": from, "to": summary } });
        self.emit(
            self.project_happening("edited", key)
                .with("changes", changes),
        );
    }

    /// Closes a project, or opens it again.
    pub fn close_project(&mut self, key: ProjectKey, is_closed: bool) {
        let now = self.now();
        self.project_mut(key).closed_at = is_closed.then_some(now);
        let action = if is_closed { "closed" } else { "reopened" };
        self.emit(self.project_happening(action, key));
    }

    /// Adds an issue or a pull request to a project.
    pub fn add_item(&mut self, project: ProjectKey, ticket: TicketKey) -> ItemKey {
        self.put_item(project, FakeItemContent::Ticket(ticket))
    }

    /// Adds a draft to a project.
    pub fn add_draft(&mut self, project: ProjectKey, title: &str) -> ItemKey {
        let id = self.fresh_id();
        let draft = FakeItemContent::Draft {
            node_id: crate::keys::node_id("DI", id),
            title: title.to_owned(),
        };
        self.put_item(project, draft)
    }

    fn put_item(&mut self, project: ProjectKey, content: FakeItemContent) -> ItemKey {
        let (id, now, creator) = (self.fresh_id(), self.now(), self.actor());
        let key = ItemKey(id);
        let item = FakeItem {
            project,
            id,
            node_id: self.named("PVTI", id, NodeKey::Item(key)),
            content,
            values: BTreeMap::new(),
            creator,
            created_at: now,
            updated_at: now,
            archived_at: None,
        };
        self.items.insert(key, item);
        self.project_mut(project);
        self.tell_item("created", key, None);
        key
    }

    /// Sets a value of an item, or clears it. The field is named.
    ///
    /// # Panics
    /// The project has no such field.
    pub fn set_value(&mut self, key: ItemKey, field: &str, value: Option<FakeFieldValue>) {
        let now = self.now();
        let project = self.items[&key].project;
        let mut fields = self.projects[&project].fields.iter();
        let found = fields
            .find(|it| it.name == field)
            .expect("a field of the project")
            .clone();
        let item = self.items.get_mut(&key).expect("a key of this world");
        item.updated_at = now;
        let before = match value {
            Some(value) => item.values.insert(found.id, value),
            None => item.values.remove(&found.id),
        };
        let after = self.items[&key].values.get(&found.id).cloned();
        let render = self.render();
        let changes = json!({ "field_value": {
            "field_node_id": found.node_id, "field_type": render.field_type(&found),
            "field_name": found.name, "project_number": self.projects[&project].number,
            "from": render.changed_value(&found, before.as_ref()),
            "to": render.changed_value(&found, after.as_ref()),
        } });
        self.project_mut(project);
        self.tell_item("edited", key, Some(changes));
    }

    /// Archives an item, or restores it.
    pub fn archive_item(&mut self, key: ItemKey, is_archived: bool) {
        let now = self.now();
        let item = self.items.get_mut(&key).expect("a key of this world");
        item.updated_at = now;
        let before = std::mem::replace(&mut item.archived_at, is_archived.then_some(now));
        let moment = |at: Option<Timestamp>| at.map(crate::render::moment);
        let to = moment(is_archived.then_some(now));
        let changes = json!({ "archived_at": { "from": moment(before), "to": to } });
        let action = if is_archived { "archived" } else { "restored" };
        self.tell_item(action, key, Some(changes));
    }

    /// Removes an item from its project.
    pub fn delete_item(&mut self, key: ItemKey) {
        self.tell_item("deleted", key, None);
        if let Some(item) = self.items.remove(&key) {
            self.nodes.remove(&item.node_id);
            self.project_mut(item.project);
        }
    }

    /// Items of an issue that is no more go without a word.
    pub(crate) fn forget_content(&mut self, key: TicketKey) {
        self.items
            .retain(|_, item| item.content != FakeItemContent::Ticket(key));
    }

    fn tell_item(&mut self, action: &'static str, key: ItemKey, changes: Option<Value>) {
        let item = &self.items[&key];
        let project = &self.projects[&item.project];
        let rendered = self.render().item(key);
        let mut happening = Happening::of_owner("projects_v2_item", action, project.owner)
            .about(&item.node_id, None::<u64>)
            .with("projects_v2_item", rendered);
        if let Some(changes) = changes {
            happening = happening.with("changes", changes);
        }
        self.emit(happening);
    }

    /// Items of a project in the order in which they were added.
    pub(crate) fn items_of(
        &self,
        project: ProjectKey,
    ) -> impl Iterator<Item = (ItemKey, &FakeItem)> {
        let items = self.items.iter().map(|(key, item)| (*key, item));
        items.filter(move |(_, item)| item.project == project)
    }
}
