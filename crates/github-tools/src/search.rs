//! The language of GitHub's search queries, as far as the mirror can answer it. What it cannot answer is refused by name:
//! a qualifier that is passed over would show what was not asked for.

mod tokens;

use mcp::params::InputError;
use model::Timestamp;
use ports::{MirrorFilter, MirroredKind};

use crate::{
    inputs::{self, RepositoryPlace},
    limits::{MAX_LABELS, MAX_QUERY_BYTES},
};
use tokens::{QueryToken, tokens};

const QUERY: &str = "query";

/// What a query asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SearchQuery {
    pub(crate) place: Option<RepositoryPlace>,
    pub(crate) filter: MirrorFilter,
    /// The title of a milestone, whose number the filter takes.
    pub(crate) milestone_title: Option<String>,
}

/// Reads a query for issues or pull requests.
///
/// # Errors
/// It has a qualifier that the mirror cannot answer, or that makes no sense; the error names it.
pub(crate) fn read_query(query: &str, kind: MirroredKind) -> Result<SearchQuery, InputError> {
    if query.len() > MAX_QUERY_BYTES {
        let reason = format!("is longer than {MAX_QUERY_BYTES} bytes");
        return Err(InputError::new(QUERY, &reason));
    }
    let mut read = SearchQuery::default();
    for token in tokens(query) {
        read.add(token, kind)?;
    }
    Ok(read)
}

fn wrong(what: &str, reason: &str) -> InputError {
    let within = InputError::new(what.trim_end_matches(':'), reason);
    InputError::new(QUERY, &within.to_string())
}

/// Sets what may be given once.
fn set<T: PartialEq>(place: &mut Option<T>, value: T, name: &str) -> Result<(), InputError> {
    match place {
        Some(known) if *known != value => Err(wrong(name, "given twice; leave one out")),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

impl SearchQuery {
    fn add(&mut self, token: QueryToken, kind: MirroredKind) -> Result<(), InputError> {
        let (name, value) = match token {
            QueryToken::Word(word) => {
                self.filter.words.push(word);
                return Ok(());
            }
            QueryToken::Operator(word) => {
                let reason = "operators are not possible here; all words have to match";
                return Err(wrong(&word, reason));
            }
            QueryToken::Excluded(text) => {
                return Err(wrong(&text, "nothing can be excluded here; leave it out"));
            }
            QueryToken::Qualifier(name, value) => (name, value),
        };
        let value = value.as_str();
        if value.is_empty() {
            return Err(wrong(&format!("{name}:"), "has no value"));
        }
        let filter = &mut self.filter;
        match name.as_str() {
            "repo" if !value.contains('/') => Err(wrong("repo:", "use repo:owner/name")),
            "repo" => {
                let place = RepositoryPlace::read(None, Some(value));
                let place = place.map_err(|error| wrong("repo:", &error.to_string()))?;
                let place = place.filter(|place| place.repo.is_some());
                let place = place.ok_or_else(|| wrong("repo:", "use repo:owner/name"))?;
                set(&mut self.place, place, "repo:")
            }
            "org" | "user" | "owner" => {
                let place = RepositoryPlace::read(Some(value), None);
                let place =
                    place.map_err(|error| wrong(&format!("{name}:"), &error.to_string()))?;
                place.map_or(Ok(()), |place| set(&mut self.place, place, &name))
            }
            "is" | "type" | "state" => self.add_state(&name, value, kind),
            "label" if value.contains(',') => Err(wrong(
                "label:",
                "a list that means any of them is not possible here; label:a label:b means both",
            )),
            "label" if filter.labels.len() >= MAX_LABELS => {
                Err(wrong("label:", &format!("up to {MAX_LABELS} of them")))
            }
            "label" => {
                filter.labels.push(value.to_owned());
                Ok(())
            }
            "assignee" if value == "*" => set(&mut filter.assignee, value.to_owned(), "assignee:"),
            "assignee" => {
                let login = inputs::login("assignee", value);
                let login = login.map_err(|error| wrong("assignee:", &error.to_string()))?;
                set(&mut filter.assignee, login, "assignee:")
            }
            "no" if value.eq_ignore_ascii_case("assignee") => {
                set(&mut filter.assignee, "none".to_owned(), "no:assignee")
            }
            "author" => {
                let login = inputs::login("author", value);
                let login = login.map_err(|error| wrong("author:", &error.to_string()))?;
                set(&mut filter.creator, login, "author:")
            }
            "milestone" => match value.parse() {
                Ok(number) => set(&mut filter.milestone, number, "milestone:"),
                Err(_) => set(&mut self.milestone_title, value.to_owned(), "milestone:"),
            },
            "base" if kind == MirroredKind::PullRequest => {
                set(&mut filter.branch, value.to_owned(), "base:")
            }
            "updated" => set(&mut filter.updated_since, updated_since(value)?, "updated:"),
            _ => Err(wrong(&format!("{name}:{value}"), &supported(kind))),
        }
    }

    fn add_state(&mut self, name: &str, value: &str, kind: MirroredKind) -> Result<(), InputError> {
        let is_pull = kind == MirroredKind::PullRequest;
        let value = value.to_ascii_lowercase();
        let given = format!("{name}:{value}");
        match value.as_str() {
            "issue" if !is_pull && name != "state" => Ok(()),
            "pr" | "pull-request" if is_pull && name != "state" => Ok(()),
            "issue" if name != "state" => Err(wrong(&given, "search_issues finds issues")),
            "pr" | "pull-request" if name != "state" => {
                Err(wrong(&given, "search_pull_requests finds pull requests"))
            }
            "open" | "closed" if name != "type" => set(&mut self.filter.state, value, &given),
            "merged" if is_pull && name == "is" => set(&mut self.filter.state, value, &given),
            _ => Err(wrong(&given, &supported(kind))),
        }
    }
}

/// `>=2026-11-01`; `>` counts from the next millisecond.
fn updated_since(value: &str) -> Result<Timestamp, InputError> {
    let (text, is_after) = match (value.strip_prefix(">="), value.strip_prefix('>')) {
        (Some(text), _) => (text, false),
        (None, Some(text)) => (text, true),
        _ => return Err(wrong("updated:", "use updated:>=2026-11-01")),
    };
    let time = inputs::time("updated", Some(text));
    let time = time.map_err(|error| wrong("updated:", &error.to_string()))?;
    let time = time.ok_or_else(|| wrong("updated:", "has no value"))?;
    Ok(match is_after {
        true => Timestamp::from_unix_millis(time.unix_millis().saturating_add(1)),
        false => time,
    })
}

fn supported(kind: MirroredKind) -> String {
    let own = match kind {
        MirroredKind::PullRequest => "is:merged, base:, ",
        _ => "",
    };
    format!(
        "not possible here; use words, repo:, org:, user:, is:open, is:closed, {own}label:, assignee:, no:assignee, \
         author:, milestone:, updated:>="
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{tokens::UNSUPPORTED, *};

    fn read(query: &str) -> Result<SearchQuery, String> {
        read_query(query, MirroredKind::Issue).map_err(|error| error.to_string())
    }

    #[test]
    fn a_query_is_read_with_its_qualifiers() {
        let query = r#"crash "on start" repo:Acme/Rocket is:issue is:open label:bug label:"good first issue"
            assignee:octocat author:hubot milestone:3 updated:>=2026-11-01 std::vec"#;
        let read = read(query).unwrap();
        assert_eq!(read.place.unwrap().name(), "acme/rocket");
        let expected = MirrorFilter {
            state: Some("open".to_owned()),
            labels: vec!["bug".to_owned(), "good first issue".to_owned()],
            assignee: Some("octocat".to_owned()),
            creator: Some("hubot".to_owned()),
            milestone: Some(3),
            updated_since: Timestamp::parse("2026-11-01T00:00:00Z"),
            words: ["crash", "on start", "std::vec"]
                .map(ToOwned::to_owned)
                .into(),
            ..MirrorFilter::default()
        };
        assert_eq!(read.filter, expected);
    }

    #[test]
    fn a_milestone_may_have_a_title_and_nobody_may_be_assigned() {
        let read = read("org:acme no:assignee milestone:\"Version 2\"").unwrap();
        assert_eq!(read.milestone_title.as_deref(), Some("Version 2"));
        assert_eq!(read.filter.assignee.as_deref(), Some("none"));
        assert_eq!(read.place.unwrap().name(), "acme");
    }

    #[test]
    fn what_cannot_be_answered_is_refused_by_name() {
        for (query, words) in [
            ("in:title crash", "in:title"),
            ("comments:>3", "comments:>3"),
            ("no:label", "no:label"),
            ("-label:bug", "-label:bug"),
            ("NOT crash", "NOT"),
            ("a OR b", "OR"),
            ("is:pr", "search_pull_requests"),
            ("is:merged", "is:merged"),
            ("label:a,b", "label:a label:b"),
            ("label:", "has no value"),
            ("repo:acme", "repo:owner/name"),
            ("repo:a/b/c", "query: repo: "),
            ("repo:a/b repo:a/c", "given twice"),
            ("is:open is:closed", "given twice"),
            ("assignee:@me", "use the login"),
            ("updated:2026", "updated:>="),
            ("updated:>=soon", "not a time"),
        ] {
            let refused = read(query).unwrap_err();
            assert!(
                refused.starts_with("query: ") && refused.contains(words),
                "{query}: {refused}"
            );
        }
        for name in UNSUPPORTED {
            let query = format!("{name}:x");
            assert!(read(&query).unwrap_err().contains(&query), "{query}");
        }
        assert!(read(&"a".repeat(1025)).is_err());
    }

    #[test]
    fn pull_requests_have_a_base_and_may_be_merged() {
        let read = |query| read_query(query, MirroredKind::PullRequest);
        let found = read("is:pr is:merged base:main").unwrap().filter;
        assert_eq!(
            (found.state.as_deref(), found.branch.as_deref()),
            (Some("merged"), Some("main"))
        );
        assert!(
            read("is:issue")
                .unwrap_err()
                .to_string()
                .contains("search_issues")
        );
    }

    proptest! {
        /// Whatever is typed, it is read or refused with the field.
        #[test]
        fn every_text_is_read_or_refused(query in r#"([a-z]{1,6}:?|"|-|\\PC| ){0,30}"#) {
            if let Err(refused) = read(&query) {
                prop_assert!(refused.starts_with("query: "), "{}", refused);
            }
        }
    }
}
