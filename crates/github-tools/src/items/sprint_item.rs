//! Items of a sprint.

use serde_json::Value;

use super::builder::ItemBuilder;
use crate::{
    limits::{NAME_BYTES, TITLE_BYTES},
    sprints::SprintItem,
};

/// An item of a sprint.
pub(crate) fn sprint_item(item: &SprintItem) -> String {
    let content = item.content.clone().unwrap_or_default();
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let flag = |is: bool| if is { Value::Bool(true) } else { Value::Null };
    let points = item.points.map_or(Value::Null, Value::from);
    ItemBuilder::new()
        .put_short("repository", &text(content.repository()), TITLE_BYTES)
        .put("number", &content.number.map_or(Value::Null, Value::from))
        .put_short("title", &text(content.title.as_deref()), TITLE_BYTES)
        .put("type", &item.kind.into())
        .put_short("status", &text(item.status.as_deref()), NAME_BYTES)
        .put("done", &item.is_done.into())
        .put_short("state", &text(content.state().as_deref()), NAME_BYTES)
        .put("points", &points)
        .put("addedAfterStart", &flag(item.came_later))
        .put("archived", &flag(item.is_archived))
        .put_link("url", &text(content.url.as_deref()))
        .put_short("closedAt", &text(content.closed_at.as_deref()), NAME_BYTES)
        .finish()
}
