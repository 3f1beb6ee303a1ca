//! `events.txt`: the event that each webhook becomes, with every action.
//!
//! Texts, numbers and times of the payloads say where they stand, so a line shows from which field of the payload
//! each field of the event comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use github_events::{
    Envelope, PayloadText, Skip, encode, encode_delivered, limits::MAX_EVENT_BYTES, normalise,
    normalise_payload,
};
use model::{DeliveryId, IdSource, ManualClock, ResourceEvent, Timestamp, TraceContext};
use serde_json::Value;

use crate::{
    check_file, packages,
    payloads::{self, Made, VARIANTS, Variant},
    shape::{Description, Shape},
};

pub(crate) fn envelope(event: &str) -> Envelope {
    Envelope {
        event: event.to_owned(),
        delivery: DeliveryId::new("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
        hook_id: None,
        received_at: Timestamp::parse("2026-12-24T10:00:00Z").unwrap(),
    }
}

/// Webhooks that may have nothing that identifies a resource, as their required members do not. GitHub always sends
/// more than those, except for a ping.
const WITHOUT_RESOURCE: [&str; 8] = [
    "cache_sync",
    "custom_property",
    "enterprise",
    "issue_relates_to",
    "ping",
    "repository",
    "secret_scanning_scan",
    "user",
];

/// The event of a payload, which is what every event is: complete, of a known kind, and as large as a log takes.
pub(crate) fn event_of(name: &str, payload: &Value) -> Result<ResourceEvent, Skip> {
    let body = payload.to_string();
    let text = PayloadText::read(body.as_bytes()).unwrap();
    assert_eq!(text.value, *payload, "{name}");
    let (event, content) = normalise_payload(&envelope(name), payload.clone())?;
    let family = github_events::families().find(|family| family.event == name);
    let kinds = family.map_or(&[][..], |family| family.kinds);
    assert!(
        kinds.contains(&event.resource_type),
        "{name}: {:?}",
        event.resource_type
    );
    let word = payload["action"].as_str().unwrap_or(name);
    assert_eq!(event.action, word, "{name}");
    assert_eq!(event.resource.node_id, event.resource_id, "{name}");
    check_place(name, &event, payload);
    let ids = ManualClock::default();
    let _ = ids.random_u64();
    let trace = TraceContext::start(&ids);
    for stored in [
        encode(event.clone(), trace, usize::MAX),
        encode_delivered(event.clone(), (&content, text.text()), trace, usize::MAX),
    ] {
        let stored = stored.unwrap();
        assert!(stored.json.len() <= MAX_EVENT_BYTES, "{name}");
        let read: ResourceEvent = serde_json::from_slice(&stored.json).unwrap();
        assert_eq!(read, event, "{name}");
    }
    Ok(event)
}

/// Kinds that belong to an owner, also where the payload names a repository.
const OF_OWNER: [&str; 7] = [
    "organization",
    "membership",
    "org_block",
    "installation",
    "installation_repositories",
    "installation_target",
    "user",
];

fn check_place(name: &str, event: &ResourceEvent, payload: &Value) {
    let (resource, repository) = (&event.resource, &payload["repository"]);
    let named = repository["owner"]["login"]
        .as_str()
        .zip(repository["name"].as_str());
    match named {
        Some((owner, repo)) if !OF_OWNER.contains(&name) => {
            assert_eq!(resource.owner.as_deref(), Some(owner), "{name}");
            assert_eq!(resource.repo.as_deref(), Some(repo), "{name}");
            let id = resource.repository_id.map(|id| id.0);
            assert_eq!(id, repository["id"].as_u64(), "{name}");
            let owner_id = resource.owner_id.map(|id| id.0);
            assert_eq!(owner_id, repository["owner"]["id"].as_u64(), "{name}");
        }
        _ => assert_eq!(resource.repo, None, "{name}"),
    }
    let organization = payload["organization"]["login"].as_str();
    if organization.is_some() && payload["repository"].is_null() && name != "installation_target" {
        assert!(resource.owner.is_some(), "{name}");
    }
}

/// A line: what the event is, and from which fields of the payload.
fn line(event: &ResourceEvent, made: &Made) -> String {
    let resource = &event.resource;
    let number = |number: Option<u64>| number.map(|number| made.place_of_number(number).to_owned());
    let mut line = format!(
        "{} {} {}",
        event.event_type, event.resource_type, event.resource_id
    );
    let fields = [
        ("number", number(resource.number)),
        ("title", resource.title.clone()),
        ("url", resource.url.clone()),
        ("id", number(resource.database_id)),
        ("in", place(event)),
        ("was", former(event)),
        ("project", event.metadata.project_id.clone()),
        ("tags", event.metadata.tags.first().cloned()),
        ("related", related(event)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            write!(line, " {name}={value}").unwrap();
        }
    }
    write!(line, " at={}", made.place_of_time(event.timestamp)).unwrap();
    line
}

fn place(event: &ResourceEvent) -> Option<String> {
    let owner = event.resource.owner.as_ref()?;
    let repo = event.resource.repo.as_ref();
    Some(repo.map_or(owner.clone(), |repo| format!("{owner}/{repo}")))
}

fn former(event: &ResourceEvent) -> Option<String> {
    let owner = event.resource.former_owner.as_ref()?;
    let repo = event.resource.former_repo.as_ref();
    Some(repo.map_or(owner.clone(), |repo| format!("{owner}/{repo}")))
}

fn related(event: &ResourceEvent) -> Option<String> {
    let members = event.metadata.related.as_object()?;
    Some(members.keys().cloned().collect::<Vec<_>>().join(","))
}

/// Every form of every webhook with every action, each from the first description that has it.
pub(crate) fn for_each_form(
    descriptions: &[Description],
    mut see: impl FnMut(&str, Option<&str>, &Description, &Shape),
) {
    let mut seen = BTreeSet::new();
    for (at, description) in descriptions.iter().enumerate() {
        for webhook in &description.webhooks {
            for form in description.forms(&webhook.payload) {
                let mut actions: Vec<_> = description.actions(form).into_iter().map(Some).collect();
                if actions.is_empty() {
                    actions.push(None);
                }
                for action in actions {
                    // Several forms of one action are all seen.
                    let first =
                        seen.iter()
                            .find(|(event, known, _): &&(String, Option<String>, usize)| {
                                *event == webhook.event && *known == action
                            });
                    if first.is_none_or(|(.., first)| *first == at) {
                        see(&webhook.event, action.as_deref(), description, form);
                        seen.insert((webhook.event.clone(), action, at));
                    }
                }
            }
        }
    }
}

#[test]
fn every_documented_payload_becomes_an_event() {
    let mut lines = BTreeMap::<(String, String), BTreeSet<String>>::new();
    let mut skips = BTreeSet::new();
    for_each_form(
        packages::descriptions(),
        |event, action, description, form| {
            for variant in VARIANTS {
                let any = action.filter(|action| *action != "*");
                let made = payloads::make(description, form, variant, any);
                let line = match event_of(event, &made.payload) {
                    Ok(of) => line(&of, &made),
                    Err(skip) => {
                        skips.insert((event.to_owned(), variant, skip.to_string()));
                        format!("skipped: {skip}")
                    }
                };
                if variant == Variant::Everything {
                    let key = (event.to_owned(), action.unwrap_or("-").to_owned());
                    lines.entry(key).or_default().insert(line);
                }
            }
        },
    );
    let skipped: BTreeSet<_> = skips
        .iter()
        .map(|(event, variant, _)| (&**event, *variant))
        .collect();
    let expected = WITHOUT_RESOURCE.iter().flat_map(|event| {
        let required = [(*event, Variant::Required), (*event, Variant::Null)];
        required
            .into_iter()
            .chain((*event == "ping").then_some((*event, Variant::Everything)))
    });
    assert_eq!(skipped, expected.collect(), "{skips:?}");
    let text = lines.iter().flat_map(|((event, action), lines)| {
        lines
            .iter()
            .map(move |line| format!("{event} {action}: {line}\n"))
    });
    check_file("tests/catalogue/events.txt", &text.collect::<String>());
}

#[test]
fn every_published_example_becomes_an_event() {
    let examples = packages::examples();
    for (name, payload) in &examples {
        match event_of(name, payload) {
            Ok(event) => assert!(event.timestamp > Timestamp::default()),
            Err(skip) => assert_eq!(skip, Skip::Ping, "{name}: {payload}"),
        }
    }
    assert!(examples.len() > 250, "{} examples", examples.len());
}

#[test]
fn an_event_that_nobody_knows_yet_has_its_name_as_its_kind() {
    let places = [
        "repository",
        "organization",
        "enterprise",
        "installation",
        "sender",
    ];
    // The payloads of known events under another name.
    for_each_form(
        packages::descriptions(),
        |name, action, description, form| {
            let payload = payloads::make(description, form, Variant::Required, action).payload;
            let names_nothing = places.iter().all(|place| payload[place].is_null());
            match normalise(&envelope("news_of_tomorrow"), payload) {
                Ok(events) => assert_eq!(events[0].resource_type.as_str(), "news_of_tomorrow"),
                Err(skip) => assert!(names_nothing, "{name}: {skip}"),
            }
        },
    );
}
