//! What a family of webhooks is: the row of a table.

use model::{ResourceEvent, ResourceType};
use serde_json::Value;

use crate::{
    Envelope, Skip,
    event::{self, Content, Subject},
    payload::Payload,
    payload_text::EventContent,
};

/// Members of a payload that every payload may have. They are not part of a resource.
pub(crate) const ENVELOPE: [&str; 6] = [
    "action",
    "enterprise",
    "installation",
    "organization",
    "repository",
    "sender",
];

/// A webhook with rules of its own.
#[derive(Debug)]
pub struct WebhookFamily {
    /// GitHub's name of the event.
    pub event: &'static str,
    /// The kinds of its resource.
    pub kinds: &'static [ResourceType],
    /// The resource, in words.
    pub resource: &'static str,
    /// The meaning of its number, in words; empty if it has none.
    pub number: &'static str,
    /// Members of the payload that events do not keep: whole objects that the resource belongs to.
    pub(crate) omitted: &'static [&'static str],
    /// How the resource is found.
    pub(crate) rule: Rule,
}

/// How the resource of a payload is found. It is of the family's first kind, if the rule does not say otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// The object under this key. Without a node id, this field identifies it within its place.
    Object(&'static str, &'static str),
    /// The place of the payload has it once.
    Once,
    /// By a function.
    By(fn(Payload<'_>) -> Result<Subject, Skip>),
}

impl WebhookFamily {
    /// A row without anything of its own.
    pub(crate) const PLAIN: Self = Self {
        event: "",
        kinds: &[],
        resource: "",
        number: "",
        omitted: &[],
        rule: Rule::Once,
    };

    /// Converts a payload; says where in it the event's JSON is.
    pub(crate) fn normalise(
        &self,
        envelope: &Envelope,
        mut json: Value,
    ) -> Result<(ResourceEvent, EventContent), Skip> {
        let payload = Payload {
            event: &envelope.event,
            json: &json,
        };
        let mut subject = self.subject(payload)?;
        let content = std::mem::replace(&mut subject.content, Content::Payload);
        let changes = std::mem::take(&mut subject.changes);
        let mut event = event::event(envelope, payload, subject);
        self.fill(&mut event, &mut json, &content);
        if event.metadata.changes.is_null() {
            event.metadata.changes = changes;
        }
        let omitted = self.omitted;
        Ok((event, EventContent { content, omitted }))
    }

    fn subject(&self, payload: Payload<'_>) -> Result<Subject, Skip> {
        let kind = || {
            self.kinds
                .first()
                .cloned()
                .unwrap_or(ResourceType::REPOSITORY)
        };
        match self.rule {
            Rule::Object(key, id_field) => payload.numbered_subject(kind(), key, id_field),
            Rule::Once => payload.once(kind()),
            Rule::By(read) => read(payload),
        }
    }

    /// Moves GitHub's JSON into the event: a copy would take as much memory again.
    fn fill(&self, event: &mut ResourceEvent, json: &mut Value, content: &Content) {
        let Some(members) = json.as_object_mut() else {
            return;
        };
        if let Content::Member(key) = content {
            event.data = members.remove(key).unwrap_or_default();
        }
        event.metadata.changes = members.remove("changes").unwrap_or_default();
        for key in ENVELOPE.iter().chain(self.omitted) {
            members.remove(*key);
        }
        let rest = match members.is_empty() {
            true => Value::Null,
            false => json.take(),
        };
        match content {
            Content::Member(_) => event.metadata.related = rest,
            Content::Payload => event.data = rest,
        }
    }
}
