//! Pages of a list (MCP, Server Utilities, "Pagination").
//!
//! A cursor names the last item of the previous page, not a number: if the list changes between two
//! pages, nothing is skipped and nothing is repeated. Any edge can read it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{envelope::RpcError, limits::MAX_PAGE_CURSOR_BYTES, params};

/// Params of all list requests.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct ListParams {
    /// The start of the page; absent for the first page. Empty counts as absent: form-like clients send every
    /// field that they have.
    #[serde(default, deserialize_with = "empty_as_absent")]
    pub cursor: Option<String>,
}

fn empty_as_absent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let cursor = Option::<String>::deserialize(deserializer)?;
    Ok(cursor.filter(|cursor| !cursor.is_empty()))
}

impl ListParams {
    /// Reads the params.
    ///
    /// # Errors
    /// -32602: the cursor is not text.
    pub fn parse(params: Option<&RawValue>) -> Result<Self, RpcError> {
        Ok(params::parse(params)?)
    }
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListPage<'a, T> {
    /// The items, in the order of the list.
    pub items: &'a [T],
    /// The cursor of the next page; absent at the end.
    pub next_cursor: Option<String>,
}

/// Cuts a page of up to `size` items (at least one) out of `items`, which are sorted by `key` and
/// have unique keys. `list` is the name of the list, so that a cursor of one list is refused by
/// another.
///
/// # Errors
/// -32602: the cursor does not belong to this list.
pub fn paginate<'a, T>(
    list: &str,
    items: &'a [T],
    cursor: Option<&str>,
    size: usize,
    key: impl Fn(&T) -> &str,
) -> Result<ListPage<'a, T>, RpcError> {
    debug_assert!(
        items.is_sorted_by(|a, b| key(a) < key(b)),
        "{list} is not sorted"
    );
    let start = match cursor {
        None => 0,
        Some(cursor) => {
            let after = decode(list, cursor)
                .ok_or_else(|| RpcError::invalid_params("cursor: does not belong to this list"))?;
            items.partition_point(|item| key(item) <= after.as_str())
        }
    };
    let end = items.len().min(start.saturating_add(size.max(1)));
    let items_left = end < items.len();
    let items = &items[start..end];
    let next_cursor = items
        .last()
        .filter(|_| items_left)
        .map(|last| encode(list, key(last)));
    Ok(ListPage { items, next_cursor })
}

fn encode(list: &str, key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}\n{key}"))
}

fn decode(list: &str, cursor: &str) -> Option<String> {
    if cursor.len() > MAX_PAGE_CURSOR_BYTES {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (of, key) = text.split_once('\n')?;
    (of == list).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn page<'a>(items: &'a [String], cursor: Option<&str>, size: usize) -> ListPage<'a, String> {
        paginate("tools", items, cursor, size, String::as_str).unwrap()
    }

    proptest! {
        #[test]
        fn all_pages_together_are_the_list(names: BTreeSet<String>, size in 0_usize..5) {
            let short = |name: String| name.chars().take(50).collect();
            let names: BTreeSet<String> = names.into_iter().map(short).collect();
            let names: Vec<String> = names.into_iter().collect();
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = page(&names, cursor.as_deref(), size);
                seen.extend_from_slice(page.items);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, names);
        }

        #[test]
        fn no_cursor_makes_it_panic(cursor in "\\PC{0,40}") {
            let _ = paginate("tools", &["a"], Some(&cursor), 1, |n| n);
        }
    }

    #[test]
    fn an_empty_cursor_is_an_absent_one() {
        for params in [r#"{"cursor":""}"#, r#"{"cursor":null}"#, "{}"] {
            let raw = RawValue::from_string(params.to_owned()).unwrap();
            let params = ListParams::parse(Some(&raw));
            assert_eq!(params.unwrap(), ListParams::default());
        }
        let raw = RawValue::from_string(r#"{"cursor":7}"#.to_owned()).unwrap();
        assert!(ListParams::parse(Some(&raw)).is_err());
    }

    #[test]
    fn a_list_that_shrinks_between_pages_skips_nothing() {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        let cursor = page(&names, None, 2).next_cursor;
        assert_eq!(page(&names[2..], cursor.as_deref(), 5).items, ["c", "d"]);
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = encode("resources", "a");
        for bad in [cursor.as_str(), "", "%", &"A".repeat(4100)] {
            let error = paginate("tools", &["a"], Some(bad), 1, |n| n).unwrap_err();
            assert_eq!(error.code.number(), -32602, "{bad}");
        }
    }
}
