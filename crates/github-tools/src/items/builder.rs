//! An item within its bytes.

use github_events::{json_bytes, shortened};
use ports::MirrorAddress;
use serde_json::Value;

use crate::limits::{CUT, LINK_BYTES, MAX_ITEM_BYTES};

/// An item, whose members come in the order in which they were put: the most telling first. What has no room is left out.
#[derive(Debug)]
pub(super) struct ItemBuilder {
    json: String,
}

impl ItemBuilder {
    pub(super) fn new() -> Self {
        Self {
            json: "{".to_owned(),
        }
    }

    /// Puts a member; null is absent.
    pub(super) fn put(&mut self, key: &str, value: &Value) -> &mut Self {
        if value.is_null() {
            return self;
        }
        let value = value.to_string();
        let comma = usize::from(self.json.len() > 1);
        // With the quotes, the colon, and the brace at the end.
        if self.json.len() + comma + key.len() + 3 + value.len() + 1 > MAX_ITEM_BYTES {
            return self;
        }
        if comma > 0 {
            self.json.push(',');
        }
        self.json.push('"');
        self.json.push_str(key);
        self.json.push_str("\":");
        self.json.push_str(&value);
        self
    }

    /// Puts a text of up to this many bytes, or a number or a flag.
    pub(super) fn put_short(&mut self, key: &str, value: &Value, max_bytes: usize) -> &mut Self {
        match value {
            Value::String(text) => self.put(key, &shortened(text, max_bytes, CUT).into()),
            Value::Number(_) | Value::Bool(_) => self.put(key, value),
            _ => self,
        }
    }

    /// Puts a link, if it is not too long.
    pub(super) fn put_link(&mut self, key: &str, value: &Value) -> &mut Self {
        match value {
            Value::String(text) if json_bytes(text) <= LINK_BYTES => self.put(key, value),
            _ => self,
        }
    }

    /// Puts the names of elements, as many as take up to this many bytes; `…` stands for the others.
    pub(super) fn put_names(
        &mut self,
        key: &str,
        elements: &Value,
        (name, max_bytes): (&str, usize),
    ) -> &mut Self {
        let mut names: Vec<Value> = Vec::new();
        let mut left = max_bytes;
        for element in elements.as_array().into_iter().flatten() {
            let text = element.as_str().or_else(|| element[name].as_str());
            let text = text.unwrap_or(CUT);
            match left.checked_sub(json_bytes(text) + 1) {
                Some(rest) if text != CUT => {
                    left = rest;
                    names.push(text.into());
                }
                _ => {
                    names.push(CUT.into());
                    break;
                }
            }
        }
        match names.is_empty() {
            true => self,
            false => self.put(key, &names.into()),
        }
    }

    /// Puts where the resource is, for a list of several repositories.
    pub(super) fn put_repository(&mut self, address: &MirrorAddress) -> &mut Self {
        match &address.repo {
            Some(repo) => self.put("repository", &format!("{}/{repo}", address.owner).into()),
            None => self,
        }
    }

    pub(super) fn finish(&mut self) -> String {
        let mut json = std::mem::take(&mut self.json);
        json.push('}');
        json
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_have_no_room_are_marked() {
        let names = |elements: Value, max_bytes| {
            let mut builder = ItemBuilder::new();
            builder.put_names("labels", &elements, ("name", max_bytes));
            builder.finish()
        };
        let two = json!([{"name": "bug"}, {"name": "ui"}]);
        assert_eq!(names(two.clone(), 100), r#"{"labels":["bug","ui"]}"#);
        assert_eq!(names(two, 8), r#"{"labels":["bug","…"]}"#);
        assert_eq!(
            names(json!([{"name": "bug"}, "…"]), 100),
            r#"{"labels":["bug","…"]}"#
        );
        assert_eq!(names(json!([]), 100), "{}");
        assert_eq!(names(Value::Null, 100), "{}");
    }

    proptest! {
        /// Whatever is put, the item is JSON within its bytes, and its first members are in it.
        #[test]
        fn an_item_is_json_within_its_bytes(texts in prop::collection::vec(".{0,400}", 0..12)) {
            let mut builder = ItemBuilder::new();
            builder.put("number", &7.into());
            for (place, text) in texts.iter().enumerate() {
                let value = Value::from(text.as_str());
                builder.put(&format!("t{place}"), &value);
                builder.put_short(&format!("s{place}"), &value, 90);
                builder.put_names(&format!("n{place}"), &json!([text, text]), ("name", 60));
            }
            let json = builder.finish();
            prop_assert!(json.len() <= MAX_ITEM_BYTES);
            let read: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&read["number"], &json!(7));
        }
    }
}
