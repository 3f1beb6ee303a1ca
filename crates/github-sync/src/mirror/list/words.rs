//! Words in the texts of an object.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The texts of an object: the title, under the names that it has in objects without one, and the body.
#[derive(Deserialize)]
struct Texts<'a> {
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    display_title: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    description: Option<&'a RawValue>,
}

/// Whether each of these words, which are in lower case, is somewhere in the title or the body.
pub(super) fn has_all(json: &[u8], words: &[Box<str>]) -> bool {
    let Ok(texts) = serde_json::from_slice::<Texts<'_>>(json) else {
        return false;
    };
    let titles = [texts.title, texts.name, texts.display_title];
    let texts = titles.into_iter().chain([texts.body, texts.description]);
    let texts = texts.flatten().filter_map(|text| text_of(text.get()));
    let texts: Vec<String> = texts.collect();
    words
        .iter()
        .all(|word| texts.iter().any(|text| text.contains(&**word)))
}

/// The text of a JSON string in lower case; `None` for any other value.
fn text_of(raw: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let Text(text) = serde_json::from_str(raw).ok()?;
    Some(text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_found_in_titles_and_bodies_in_any_case() {
        let object =
            json!({ "title": "Über \"den\" Wolken", "body": "Line 1\nLINE 2", "user": "mona" });
        let json = object.to_string();
        let has = |words: &[&str]| {
            let words: Vec<Box<str>> = words.iter().map(|word| (*word).into()).collect();
            has_all(json.as_bytes(), &words)
        };
        assert!(has(&["über", "line 2", "\"den\""]));
        assert!(has(&[]));
        for absent in [&["mona"][..], &["wolken", "line 3"], &["1 line"]] {
            assert!(!has(absent), "{absent:?}");
        }
        let other = json!({ "title": null, "body": 7, "name": "Bug" }).to_string();
        assert!(has_all(other.as_bytes(), &["bug".into()]));
        assert!(!has_all(b"null", &["x".into()]));
    }
}
