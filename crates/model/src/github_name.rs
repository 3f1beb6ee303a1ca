//! Names on GitHub, as people write them: the one parser for tools, REST, prompts, tokens and configuration.
//!
//! A name is read where its meaning is certain (`@mona`, white space around it), and comes out in lower case,
//! because GitHub compares names without case. Anything else is refused with the rule and the fix.

use crate::limits::{
    MAX_ACTION_BYTES, MAX_LABEL_CHARACTERS, MAX_NAME_TEXT_BYTES, MAX_OWNER_CHARACTERS,
    MAX_REPOSITORY_CHARACTERS,
};

/// The reason why a text is not a name on GitHub. It states the rule and never repeats the text, because some
/// callers read names from files with secrets in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters.
    #[error("is empty; leave it out")]
    Empty,
    /// Not a login.
    #[error(
        "not a GitHub login; use up to {MAX_OWNER_CHARACTERS} letters, digits, - and _, for instance octo"
    )]
    Owner,
    /// Not a repository.
    #[error(
        "not a repository name; use up to {MAX_REPOSITORY_CHARACTERS} letters, digits, -, _ and ., \
         for instance rocket, or acme/rocket with its owner"
    )]
    Repository,
    /// Not an account.
    #[error("not the login of an account; use for instance mona, or dependabot[bot] for an app")]
    Actor,
    /// Not a word for a change.
    #[error(
        "not an action; use GitHub's own word for the change, for instance labeled: up to {MAX_ACTION_BYTES} bytes"
    )]
    Action,
    /// Not a label.
    #[error("not a label; a label has 1 to {MAX_LABEL_CHARACTERS} characters on one line")]
    Label,
    /// A list of labels with an unclosed quote.
    #[error(
        "a label in quotes ends with a quote, a comma follows, and a quote inside is doubled: \"say \"\"hi\"\"\", bug"
    )]
    LabelQuotes,
    /// The mention of an account in the place of a repository.
    #[error("names an account and no repository; put it into owner, or use acme/rocket")]
    Account,
    /// A URL whose meaning is not certain.
    #[error(
        "not the URL on github.com of an owner, a repository, an issue, pull request, discussion, milestone, project, \
         alert, comment, review or run; give owner, repo and number instead"
    )]
    Url,
    /// A URL that names more than the field can hold.
    #[error("names more than an owner; a repository goes into repo or repositories")]
    MoreThanOwner,
    /// The mention of a team.
    #[error(
        "names a team, and events name no team; give the organization, or in repo a repository such as acme/rocket"
    )]
    Team,
    /// A URL that names less or more than a repository.
    #[error("names no repository; use owner/repo")]
    NotRepository,
    /// Not a number.
    #[error("not a whole number such as 7; numbers begin at 1")]
    Number,
    /// Not a node id, nor a numeric id.
    #[error(
        "not a node id such as I_kwDOAbc123, nor another resourceId of events such as R_1:refs/heads/main, nor a \
         numeric id such as 4711; give owner, repo and number, or the URL of an issue, pull request, discussion, \
         comment, review, alert, run, milestone or project"
    )]
    NodeId,
    /// A repository in the place of one resource.
    #[error(
        "names a repository, and not one resource in it; put it into repo instead, for instance acme/rocket, with number \
         for an issue or pull request"
    )]
    RepositoryAsId,
    /// An owner in the place of one resource.
    #[error("names an owner, and not one resource; put it into owner instead, for instance acme")]
    OwnerAsId,
    /// An id whose path is not encoded as in events.
    #[error(
        "not as events have it: in the path of an id, `%` and what is not visible ASCII are percent-encoded, and in \
         the query of a URL each `%` of an id is `%25`"
    )]
    EncodedId,
    /// Beyond the length of any name.
    #[error("longer than any name on GitHub")]
    TooLong,
}

/// The text without white space around it and without a leading `@`.
pub(crate) fn trimmed(text: &str) -> Result<&str, NameError> {
    let text = text.trim();
    let text = text.strip_prefix('@').unwrap_or(text);
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > MAX_NAME_TEXT_BYTES => Err(NameError::TooLong),
        _ => Ok(text),
    }
}

/// A login of a user or organization, in lower case.
pub(crate) fn login(text: &str) -> Result<String, NameError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_short = (1..=MAX_OWNER_CHARACTERS).contains(&text.len());
    match is_short && text.bytes().all(fits) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(NameError::Owner),
    }
}

/// The name of a repository without its owner, in lower case. GitHub gives no repository a name that ends in
/// `.git`, as clone addresses do, or in `.wiki`, as those of its wiki.
pub(crate) fn repository(text: &str) -> Result<String, NameError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let lower = text.to_ascii_lowercase();
    let mut name = lower.as_str();
    while let Some(shorter) = name
        .strip_suffix(".git")
        .or_else(|| name.strip_suffix(".wiki"))
    {
        name = shorter;
    }
    let is_short = (1..=MAX_REPOSITORY_CHARACTERS).contains(&name.len());
    match is_short && name.bytes().all(fits) && !matches!(name, "." | "..") {
        true => Ok(name.to_owned()),
        false => Err(NameError::Repository),
    }
}

/// The login of an account that acts, in lower case: a user, or an app, whose login ends in `[bot]`.
pub(crate) fn account(text: &str) -> Result<String, NameError> {
    const BOT: &str = "[bot]";
    let lower = text.to_ascii_lowercase();
    let (name, is_app) = match (lower.strip_suffix(BOT), lower.strip_prefix("app/")) {
        (Some(name), _) => (name, true),
        // As GitHub's search and command line spell it.
        (None, Some(name)) => (name, true),
        (None, None) => (lower.as_str(), false),
    };
    let name = login(name).map_err(|_| NameError::Actor)?;
    Ok(if is_app { name + BOT } else { name })
}

/// GitHub's own word for a change, in lower case. Whoever calls GitHub's API chooses those of `repository_dispatch`,
/// so any text is one.
pub(crate) fn action(text: &str) -> Result<String, NameError> {
    let text = text.trim();
    match (1..=MAX_ACTION_BYTES).contains(&text.len()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(NameError::Action),
    }
}

/// A label in lower case, letter by letter, so that folding it again changes nothing.
pub(crate) fn label(text: &str) -> Result<String, NameError> {
    let text = text.trim();
    let characters = text.chars().take(MAX_LABEL_CHARACTERS + 1).count();
    let is_short = (1..=MAX_LABEL_CHARACTERS).contains(&characters);
    match is_short && !text.contains(char::is_control) {
        true => Ok(fold(text)),
        false => Err(NameError::Label),
    }
}

/// The labels in one text: separated by commas. A label with a comma is quoted, as in CSV, where `""` is a
/// quote. They are checked when a filter is read.
///
/// # Errors
/// A quote that is not closed, or that something else than a comma follows.
pub fn label_list(text: &str) -> Result<Vec<String>, NameError> {
    let (mut labels, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start();
        let label = match rest.strip_prefix('"') {
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let label = rest[..end].to_owned();
                rest = &rest[end..];
                label
            }
            Some(quoted) => {
                let (label, after) = unquoted(quoted).ok_or(NameError::LabelQuotes)?;
                rest = after;
                label
            }
        };
        labels.push(label);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(labels),
        }
    }
}

/// The label that begins after a quote, and the text after it: empty, or beginning with a comma.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let (mut label, mut rest) = (String::new(), quoted);
    loop {
        let end = rest.find('"')?;
        label.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                label.push('"');
                rest = more;
            }
            None => break,
        }
    }
    let rest = rest.trim_start();
    (rest.is_empty() || rest.starts_with(',')).then_some((label, rest))
}

/// The form in which labels are compared. A letter stays one letter, so that the form of a label is a label.
pub(crate) fn fold(label: &str) -> String {
    let lower = |letter: char| {
        let mut lower = letter.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(one), None) => one,
            _ => letter,
        }
    };
    label.chars().map(lower).collect()
}
