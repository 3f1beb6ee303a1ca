//! What filters compare, of GitHub's object: read once, when a state is taken.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// The members of an object by which lists are filtered, in lower case. What it does not have, or has in a form that is
/// not known, is absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListFacts {
    /// `open` or `closed`.
    pub(super) state: Option<Box<str>>,
    /// Of a pull request.
    pub(super) merged: bool,
    pub(super) labels: Box<[CarriedLabel]>,
    pub(super) assignees: Box<[Box<str>]>,
    pub(super) creator: Option<Box<str>>,
    /// Its number.
    pub(super) milestone: Option<u64>,
    /// The base branch of a pull request, or the branch of a run; in its own case.
    pub(super) branch: Option<Box<str>>,
    /// The name of a label, which is what has a color.
    pub(super) label_name: Option<Box<str>>,
    /// What a label shows.
    pub(super) label_shows: Option<LabelDigest>,
}

/// A digest of the members of a label that change: name, color, description, and whether it is a default one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LabelDigest(u64);

impl LabelDigest {
    fn of(members: [Option<&Value>; 4]) -> Self {
        let mut digest = DefaultHasher::new();
        for member in members {
            // A missing member is as one that is null.
            member.filter(|it| !it.is_null()).hash(&mut digest);
        }
        Self(digest.finish())
    }
}

/// A label in an object that carries it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CarriedLabel {
    pub(super) id: CarriedLabelId,
    /// Its name when the object was made.
    pub(super) name: Box<str>,
    /// What it showed, if that is all of it.
    shows: Option<LabelDigest>,
}

impl CarriedLabel {
    /// Whether a label with these facts shows what it showed.
    pub(super) fn shows_same_as(&self, label: &ListFacts) -> bool {
        self.shows.is_some() && self.shows == label.label_shows
    }
}

/// What the label's own state is found by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CarriedLabelId {
    Number(u64),
    /// Its node id, where the object has no other one.
    Node(Box<str>),
    Unknown,
}

/// The members, each of which may have a form that is not known.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    state: Option<&'a RawValue>,
    closed: Option<&'a RawValue>,
    merged: Option<&'a RawValue>,
    merged_at: Option<&'a RawValue>,
    labels: Option<&'a RawValue>,
    assignees: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    author: Option<&'a RawValue>,
    creator: Option<&'a RawValue>,
    actor: Option<&'a RawValue>,
    milestone: Option<&'a RawValue>,
    base: Option<&'a RawValue>,
    head_branch: Option<&'a RawValue>,
    color: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    description: Option<&'a RawValue>,
    default: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenLabel {
    Text(String),
    Object {
        name: String,
        id: Option<u64>,
        node_id: Option<String>,
        color: Option<Value>,
        description: Option<Value>,
        default: Option<Value>,
    },
}

impl WrittenLabel {
    fn carried(self) -> CarriedLabel {
        match self {
            Self::Text(name) => CarriedLabel {
                id: CarriedLabelId::Unknown,
                name: folded(&name),
                shows: None,
            },
            Self::Object {
                name,
                id,
                node_id,
                color,
                description,
                default,
            } => {
                let others = [color, description, default];
                let shows = others[0].is_some().then(|| {
                    let [color, description, default] = others.each_ref().map(Option::as_ref);
                    let spelt = Value::from(&*name);
                    LabelDigest::of([Some(&spelt), color, description, default])
                });
                let node = node_id.map(|node| CarriedLabelId::Node(node.into()));
                let id = id.map(CarriedLabelId::Number).or(node);
                CarriedLabel {
                    id: id.unwrap_or(CarriedLabelId::Unknown),
                    name: folded(&name),
                    shows,
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    name: String,
}

fn read<'a, T: Deserialize<'a>>(member: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(member?.get()).ok()
}

/// A text as it is compared.
pub(super) fn folded(text: &str) -> Box<str> {
    text.to_lowercase().into()
}

impl ListFacts {
    /// The facts of an object.
    pub(super) fn of(json: &[u8]) -> Self {
        let Ok(members) = serde_json::from_slice::<Members<'_>>(json) else {
            return Self::default();
        };
        let closed = |closed: bool| if closed { "closed" } else { "open" };
        let state = read::<String>(members.state)
            .or_else(|| read(members.closed).map(closed).map(str::to_owned));
        let accounts = [members.user, members.author, members.creator, members.actor];
        let mut accounts = accounts.into_iter().filter_map(read::<Account>);
        let labels = read::<Vec<WrittenLabel>>(members.labels).unwrap_or_default();
        let labels = labels.into_iter().map(WrittenLabel::carried);
        let label_name = read::<String>(members.color).and_then(|_| read::<String>(members.name));
        let label_shows = label_name.as_ref().map(|_| {
            let shown = [
                members.name,
                members.color,
                members.description,
                members.default,
            ];
            let shown = shown.map(read::<Value>);
            LabelDigest::of(shown.each_ref().map(Option::as_ref))
        });
        let assignees = read::<Vec<Account>>(members.assignees).unwrap_or_default();
        let merged_at: Option<String> = read(members.merged_at);
        let branch = read::<Branch>(members.base).map(|base| base.name);
        let branch = branch.or_else(|| read(members.head_branch));
        Self {
            state: state.as_deref().map(folded),
            merged: merged_at.is_some() || read(members.merged) == Some(true),
            labels: labels.collect(),
            assignees: assignees.iter().map(|who| folded(&who.login)).collect(),
            creator: accounts.next().map(|who| folded(&who.login)),
            milestone: read::<Numbered>(members.milestone).map(|of| of.number),
            branch: branch.map(Into::into),
            label_name: label_name.as_deref().map(folded),
            label_shows,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_compared_is_read_from_objects_of_any_kind() {
        let pull = json!({
            "state": "closed", "merged_at": "2026-11-20T10:00:00Z", "user": { "login": "Mona" },
            "labels": [{ "id": 7, "name": "Bug" }, "UI", { "node_id": "LA_1", "name": "x" }], "assignees": [{ "login": "Lisa" }],
            "milestone": { "number": 3 }, "base": { "ref": "Main" },
        });
        let facts = ListFacts::of(pull.to_string().as_bytes());
        let label = |id, name: &str| CarriedLabel {
            id,
            name: name.into(),
            shows: None,
        };
        let expected = ListFacts {
            state: Some("closed".into()),
            merged: true,
            labels: [
                label(CarriedLabelId::Number(7), "bug"),
                label(CarriedLabelId::Unknown, "ui"),
                label(CarriedLabelId::Node("LA_1".into()), "x"),
            ]
            .into(),
            assignees: ["lisa".into()].into(),
            creator: Some("mona".into()),
            milestone: Some(3),
            branch: Some("Main".into()),
            label_name: None,
            label_shows: None,
        };
        assert_eq!(facts, expected);
        let run = json!({ "head_branch": "dev", "actor": { "login": "bot" }, "merged_at": null });
        let facts = ListFacts::of(run.to_string().as_bytes());
        assert_eq!(facts.branch.as_deref(), Some("dev"));
        assert_eq!(
            (facts.creator.as_deref(), facts.merged),
            (Some("bot"), false)
        );
        let project = ListFacts::of(br#"{"closed":true,"creator":{"login":"x"}}"#);
        assert_eq!(project.state.as_deref(), Some("closed"));
        let label = ListFacts::of(br#"{"name":"Bug","color":"ff0000"}"#);
        assert_eq!(label.label_name.as_deref(), Some("bug"));
    }

    #[test]
    fn a_label_shows_the_same_until_a_member_of_it_changes() {
        let label = json!({ "id": 7, "name": "Bug", "color": "ff0000", "description": null, "default": false, "url": "a" });
        let issue = json!({ "labels": [label, { "id": 7, "name": "Bug" }] });
        let carried = ListFacts::of(issue.to_string().as_bytes()).labels;
        let with = |member: &str, value: Value| {
            let mut label = label.clone();
            label[member] = value;
            let own = ListFacts::of(label.to_string().as_bytes());
            assert!(!carried[1].shows_same_as(&own), "not all of it is carried");
            carried[0].shows_same_as(&own)
        };
        assert!(with("url", json!("b")));
        assert!(!with("name", json!("bug")));
        assert!(!with("color", json!("00ff00")));
        assert!(!with("description", json!("It does not work")));
        assert!(!with("default", json!(true)));
    }

    #[test]
    fn a_member_of_an_unknown_form_hides_no_other() {
        let odd = json!({ "state": 7, "labels": { "nodes": [] }, "user": null, "author": { "login": "A" } });
        let facts = ListFacts::of(odd.to_string().as_bytes());
        let expected = ListFacts {
            creator: Some("a".into()),
            ..ListFacts::default()
        };
        assert_eq!(facts, expected);
        assert_eq!(ListFacts::of(b"null"), ListFacts::default());
        assert_eq!(ListFacts::of(b"xxx"), ListFacts::default());
    }
}
