//! The page of a list, and the size of an answer.

use mcp::{lenient, params::InputError};
use mcp_server::{
    answer_size::{DEFAULT_RESULT_BYTES, MAX_RESULT_BYTES, MIN_RESULT_BYTES},
    arguments::ArgumentGroup,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::limits::DEFAULT_ITEMS;

/// The page of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "an object"
)]
pub(crate) struct PageInput {
    /// Maximum number of items (default 30).
    #[serde(deserialize_with = "lenient::count_between::<1, 100, _, _>")]
    #[schemars(range(min = 1, max = 100))]
    per_page: Option<usize>,
    /// Continue after this cursor: nextCursor of the page before, with the same other arguments.
    after: Option<String>,
    /// 1, or left out. Pages have no numbers here, because the list changes while it is read: use after.
    #[serde(deserialize_with = "lenient::count")]
    #[schemars(range(min = 1, max = 1))]
    page: Option<u64>,
}

/// The size of an answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "an object"
)]
pub(crate) struct SizeInput {
    /// Maximum size of the answer in bytes of text (default 40000). What has no room follows on the next page, or is
    /// shortened.
    #[serde(
        deserialize_with = "lenient::count_between::<{ MIN_RESULT_BYTES as u64 }, { MAX_RESULT_BYTES as u64 }, _, _>"
    )]
    #[schemars(range(min = 4096, max = 262_144))]
    max_bytes: Option<usize>,
}

impl ArgumentGroup for PageInput {
    const FIELDS: &[&str] = &["perPage", "after", "page"];
}

impl ArgumentGroup for SizeInput {
    const FIELDS: &[&str] = &["maxBytes"];
}

/// A page that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct ListPageRequest {
    /// Maximum number of items.
    pub(crate) items: usize,
    /// The cursor.
    pub(crate) after: Option<String>,
}

impl PageInput {
    /// The page.
    ///
    /// # Errors
    /// A number of a page other than the first.
    pub(crate) fn request(self) -> Result<ListPageRequest, InputError> {
        if self.page.is_some_and(|page| page != 1) {
            let reason = "pages have no numbers here; pass nextCursor of the page before as after";
            return Err(InputError::new("page", reason));
        }
        Ok(ListPageRequest {
            items: self.per_page.unwrap_or(DEFAULT_ITEMS),
            after: self.after,
        })
    }
}

impl SizeInput {
    /// Maximum size of the answer, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.max_bytes.unwrap_or(DEFAULT_RESULT_BYTES)
    }
}
