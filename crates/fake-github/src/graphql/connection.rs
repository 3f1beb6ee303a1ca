//! Pages of objects, by cursors that stay right while the world changes.

use apollo_compiler::resolvers::{FieldError, ResolveInfo};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    arguments::{member, number, word},
    thing::{Resolved, Thing, What, leaf},
};

/// What objects are sorted by, and an id where that is the same.
pub(super) type ConnectionPlace = (i64, u64);

/// A page.
#[derive(Clone)]
pub(super) struct Connection<'w> {
    pub(super) type_name: &'static str,
    edge_name: &'static str,
    shown: Vec<(ConnectionPlace, What<'w>)>,
    total: usize,
    has_next: bool,
    has_previous: bool,
}

fn cursor((at, id): ConnectionPlace) -> String {
    STANDARD.encode(format!("cursor:v2:{at}:{id}"))
}

fn read_cursor(text: &str) -> Option<ConnectionPlace> {
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (at, id) = text.strip_prefix("cursor:v2:")?.split_once(':')?;
    Some((at.parse().ok()?, id.parse().ok()?))
}

/// Which way a list goes.
pub(super) fn is_descending(info: &ResolveInfo<'_>) -> bool {
    member(info, "orderBy", "direction") == Some("DESC")
}

/// Whether a list is ordered by this.
pub(super) fn is_ordered_by(info: &ResolveInfo<'_>, field: &str) -> bool {
    member(info, "orderBy", "field") == Some(field)
}

impl<'w> Thing<'w> {
    /// The page of a list that a field asks for. The list is sorted here.
    pub(super) fn page<'a>(
        &self,
        info: &ResolveInfo<'_>,
        [type_name, edge_name]: [&'static str; 2],
        mut all: Vec<(ConnectionPlace, What<'w>)>,
    ) -> Resolved<'a>
    where
        'w: 'a,
    {
        all.sort_by_key(|(place, _)| *place);
        let descending = is_descending(info);
        if descending {
            all.reverse();
        }
        let total = all.len();
        let follows = |one: ConnectionPlace, other: ConnectionPlace| {
            if descending { one < other } else { one > other }
        };
        let bound = |name: &str| -> Result<Option<ConnectionPlace>, FieldError> {
            let Some(text) = word(info, name) else {
                return Ok(None);
            };
            let invalid = || FieldError {
                message: format!(
                    "INVALID_CURSOR_ARGUMENTS|`{text}` does not appear to be a valid cursor."
                ),
            };
            read_cursor(text).map(Some).ok_or_else(invalid)
        };
        let (mut has_previous, mut has_next) = (false, false);
        if let Some(after) = bound("after")? {
            all.retain(|(place, _)| follows(*place, after));
            has_previous = all.len() < total;
        }
        if let Some(before) = bound("before")? {
            let count = all.len();
            all.retain(|(place, _)| follows(before, *place));
            has_next = all.len() < count;
        }
        let count = |name: &str| usize::try_from(number(info, name)?).ok();
        if let Some(first) = count("first") {
            has_next |= all.len() > first;
            all.truncate(first);
        } else if let Some(last) = count("last") {
            let skipped = all.len().saturating_sub(last);
            has_previous |= skipped > 0;
            all.drain(..skipped);
        }
        let page = Connection {
            type_name,
            edge_name,
            shown: all,
            total,
            has_next,
            has_previous,
        };
        self.object(What::Connection(page))
    }

    pub(super) fn connection<'a>(&self, it: &Connection<'w>, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        match name {
            "totalCount" => leaf(it.total),
            "pageInfo" => self.object(What::PageInfo(it.clone())),
            "nodes" => self.list(it.shown.iter().map(|(_, what)| what.clone()).collect()),
            _ => {
                let edge = |(place, what): &(ConnectionPlace, What<'w>)| {
                    What::Edge(it.edge_name, cursor(*place), Box::new(what.clone()))
                };
                self.list(it.shown.iter().map(edge).collect())
            }
        }
    }
}

impl Connection<'_> {
    pub(super) fn page_info<'a>(&self, name: &str) -> Resolved<'a> {
        let of = |at: Option<&(ConnectionPlace, What<'_>)>| {
            at.map_or(Value::Null, |(place, _)| cursor(*place).into())
        };
        match name {
            "hasNextPage" => leaf(self.has_next),
            "hasPreviousPage" => leaf(self.has_previous),
            "startCursor" => leaf(of(self.shown.first())),
            _ => leaf(of(self.shown.last())),
        }
    }
}
