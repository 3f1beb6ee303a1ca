//! Projects (v2) in payloads of webhooks; GraphQL has its own view of them.

use serde_json::{Value, json};

use super::{Render, maybe, moment};
use crate::world::{
    FakeField, FakeFieldKind, FakeFieldValue, FakeItemContent, FakeIteration, ItemKey, ProjectKey,
};

impl Render<'_> {
    /// A project.
    pub(crate) fn project(self, key: ProjectKey) -> Value {
        let it = &self.0.projects[&key];
        json!({
            "id": it.id, "node_id": it.node_id, "number": it.number, "title": it.title,
            "owner": self.account(it.owner), "creator": self.account(it.creator),
            "description": null, "short_description": it.summary, "public": false,
            "state": if it.closed_at.is_some() { "closed" } else { "open" },
            "created_at": moment(it.created_at), "updated_at": moment(it.updated_at),
            "closed_at": maybe(it.closed_at), "deleted_at": null, "deleted_by": null,
        })
    }

    /// An item.
    pub(crate) fn item(self, key: ItemKey) -> Value {
        let it = &self.0.items[&key];
        let (content, kind) = self.content(&it.content);
        json!({
            "id": it.id, "node_id": it.node_id, "content_node_id": content, "content_type": kind,
            "project_node_id": self.0.projects[&it.project].node_id,
            "creator": self.account(it.creator), "created_at": moment(it.created_at),
            "updated_at": moment(it.updated_at), "archived_at": maybe(it.archived_at),
        })
    }

    fn content(self, content: &FakeItemContent) -> (String, &'static str) {
        match content {
            FakeItemContent::Draft { node_id, .. } => (node_id.clone(), "DraftIssue"),
            FakeItemContent::Ticket(key) => {
                let ticket = &self.0.tickets[key];
                let kind = if ticket.pull.is_some() {
                    "PullRequest"
                } else {
                    "Issue"
                };
                (ticket.node_id.clone(), kind)
            }
        }
    }

    /// The word of a webhook for what a field holds.
    pub(crate) fn field_type(self, field: &FakeField) -> &'static str {
        match field.kind {
            FakeFieldKind::Title => "title",
            FakeFieldKind::Text => "text",
            FakeFieldKind::Number => "number",
            FakeFieldKind::Date => "date",
            FakeFieldKind::Select(_) => "single_select",
            FakeFieldKind::Iteration { .. } => "iteration",
        }
    }

    /// A value before or after a change.
    pub(crate) fn changed_value(self, field: &FakeField, value: Option<&FakeFieldValue>) -> Value {
        match (value, &field.kind) {
            (Some(FakeFieldValue::Text(text) | FakeFieldValue::Date(text)), _) => {
                text.clone().into()
            }
            (Some(FakeFieldValue::Number(number)), _) => json!(number),
            (Some(FakeFieldValue::Option(id)), FakeFieldKind::Select(options)) => {
                let found = options.iter().find(|it| it.id == *id);
                found.map_or(Value::Null, |it| {
                    json!({ "id": it.id, "name": it.name, "color": "GRAY", "description": "" })
                })
            }
            (
                Some(FakeFieldValue::Iteration(id)),
                FakeFieldKind::Iteration {
                    active, completed, ..
                },
            ) => {
                let found = active.iter().chain(completed).find(|it| it.id == *id);
                found.map_or(Value::Null, iteration)
            }
            _ => Value::Null,
        }
    }
}

fn iteration(it: &FakeIteration) -> Value {
    json!({
        "id": it.id, "title": it.title, "title_html": it.title, "duration": it.duration_days,
        "start_date": it.start,
    })
}
