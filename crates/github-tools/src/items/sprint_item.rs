//! Items of a sprint.

use serde_json::{Value, value::RawValue};

use super::builder::ItemBuilder;
use crate::{
    limits::{NAME_BYTES, TITLE_BYTES},
    sprints::{SprintItem, SprintMetrics},
};

/// An item of a sprint.
fn sprint_item(item: &SprintItem) -> String {
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

/// The items of a status, or all, that fit into this many bytes, and how many of them do not.
pub(crate) fn shown_items(
    items: &[SprintItem],
    status: Option<&str>,
    room: usize,
) -> (Vec<Box<RawValue>>, usize) {
    let wanted = status.map(str::to_lowercase);
    let has = |item: &&SprintItem| {
        let of = item.status.as_deref().unwrap_or(SprintMetrics::NO_STATUS);
        let is = |wanted: &String| of.to_lowercase() == *wanted;
        wanted.as_ref().is_none_or(is)
    };
    let (mut shown, mut bytes, mut all) = (Vec::new(), 0, 0);
    for item in items.iter().filter(has) {
        all += 1;
        let json = sprint_item(item);
        bytes += json.len() + 1;
        if bytes <= room {
            shown.extend(RawValue::from_string(json));
        }
    }
    let left_out = all - shown.len();
    (shown, left_out)
}
