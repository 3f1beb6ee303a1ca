//! Events and resources without the texts of strangers.
//!
//! What stays is a list (`kept`); everything else is withheld. GitHub says beside a title and a text what their author
//! is to the repository (`author_association`), and these two stay where the object that has them says that its author
//! belongs there. It vouches for nothing else: the code under a review comment, the milestone of an issue and the title
//! of the issue that a comment is on have other authors.

use serde_json::{Map, Value};

mod kept;
#[cfg(test)]
mod tests;

use self::kept::{KeptForm, form_of, is_figure, is_free, is_plain_key};

/// Stands in the place of a text.
pub const WITHHELD_TEXT: &str = "[withheld by edge.lockdown]";
/// The associations of those who belong to a repository.
const TRUSTED: [&str; 3] = ["OWNER", "MEMBER", "COLLABORATOR"];
/// The texts that the author of an object has written.
const WRITTEN: [&str; 6] = [
    "title",
    "body",
    "body_text",
    "body_html",
    "bodyText",
    "bodyHTML",
];
/// Where objects with an author are: elsewhere, nothing says that GitHub has written their association.
const AUTHORED: [&str; 18] = [
    "data",
    "issue",
    "pull_request",
    "comment",
    "comments",
    "review",
    "discussion",
    "answer",
    "new_issue",
    "old_issue",
    "new_discussion",
    "old_discussion",
    "parent_issue",
    "sub_issue",
    "blocked_issue",
    "blocking_issue",
    "issues",
    "pull_requests",
];

/// Whether the author of a text belongs to the repository, by GitHub's word for it.
#[must_use]
pub fn is_trusted_association(association: &str) -> bool {
    TRUSTED.contains(&association)
}

/// The JSON of an event or a resource without the texts of strangers, and how many were withheld; `None` if there are
/// none. What cannot be read is withheld whole.
#[must_use]
pub fn without_strangers_texts(json: &[u8]) -> Option<(String, u64)> {
    let Ok(mut root) = serde_json::from_slice::<Value>(json) else {
        return Some(("null".to_owned(), 1));
    };
    let mut withheld = 0;
    match &mut root {
        Value::Object(event)
            if event.contains_key("resource") && event.contains_key("metadata") =>
        {
            of_event(event, &mut withheld);
        }
        root => walk(root, "data", &mut withheld),
    }
    (withheld > 0).then(|| (root.to_string(), withheld))
}

/// As [`without_strangers_texts`], for a label by itself: who may give it a name belongs to the repository.
#[must_use]
pub fn without_strangers_texts_of_label(json: &[u8]) -> Option<(String, u64)> {
    let Ok(mut label) = serde_json::from_slice::<Value>(json) else {
        return Some(("null".to_owned(), 1));
    };
    let mut withheld = 0;
    walk(&mut label, "label", &mut withheld);
    (withheld > 0).then(|| (label.to_string(), withheld))
}

/// The parts of an event beside GitHub's object have its texts too.
fn of_event(event: &mut Map<String, Value>, withheld: &mut u64) {
    let data = event.get("data").and_then(Value::as_object);
    let is_trusted = data.is_some_and(has_trusted_author);
    // The title of a comment is that of the issue, which has another author.
    let has_own_title = data.is_some_and(|data| data.get("title").is_some_and(Value::is_string));
    let has_trusted_title = is_trusted && has_own_title;
    let is_label = event.get("resourceType").and_then(Value::as_str) == Some("label");
    for (key, value) in event {
        match (key.as_str(), value) {
            ("id", Value::String(id)) if KeptForm::Id.has(id) => {}
            ("data", value) => walk(value, if is_label { "label" } else { "data" }, withheld),
            ("resource", Value::Object(resource)) => {
                for (key, value) in resource {
                    if !(key == "title" && has_trusted_title) {
                        walk(value, key, withheld);
                    }
                }
            }
            ("metadata", Value::Object(metadata)) => of_metadata(metadata, is_trusted, withheld),
            (key, value) => walk(value, key, withheld),
        }
    }
}

fn of_metadata(metadata: &mut Map<String, Value>, is_trusted: bool, withheld: &mut u64) {
    for (key, value) in metadata {
        match (key.as_str(), value) {
            // Names of labels.
            ("tags", Value::Array(tags)) if tags.iter().all(Value::is_string) => {}
            ("changes", Value::Object(changes)) => {
                for (key, change) in changes {
                    // What the author of a text had written before.
                    let is_theirs = is_trusted && WRITTEN.contains(&key.as_str());
                    if !(is_theirs && is_former_text(change)) {
                        walk(change, key, withheld);
                    }
                }
            }
            (key, value) => walk(value, key, withheld),
        }
    }
}

/// `{"from": "…"}`, and nothing else.
fn is_former_text(change: &Value) -> bool {
    let members = change.as_object();
    members.is_some_and(|members| {
        members
            .iter()
            .all(|(key, value)| key == "from" && value.is_string())
    })
}

fn has_trusted_author(members: &Map<String, Value>) -> bool {
    let association = members
        .get("author_association")
        .or_else(|| members.get("authorAssociation"));
    let association = association.and_then(Value::as_str);
    association.is_some_and(is_trusted_association)
}

/// Withholds what does not stay of a value under this key.
fn walk(value: &mut Value, key: &str, withheld: &mut u64) {
    match value {
        Value::String(text) => keep_in(form_of(key), text, withheld),
        Value::Array(elements) => {
            if is_free(key) && !elements.is_empty() {
                return withhold(value, withheld);
            }
            for element in &mut *elements {
                walk(element, key, withheld);
            }
            // Many short texts would become more bytes than they were.
            elements.dedup_by(|one, before| one == before && one == WITHHELD_TEXT);
        }
        Value::Object(members) => {
            let is_foreign = is_free(key) || !members.keys().all(|key| is_plain_key(key));
            match is_foreign && !members.is_empty() {
                true => withhold(value, withheld),
                false => of_members(members, key, withheld),
            }
        }
        _ => {}
    }
}

fn of_members(members: &mut Map<String, Value>, key: &str, withheld: &mut u64) {
    let is_trusted = AUTHORED.contains(&key) && has_trusted_author(members);
    let name = form_of_name(members, key);
    // The address of a page of a wiki is its title.
    let has_written_address = members.contains_key("page_name");
    for (member_key, member) in members {
        match (member_key.as_str(), &mut *member) {
            (written, Value::String(_)) if is_trusted && WRITTEN.contains(&written) => {}
            ("name", Value::String(text)) => keep_in(name, text, withheld),
            (_, Value::String(text)) if key == "permissions" => {
                keep_in(Some(KeptForm::Word), text, withheld);
            }
            (link, Value::String(text)) if has_written_address && link.ends_with("url") => {
                keep_in(None, text, withheld);
            }
            // What a field was and is.
            ("from" | "to", member) => walk(member, key, withheld),
            (member_key, member) => walk(member, member_key, withheld),
        }
    }
}

/// The form in which the name of an object stays: most names are anybody's, as those of jobs, checks and releases.
fn form_of_name(members: &Map<String, Value>, key: &str) -> Option<KeptForm> {
    match key {
        // Who may give these belongs to the repository or its organization.
        "label" | "labels" | "team" | "requested_team" | "requested_teams" => Some(KeptForm::Text),
        "branches" => Some(KeptForm::Ref),
        _ => members.contains_key("full_name").then_some(KeptForm::Name),
    }
}

fn keep_in(form: Option<KeptForm>, text: &mut String, withheld: &mut u64) {
    let stays = text.is_empty()
        || is_figure(text)
        || text == WITHHELD_TEXT
        || form.is_some_and(|form| form.has(text));
    if !stays {
        WITHHELD_TEXT.clone_into(text);
        *withheld += 1;
    }
}

fn withhold(value: &mut Value, withheld: &mut u64) {
    *value = WITHHELD_TEXT.into();
    *withheld += 1;
}
