//! The forms of `resourceId`, by which a filter tells an id from a name, a path and a URL.
//!
//! GitHub's node ids are base64, whose alphabet has neither `:` nor `/` where it encodes ASCII. What has no node id
//! has one that `github-events` derives from its place (its module `identity`): `{place}:{path}`, or `{kind}/{name}`
//! for what is nowhere. Nothing else is stored.

use crate::{ResourceId, ResourceType};

/// What contains a resource without a node id, and may have none itself: then it is `{kind}/{numeric id}`.
const NUMBERED_PLACES: [&str; 4] = ["repository", "organization", "enterprise", "installation"];

impl ResourceId {
    /// Whether a text has the form of GitHub's node ids. Digits alone are a numeric id.
    #[must_use]
    pub fn is_node_id(text: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=+".contains(&byte);
        let is_short = (1..=Self::MAX_BYTES).contains(&text.len());
        is_short && text.bytes().all(fits) && !is_number(text)
    }

    /// Whether a text has the form of an id that is derived from a place and a path.
    #[must_use]
    pub fn is_derived(text: &str) -> bool {
        is_encoded(text) && Self::names_place_and_path(text)
    }

    /// As [`Self::is_derived`], whether the path is encoded or not.
    pub(crate) fn names_place_and_path(text: &str) -> bool {
        match text.split_once(':') {
            // `https://…` is no place.
            Some((place, path)) if is_place(place) => !path.is_empty() && !path.starts_with("//"),
            _ => text.split_once('/').is_some_and(|(kind, name)| {
                let is_kind = ResourceType::KNOWN
                    .iter()
                    .any(|known| known.as_str() == kind);
                is_kind && !name.is_empty() && !name.contains('/')
            }),
        }
    }
}

fn is_place(text: &str) -> bool {
    let numbered = text.split_once('/');
    let is_numbered =
        numbered.is_some_and(|(kind, id)| NUMBERED_PLACES.contains(&kind) && is_number(id));
    is_numbered || ResourceId::is_node_id(text)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is visible ASCII in which every `%` begins an encoded byte. One that a query had decoded once too
/// often is not.
fn is_encoded(text: &str) -> bool {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default();
    let is_code = |part: &str| {
        let code = part.as_bytes().get(..2);
        code.is_some_and(|code| {
            let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
            code.iter().all(is_digit)
        })
    };
    let visible = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic());
    visible(first) && parts.all(|part| is_code(part) && visible(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_names_paths_and_urls() {
        for id in [
            "I_kwDOAbc123",
            "MDU6SXNzdWUx",
            "MDQ6VXNlcjU4MzIzMQ==",
            "R_1",
        ] {
            assert!(ResourceId::is_node_id(id), "{id}");
        }
        for other in [
            "",
            "4711",
            "a b",
            "R_1:x",
            "a/b",
            "#7",
            "github.com",
            &"x".repeat(257),
        ] {
            assert!(!ResourceId::is_node_id(other), "{other}");
        }
        for id in [
            "R_1:refs/heads/main",
            "R_1:refs/heads/f%C3%BCr%20100%25",
            "R_1:refs/heads/a#b",
            "R_1:gollum",
            "R_1:sha256-00",
            "repository/7:refs/tags/v1",
            "installation/77",
            "security_advisory/GHSA-1",
        ] {
            assert!(ResourceId::is_derived(id), "{id}");
        }
        for other in [
            "https://github.com/acme/rocket/issues/7",
            "github://issues/acme/rocket/7",
            "git@github.com:acme/rocket.git",
            "gitlab.com:acme/rocket.git",
            "acme/rocket",
            "user/rocket/issues/7",
            "R_1:",
            "7:x",
            "R_1:refs/heads/100%",
            "R_1:refs/heads/f%c3%bcr",
            "R_1:refs/heads/für",
            "R_1:refs/heads/a b",
            "installation/",
        ] {
            assert!(!ResourceId::is_derived(other), "{other}");
        }
    }
}
