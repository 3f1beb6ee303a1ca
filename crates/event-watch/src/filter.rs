//! The filter as it is written on a command line: `repo=acme/rocket resourceType=issue tags="needs review"`.

use model::{EventType, FilterRequest, GithubReference, ResourceType};

use crate::error::WatchError;

/// The fields whose value may be an address.
const ADDRESSES: [&str; 3] = ["repo", "owner", "resourceId"];

/// The fields of one filter, by the names of REST. Their values are read by the edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchFilter(Vec<(&'static str, String)>);

fn refused(reason: String) -> WatchError {
    WatchError::Option {
        name: "--filter",
        reason,
    }
}

impl WatchFilter {
    /// Reads `field=value` pairs between white space. A value with white space is in double quotes. Names of fields
    /// are taken in any case; an empty text is the filter that everything matches.
    ///
    /// # Errors
    /// A part is no pair, a field is unknown, is empty, or has two values.
    ///
    /// Users and passwords in addresses are left out before anything else: the address of a git remote may have a
    /// token in it, which would get into logs, errors and the request.
    pub fn parse(text: &str) -> Result<Self, WatchError> {
        let mut fields: Vec<(&'static str, String)> = Vec::new();
        for part in parts(text)? {
            let part = without_user(&part);
            let Some((name, value)) = part.split_once('=') else {
                return Err(refused(format!("{part:?} is no field=value")));
            };
            let field = known(name, value)?;
            // Labels keep their quotes, which have the same meaning to the edge.
            let value = match field {
                "tags" => value.to_owned(),
                _ => value.replace('"', ""),
            };
            // To the edge it is absent, and a command would run for every event.
            if value.replace('"', "").trim().is_empty() {
                return Err(refused(format!(
                    "{field} is empty, and would narrow nothing; leave it out, or give it a value"
                )));
            }
            if field != "tags" && fields.iter().any(|(known, _)| *known == field) {
                return Err(refused(format!(
                    "{field} has two values, and one event cannot match both; watch several filters with a \
                     subscription (POST /events/subscribe) and --subscription"
                )));
            }
            fields.push((field, value));
        }
        // The same filter has the same name, however it is written.
        fields.sort();
        Ok(Self(fields))
    }

    pub(crate) fn fields(&self) -> &[(&'static str, String)] {
        &self.0
    }

    /// The fields in one spelling: the edge compares names without case, and takes URLs for them.
    pub(crate) fn canonical(&self) -> Vec<(&'static str, String)> {
        let fields = self.0.iter();
        let fields = fields.map(|(name, value)| (*name, canonical(name, value)));
        let mut fields: Vec<_> = fields.collect();
        fields.sort();
        fields
    }
}

fn canonical(name: &str, value: &str) -> String {
    let named = match name {
        // Node ids differ in their case.
        "resourceId" => return value.to_owned(),
        "owner" => GithubReference::read_owner(value).ok(),
        "repo" => GithubReference::read_repository(value)
            .ok()
            .map(|(owner, repo)| format!("{owner}/{repo}")),
        "actor" => GithubReference::read_account(value).ok(),
        _ => None,
    };
    named.unwrap_or_else(|| value.to_ascii_lowercase())
}

/// Splits at white space outside of double quotes.
fn parts(text: &str) -> Result<Vec<String>, WatchError> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut is_quoted = false;
    for c in text.chars() {
        is_quoted ^= c == '"';
        if c.is_whitespace() && !is_quoted {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
    }
    if is_quoted {
        let part = without_user(&part);
        return Err(refused(format!("a quote is not closed: {part}")));
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    Ok(parts)
}

/// A part without the user and password of an address: `https://user:password@host/…`, also without the scheme. That of
/// a clone address (`git@github.com:…`) stays, because it is none.
fn without_user(part: &str) -> String {
    let (before, address) = match part.find("://") {
        Some(at) => part.split_at(at + 3),
        None => match part.split_once('=') {
            Some((name, _))
                if !ADDRESSES
                    .iter()
                    .any(|field| field.eq_ignore_ascii_case(name)) =>
            {
                return part.to_owned();
            }
            Some((name, _)) => part.split_at(name.len() + 1),
            None => ("", part),
        },
    };
    match split_user(address) {
        Some((user, rest)) if !user.is_empty() && user != "git" => format!("{before}{rest}"),
        _ => part.to_owned(),
    }
}

/// The user and password before a host, and what follows them.
fn split_user(address: &str) -> Option<(&str, &str)> {
    let end = address.find(['/', '?', '#']).unwrap_or(address.len());
    let host = &address[..end];
    if let Some(at) = host.rfind('@') {
        return Some((&address[..at], &address[at + 1..]));
    }
    // A password with a slash that should have been encoded: what follows the colon is no port.
    let (_, port) = host.split_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    (!is_port).then(|| address.rsplit_once('@')).flatten()
}

/// The field that a name means. `type` alone is what its value is: a kind of resource, or a type of event.
fn known(name: &str, value: &str) -> Result<&'static str, WatchError> {
    if name.eq_ignore_ascii_case("type") {
        if ResourceType::parse(value).is_some() {
            return Ok("resourceType");
        }
        if EventType::parse(value).is_some() {
            return Ok("eventType");
        }
        return Err(refused(format!(
            "type={value} is neither a resourceType ({}) nor an eventType ({})",
            ResourceType::known_names(),
            EventType::known_names()
        )));
    }
    let mut fields = FilterRequest::FIELDS.into_iter();
    fields
        .find(|field| field.eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            let known = FilterRequest::FIELDS.join(", ");
            refused(format!("unknown field {name:?}; known: {known}"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(&'static str, String)>, String> {
        let filter = WatchFilter::parse(text).map_err(|error| error.to_string())?;
        Ok(filter.0)
    }

    #[test]
    fn fields_are_those_of_rest() {
        for (text, fields) in [
            ("", &[][..]),
            (
                "repo=acme/rocket  type=pull_request",
                &[("repo", "acme/rocket"), ("resourceType", "pull_request")],
            ),
            ("TYPE=closed\n", &[("eventType", "closed")]),
            (
                r#"resourcetype=issue tags="needs review",bug tags=x"#,
                &[
                    ("resourceType", "issue"),
                    ("tags", r#""needs review",bug"#),
                    ("tags", "x"),
                ],
            ),
            (r#"actor="mona""#, &[("actor", "mona")]),
            ("resourceId=a=b", &[("resourceId", "a=b")]),
        ] {
            let read = read(text).unwrap();
            let read: Vec<_> = read.iter().map(|(n, v)| (*n, v.as_str())).collect();
            assert_eq!(read, fields, "{text}");
        }
    }

    #[test]
    fn a_token_in_the_address_of_a_remote_goes_nowhere() {
        for (text, address) in [
            (
                "repo=https://x-access-token:ghp_hidden@github.com/acme/rocket",
                "https://github.com/acme/rocket",
            ),
            (
                "repo=ghp_hidden@github.com/acme/rocket",
                "github.com/acme/rocket",
            ),
            (
                "REPO=\"https://u:ghp_hid/den@github.com/acme/rocket.git\"",
                "https://github.com/acme/rocket.git",
            ),
            (
                "resourceId=https://u:ghp_hidden@github.com/a/b/issues/1",
                "https://github.com/a/b/issues/1",
            ),
            (
                "repo=git@github.com:acme/rocket.git",
                "git@github.com:acme/rocket.git",
            ),
            (
                "repo=ssh://git@github.com/acme/rocket",
                "ssh://git@github.com/acme/rocket",
            ),
            ("repo=@acme/rocket", "@acme/rocket"),
            ("actor=https://github.com/@mona", "https://github.com/@mona"),
            ("actor=a@b", "a@b"),
        ] {
            let fields = read(text).unwrap();
            assert_eq!(fields[0].1, address, "{text}");
        }
        for text in [
            "https://u:ghp_hidden@github.com/a/b",
            "u:ghp_hidden@github.com/a/b",
            "https://u:ghp_hidden@github.com/a/b?x=y",
            "type=https://u:ghp_hidden@github.com/a/b",
            "\"https://u:ghp_hidden@github.com/a/b",
            "repo=\"https://u:ghp_hidden@github.com/a/b",
        ] {
            let refused = read(text).unwrap_err();
            assert!(!refused.contains("hid"), "{refused}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_by_name() {
        for (text, words) in [
            ("repo", "no field=value"),
            (
                "repos=acme/rocket",
                "unknown field \"repos\"; known: resourceType",
            ),
            ("type=wiki", "neither a resourceType"),
            ("repo=a/b repo=c/d", "repo has two values"),
            ("resourceType=", "resourceType is empty"),
            ("repo=a/b actor=\"\"", "actor is empty"),
            ("tags=\" \"", "tags is empty"),
            ("tags=\"open", "not closed"),
            ("limit=3", "unknown field \"limit\""),
        ] {
            let refused = read(text).unwrap_err();
            assert!(
                refused.starts_with("--filter: ") && refused.contains(words),
                "{refused}"
            );
        }
    }
}
