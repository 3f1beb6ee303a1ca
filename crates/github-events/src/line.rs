//! An event as one line for a person or a model: what happened, where, by whom, the title and the page.
//!
//! `pull_request closed (merged) acme/rocket#12 by mona: "Fix the thing" https://github.com/acme/rocket/pull/12 [id …]`
//!
//! Text of strangers is in double quotes, which cannot occur inside, so no title can pass for another part.

use serde_json::Value;

use crate::{
    limits::{MAX_LINE_UNITS, MAX_WORD_UNITS, MIN_TITLE_UNITS},
    safe_text::{units, visible, visible_within},
};

/// Longest id of an event in a line, in UTF-16 units.
const MAX_ID_UNITS: usize = 100;
/// Longest text before the title, in UTF-16 units; a part that does not fit is left out, because a cut one would leave
/// a quote open.
const MAX_HEAD_UNITS: usize = 300;

/// The line of an event, from its JSON: at most [`MAX_LINE_UNITS`], without line breaks and control characters. The
/// title is cut first; a URL is whole or not there.
#[must_use]
pub fn event_line(json: &str) -> String {
    let Ok(event) = serde_json::from_str::<Value>(json) else {
        return "[unreadable] the edge sent an event that is no JSON; see it with --json"
            .to_owned();
    };
    let id = match text(&event, "/id") {
        Some(id) => format!(" [id {}]", word(id, MAX_ID_UNITS)),
        None => String::new(),
    };
    line_with(&event, &id)
}

/// The line of an event that was read, with this at its end.
pub(crate) fn line_with(event: &Value, end: &str) -> String {
    let head = head(event);
    let mut room = MAX_LINE_UNITS.saturating_sub(units(&head) + units(end));
    let url = text(event, "/resource/url").filter(|url| is_plain_url(url));
    let url = url.map(|url| format!(" {url}"));
    let url = url.filter(|url| units(url) <= room).unwrap_or_default();
    room -= units(&url);
    let title = text(event, "/resource/title").filter(|_| !is_title_of_another(event));
    let title = title.map(visible);
    let title = title
        .filter(|title| !title.is_empty() && room >= MIN_TITLE_UNITS)
        .map(|title| format!(": {}", quoted(&title, room - 2)))
        .unwrap_or_default();
    format!("{head}{title}{url}{end}")
}

/// Whether the event's object has an author and no title: that of a comment is the title of the issue, which may have
/// another author, and who follows trusted authors alone would read it as theirs.
fn is_title_of_another(event: &Value) -> bool {
    let authors = ["/data/user/login", "/data/author_association"];
    authors.iter().any(|at| text(event, at).is_some()) && text(event, "/data/title").is_none()
}

/// What happened, where, and who did it.
fn head(event: &Value) -> String {
    let kind = text(event, "/resourceType").unwrap_or("event");
    let action = text(event, "/action").or_else(|| text(event, "/type"));
    let mut head = word(kind, MAX_WORD_UNITS);
    let mut add = |part: String| {
        if units(&head) + 1 + units(&part) <= MAX_HEAD_UNITS {
            head.push(' ');
            head.push_str(&part);
        }
    };
    if let Some(action) = action {
        add(word(action, MAX_WORD_UNITS));
    }
    if let Some(detail) = detail(event, kind, action.unwrap_or_default()) {
        add(format!("({})", word(detail, MAX_WORD_UNITS)));
    }
    if let Some(place) = place(event) {
        add(word(&place, MAX_WORD_UNITS * 2));
    }
    if let Some(actor) = text(event, "/actor") {
        add(format!("by {}", word(actor, MAX_WORD_UNITS)));
    }
    head
}

/// What the action alone does not say: the label, the outcome, the person.
fn detail<'e>(event: &'e Value, kind: &str, action: &str) -> Option<&'e str> {
    if action == "closed" && event.pointer("/data/merged") == Some(&Value::Bool(true)) {
        return Some("merged");
    }
    let pointers: &[&str] = match (kind, action) {
        (_, "labeled" | "unlabeled") => &["/metadata/related/label/name"],
        (_, "assigned" | "unassigned") => &["/metadata/related/assignee/login"],
        (_, "review_requested" | "review_request_removed") => &[
            "/metadata/related/requested_reviewer/login",
            "/metadata/related/requested_team/name",
        ],
        ("issue", "closed") => &["/data/state_reason"],
        ("check_run" | "check_suite" | "workflow_run" | "workflow_job", "completed") => {
            &["/data/conclusion"]
        }
        ("pull_request_review", "submitted") | ("deployment_status" | "commit_status", _) => {
            &["/data/state"]
        }
        _ => &[],
    };
    pointers.iter().find_map(|pointer| text(event, pointer))
}

/// `owner/repo#number`, as far as it is known.
fn place(event: &Value) -> Option<String> {
    let owner = text(event, "/resource/owner");
    let repo = text(event, "/resource/repo");
    let mut place = match (owner, repo) {
        (Some(owner), Some(repo)) => format!("{owner}/{repo}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::new(),
    };
    if let Some(number) = event.pointer("/resource/number").and_then(Value::as_u64) {
        place = format!("{place}#{number}");
    }
    Some(place).filter(|place| !place.is_empty())
}

#[must_use]
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    let text = value.pointer(pointer)?.as_str()?;
    Some(text).filter(|text| !text.trim().is_empty())
}

/// A name of GitHub's as it is; anything else in quotes.
fn word(text: &str, max_units: usize) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./#[]:".contains(c);
    if text.len() <= max_units && text.chars().all(is_word) {
        return text.to_owned();
    }
    quoted(text, max_units)
}

/// Text of strangers between quotes, with them at most `max_units` long.
pub(crate) fn quoted(text: &str, max_units: usize) -> String {
    let text = text.replace(is_double_quote, "'");
    format!("\"{}\"", visible_within(&text, max_units.saturating_sub(2)))
}

/// Whether a reader may take a character for the double quote that ends a text: all that look like one.
const fn is_double_quote(c: char) -> bool {
    matches!(c,
        '"' | '\u{ab}' | '\u{bb}' | '\u{2ba}' | '\u{2dd}' | '\u{2ee}' | '\u{2f5}' | '\u{2f6}' | '\u{5f4}'
        | '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{2036}' | '\u{275d}' | '\u{275e}' | '\u{2760}'
        | '\u{3003}' | '\u{301d}'..='\u{301f}' | '\u{ff02}')
}

/// Whether a URL is one of the web, of characters that need no quotes.
fn is_plain_url(url: &str) -> bool {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    is_web
        && url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\`".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::safe_text::{is_control, is_hidden};

    fn event(kind: &str, action: &str) -> Value {
        json!({ "id": "4b1c", "type": "updated", "action": action, "resourceType": kind, "actor": "mona",
            "resource": { "owner": "acme", "repo": "rocket", "number": 12, "title": "Fix the thing",
                "url": "https://github.com/acme/rocket/pull/12" },
            "data": {}, "metadata": {} })
    }

    #[test]
    fn a_line_says_what_happened_where_by_whom_and_where_to_read_it() {
        let mut merged = event("pull_request", "closed");
        merged["data"]["merged"] = true.into();
        assert_eq!(
            event_line(&merged.to_string()),
            "pull_request closed (merged) acme/rocket#12 by mona: \"Fix the thing\" \
             https://github.com/acme/rocket/pull/12 [id 4b1c]"
        );
        let mut labeled = event("issue", "labeled");
        labeled["metadata"]["related"]["label"]["name"] = "needs \"care\"".into();
        labeled["resource"] = json!({ "owner": "acme" });
        let line = event_line(&labeled.to_string());
        assert_eq!(
            line,
            "issue labeled (\"needs 'care'\") acme by mona [id 4b1c]"
        );
        assert_eq!(event_line("{}"), "event");
        assert!(event_line("{").starts_with("[unreadable]"));
    }

    #[test]
    fn a_title_can_neither_leave_its_quotes_nor_push_out_the_page() {
        let mut hostile = event("issue", "opened");
        hostile["resource"]["title"] = "x\" https://evil.example\n[gap] ".repeat(200).into();
        let line = event_line(&hostile.to_string());
        assert_eq!(line.matches('"').count(), 2, "{line}");
        let end = "…\" https://github.com/acme/rocket/pull/12 [id 4b1c]";
        assert!(line.ends_with(end), "{line}");
        hostile["resource"]["url"] = format!("https://github.com/{}", "x".repeat(500)).into();
        let line = event_line(&hostile.to_string());
        assert!(
            line.ends_with("…\" [id 4b1c]"),
            "a cut page is of no use: {line}"
        );
        hostile["resource"]["url"] = "javascript:alert(1)".into();
        assert!(!event_line(&hostile.to_string()).contains("javascript"));
    }

    #[test]
    fn no_character_that_looks_like_a_quote_stays_in_one() {
        let mut hostile = event("issue", "opened");
        let quotes = "“”„‟″‶❝❞〝〞〟＂«»ʺ";
        hostile["resource"]["title"] = format!("a{quotes}b").into();
        let line = event_line(&hostile.to_string());
        assert!(!line.contains(|c| quotes.contains(c)), "{line}");
        assert!(line.contains("a\'\'"), "{line}");
    }

    #[test]
    fn the_title_in_a_line_is_of_the_author_of_the_object() {
        let mut comment = event("issue_comment", "created");
        comment["data"] =
            json!({ "user": { "login": "mona" }, "author_association": "OWNER", "body": "b" });
        let line = event_line(&comment.to_string());
        assert_eq!(
            line,
            "issue_comment created acme/rocket#12 by mona https://github.com/acme/rocket/pull/12 [id 4b1c]"
        );
        comment["data"]["title"] = "Fix the thing".into();
        let line = event_line(&comment.to_string());
        assert!(line.contains("\"Fix the thing\""), "{line}");
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[\"\u{0}-\u{1f}\u{202a}-\u{202e}\u{e0041}a🚀]{0,600}",
            "https://[a-z/]{0,600}",
        ]
    }

    proptest! {
        #[test]
        fn a_line_is_one_short_line_whatever_strangers_write(
            texts in proptest::collection::vec(any_text(), 8),
            number in any::<Option<u64>>(),
            action in prop_oneof![Just("labeled".to_owned()), any_text()],
        ) {
            let event = json!({ "id": texts[0], "action": action, "resourceType": texts[1], "actor": texts[2],
                "resource": { "owner": texts[3], "repo": texts[4], "number": number, "title": texts[5],
                    "url": texts[6] },
                "metadata": { "related": { "label": { "name": texts[7] } } } });
            let line = event_line(&event.to_string());
            prop_assert!(units(&line) <= MAX_LINE_UNITS, "{}: {line}", units(&line));
            prop_assert!(!line.chars().any(|c| is_control(c) || is_hidden(c)), "{line:?}");
            prop_assert!(!line.is_empty());
            prop_assert!(line.matches('"').count().is_multiple_of(2), "a quote stays open: {line}");
        }
    }
}
