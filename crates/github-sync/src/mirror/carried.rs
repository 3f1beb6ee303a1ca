//! What an object carries of other resources, as it is now: its labels, its milestone and the name of its repository.
//!
//! GitHub does not change an issue when one of its labels is renamed, so the object that is kept still has the former name.
//! Objects stay as GitHub sent them. Whoever reads one gets it with what is known by then: the label's or the milestone's own
//! object, if that is from a later moment than the object that carries it, and the present name in the addresses. So it does not
//! matter which of the two arrived first, and a rename costs nothing until something is read.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What has changed of what an object carries, since it was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CarriedNews {
    /// Labels by their position in the object, each with its present object; `None` if it was deleted.
    pub(super) labels: Vec<(usize, Option<Bytes>)>,
    /// The milestone's present object; `None` within if it was deleted.
    pub(super) milestone: Option<Option<Bytes>>,
    /// The former and the present `owner/repo`.
    pub(super) renamed: Option<(Box<str>, Box<str>)>,
}

/// The members that are replaced.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    milestone: Option<&'a RawValue>,
}

impl CarriedNews {
    /// The object with the news in it; all else stays as GitHub wrote it.
    pub(super) fn applied_to(&self, json: &Bytes) -> Bytes {
        let replaced = self.with_members(json);
        let text = replaced.as_deref().unwrap_or(json);
        let renamed = self.renamed.as_ref();
        match renamed.map(|(from, to)| with_renamed_addresses(text, from, to)) {
            Some(renamed) => renamed.into(),
            None => replaced.map_or_else(|| json.clone(), Bytes::from),
        }
    }

    /// The object with other labels and another milestone; `None` if both stay.
    fn with_members(&self, json: &Bytes) -> Option<Vec<u8>> {
        if self.labels.is_empty() && self.milestone.is_none() {
            return None;
        }
        let members: Members<'_> = serde_json::from_slice(json).ok()?;
        let labels = members.labels.filter(|_| !self.labels.is_empty());
        let labels = labels.and_then(|old| Some((old, self.labels_in(old)?)));
        let milestone = members.milestone.zip(self.milestone.as_ref());
        let milestone = milestone.map(|(old, new)| (old, new.as_deref().unwrap_or(b"null").into()));
        let mut changes: Vec<(&RawValue, Vec<u8>)> = labels.into_iter().chain(milestone).collect();
        let start = |old: &RawValue| old.get().as_ptr() as usize - json.as_ptr() as usize;
        changes.sort_unstable_by_key(|(old, _)| start(old));
        let mut text = Vec::with_capacity(json.len() + 256);
        let mut from = 0;
        for (old, new) in changes {
            text.extend_from_slice(&json[from..start(old)]);
            text.extend_from_slice(&new);
            from = start(old) + old.get().len();
        }
        text.extend_from_slice(&json[from..]);
        Some(text)
    }

    fn labels_in(&self, labels: &RawValue) -> Option<Vec<u8>> {
        let labels: Vec<&RawValue> = serde_json::from_str(labels.get()).ok()?;
        let present = labels.iter().enumerate().filter_map(|(at, label)| {
            let news = self.labels.iter().find(|(position, _)| *position == at);
            match news {
                Some((_, new)) => new.as_deref(),
                None => Some(label.get().as_bytes()),
            }
        });
        let present: Vec<&[u8]> = present.collect();
        let mut text = vec![b'['];
        text.extend_from_slice(&present.join(&b','));
        text.push(b']');
        Some(text)
    }
}

/// A JSON text in which each address of a repository, and its full name, is that of another. Addresses are the values of
/// `url`, of members whose names end with it, and of `full_name`: texts that people wrote stay as they are.
fn with_renamed_addresses(json: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(json.len() + 256);
    let (mut at, mut copied, mut name) = (0, 0, &b""[..]);
    while let Some(quote) = json[at..].iter().position(|byte| *byte == b'"') {
        let begin = at + quote + 1;
        let Some(length) = length_of_string(&json[begin..]) else {
            break;
        };
        let (value, rest) = (&json[begin..begin + length], &json[begin + length + 1..]);
        at = begin + length + 1;
        if rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':') {
            name = value;
            continue;
        }
        let place = match std::mem::take(&mut name) {
            b"full_name" => value.eq_ignore_ascii_case(from.as_bytes()).then_some(0),
            name if name.ends_with(b"url") => place_in_address(value, from.as_bytes()),
            _ => None,
        };
        if let Some(place) = place {
            text.extend_from_slice(&json[copied..begin + place]);
            text.extend_from_slice(to.as_bytes());
            copied = begin + place + from.len();
        }
    }
    text.extend_from_slice(&json[copied..]);
    text
}

/// The length of a JSON string of which the opening quote was read.
fn length_of_string(json: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// Where `owner/repo` is in an address, as whole segments of its path.
fn place_in_address(address: &[u8], name: &[u8]) -> Option<usize> {
    let is_here = |at: usize| {
        let (before, rest) = (address[at - 1], &address[at + name.len()..]);
        let ends = rest.is_empty() || rest == b".git" || b"/{?#".contains(&rest[0]);
        b"/:".contains(&before) && ends && address[at..].len() >= name.len()
    };
    let mut windows = (1..).zip(address.get(1..)?.windows(name.len().max(1)));
    windows.find_map(|(at, part)| (part.eq_ignore_ascii_case(name) && is_here(at)).then_some(at))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn applied(news: &CarriedNews, object: &str) -> String {
        String::from_utf8(
            news.applied_to(&Bytes::copy_from_slice(object.as_bytes()))
                .into(),
        )
        .unwrap()
    }

    #[test]
    fn labels_and_milestone_are_replaced_and_all_else_stays_as_it_was_written() {
        let object = r#"{ "milestone":{"title":"old"},"z":"\u00e9", "labels" : [ {"name":"a"}, {"name":"b"},{"name":"c"} ] ,"a":1}"#;
        let news = CarriedNews {
            labels: vec![(0, Some(Bytes::from_static(br#"{"name":"A"}"#))), (1, None)],
            milestone: Some(None),
            renamed: None,
        };
        let expected =
            r#"{ "milestone":null,"z":"\u00e9", "labels" : [{"name":"A"},{"name":"c"}] ,"a":1}"#;
        assert_eq!(applied(&news, object), expected);
        // What is not there is not put there.
        assert_eq!(applied(&news, r#"{"a":[]}"#), r#"{"a":[]}"#);
        assert_eq!(applied(&news, "broken"), "broken");
        assert_eq!(applied(&CarriedNews::default(), object), object);
    }

    #[test]
    fn addresses_have_the_present_name_and_texts_of_people_do_not() {
        let news = CarriedNews {
            renamed: Some(("octo/cat".into(), "apex/lion".into())),
            ..CarriedNews::default()
        };
        let object = json!({
            "body": "see \"https://github.com/octo/cat/issues/1\"", "title": "url",
            "url": "https://api.github.com/repos/Octo/cat/issues/1",
            "html_url": "https://github.com/octo/cat", "other_url": "https://github.com/octo/cats/1",
            "labels_url": "https://api.github.com/repos/octo/cat/issues/1/labels{/name}",
            "ssh_url": "git@github.com:octo/cat.git", "none_url": null, "url_of": "/octo/cat",
            "head": { "repo": { "full_name": "octo/cat", "owner": { "url": "https://api.github.com/users/octo" } } },
        });
        let renamed: Value = serde_json::from_str(&applied(&news, &object.to_string())).unwrap();
        let mut expected = object;
        expected["url"] = "https://api.github.com/repos/apex/lion/issues/1".into();
        expected["html_url"] = "https://github.com/apex/lion".into();
        expected["labels_url"] =
            "https://api.github.com/repos/apex/lion/issues/1/labels{/name}".into();
        expected["ssh_url"] = "git@github.com:apex/lion.git".into();
        expected["head"]["repo"]["full_name"] = "apex/lion".into();
        assert_eq!(renamed, expected);
    }
}
