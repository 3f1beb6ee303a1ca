//! Ids of resources that have no node id: `{node id of where it is}:{path}`.
//!
//! | resource | id |
//! | --- | --- |
//! | a branch or tag | `{repository}:refs/heads/main`, `{repository}:refs/tags/v1` |
//! | the statuses of a commit | `{repository}:commit_status/{sha}` |
//! | what has a number or id within its repository, organization or enterprise | `{repository}:dependabot_alert/7` |
//! | a user in a repository or team | `{repository}:star/{user}` |
//! | what a repository has once | `{repository}:gollum` |
//! | what is nowhere | `security_advisory/GHSA-…` |
//!
//! Characters of a path that are not visible ASCII, and `%`, are percent-encoded as UTF-8. Where that gives more
//! than an id may have (256 bytes), the path is `sha256-` and the digest of the path in 64 hexadecimal digits. Such
//! ids never look like GitHub's, which have neither `:` nor `/`; `model` tells the two forms from names and URLs
//! ([`ResourceId::is_node_id`], [`ResourceId::is_derived`]), and every event is found by its own.

use std::fmt::Write as _;

use model::ResourceId;
use sha2::{Digest, Sha256};

/// The id of what is at `path` in the place with this node id; `None` for an empty path.
pub(crate) fn derived(place: Option<&ResourceId>, path: &str) -> Option<ResourceId> {
    if path.is_empty() {
        return None;
    }
    let id = |path: &str| {
        let text = match place {
            Some(place) => format!("{place}:{path}"),
            None => path.to_owned(),
        };
        ResourceId::new(&text).ok()
    };
    // A text that is too long before it is encoded need not be encoded.
    let short = (path.len() <= ResourceId::MAX_BYTES).then(|| encoded(path));
    let short = short.and_then(|path| id(&path));
    short.or_else(|| id(&digest(path)))
}

fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte.is_ascii_graphic() && byte != b'%' {
            true => text.push(char::from(byte)),
            false => {
                // Writing into a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

fn digest(path: &str) -> String {
    let mut text = String::from("sha256-");
    for byte in Sha256::digest(path) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_repository(path: &str) -> String {
        let place = ResourceId::new("R_1").unwrap();
        derived(Some(&place), path).unwrap().to_string()
    }

    #[test]
    fn what_has_no_node_id_has_a_readable_id_in_its_place() {
        assert_eq!(in_repository("refs/heads/main"), "R_1:refs/heads/main");
        assert_eq!(
            in_repository("refs/heads/für 100%"),
            "R_1:refs/heads/f%C3%BCr%20100%25"
        );
        let nowhere = derived(None, "security_advisory/GHSA-1").unwrap();
        assert_eq!(nowhere.as_str(), "security_advisory/GHSA-1");
        assert_eq!(derived(None, ""), None);
    }

    #[test]
    fn paths_that_are_too_long_have_ids_of_their_own() {
        let long = |last: &str| in_repository(&format!("refs/heads/{}{last}", "ü".repeat(100)));
        assert!(long("a").starts_with("R_1:sha256-"));
        assert_eq!(long("a").len(), "R_1:sha256-".len() + 64);
        assert_eq!(long("a"), long("a"));
        assert_ne!(long("a"), long("b"));
        assert!(in_repository(&"x".repeat(1 << 20)).starts_with("R_1:sha256-"));
    }
}
