//! The parts of a search query.

/// GitHub's qualifiers that the mirror cannot answer.
pub(super) const UNSUPPORTED: [&str; 38] = [
    "in",
    "involves",
    "mentions",
    "commenter",
    "team",
    "reason",
    "created",
    "closed",
    "merged",
    "comments",
    "reactions",
    "interactions",
    "draft",
    "review",
    "reviewed-by",
    "review-requested",
    "user-review-requested",
    "team-review-requested",
    "head",
    "language",
    "linked",
    "archived",
    "locked",
    "project",
    "status",
    "parent-issue",
    "sub-issue",
    "has",
    "sort",
    "sha",
    "app",
    "visibility",
    "fork",
    "size",
    "topic",
    "stars",
    "blocked-by",
    "blocking",
];

/// Qualifiers that have a meaning here, beside those that are refused.
const SUPPORTED: [&str; 13] = [
    "repo",
    "org",
    "user",
    "owner",
    "is",
    "type",
    "state",
    "label",
    "assignee",
    "no",
    "author",
    "milestone",
    "updated",
];

/// A part of a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueryToken {
    /// A word, or words in quotes.
    Word(String),
    /// `label:bug`: name and value.
    Qualifier(String, String),
    /// `-label:bug`.
    Excluded(String),
    /// `OR`, `AND`, `NOT`.
    Operator(String),
}

/// The parts of a query. A text with a colon is a qualifier if GitHub has one of its name, and else a word.
pub(super) fn tokens(query: &str) -> impl Iterator<Item = QueryToken> + '_ {
    let mut rest = query;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let mut in_quotes = false;
        let end = rest.find(|c: char| {
            in_quotes ^= c == '"';
            c.is_whitespace() && !in_quotes
        });
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(token(part))
    })
    .filter(|token| !matches!(token, QueryToken::Word(word) if word.trim().is_empty()))
}

fn token(part: &str) -> QueryToken {
    let text = |text: &str| text.replace('"', "");
    if matches!(part, "OR" | "AND" | "NOT") {
        return QueryToken::Operator(part.to_owned());
    }
    let qualifier = |part: &str| {
        let (name, value) = part.split_once(':')?;
        let name = name.to_ascii_lowercase();
        let name_of = |known: &&str| **known == *name;
        let is_known = SUPPORTED.iter().chain(&UNSUPPORTED).any(name_of) || name == "base";
        is_known.then(|| (name, text(value).trim().to_owned()))
    };
    match part.strip_prefix('-') {
        Some(excluded) if qualifier(excluded).is_some() => QueryToken::Excluded(text(part)),
        _ => match qualifier(part) {
            Some((name, value)) => QueryToken::Qualifier(name, value),
            None => QueryToken::Word(text(part)),
        },
    }
}
