//! `webhooks.txt`: the names of all documented webhooks and their actions.

use std::collections::{BTreeMap, BTreeSet};

use crate::{check_file, packages, shape::Description};

/// The actions of each event; none for an event without actions, `*` for one with any.
pub(crate) type Catalogue = BTreeMap<String, BTreeSet<String>>;

/// Of the packages' descriptions.
fn described(descriptions: &[Description]) -> Catalogue {
    let mut catalogue = Catalogue::new();
    for description in descriptions {
        for webhook in &description.webhooks {
            let actions = catalogue.entry(webhook.event.clone()).or_default();
            for form in description.forms(&webhook.payload) {
                actions.extend(description.actions(form));
            }
        }
    }
    catalogue
}

/// The list that is part of the repository.
pub(crate) fn committed() -> Catalogue {
    let lines = include_str!("webhooks.txt").lines();
    lines
        .map(|line| {
            let (event, actions) = line.split_once(':').unwrap();
            let actions = actions.split_whitespace().map(str::to_owned);
            (event.to_owned(), actions.collect())
        })
        .collect()
}

#[test]
fn every_documented_webhook_is_listed_with_all_its_actions() {
    let catalogue = described(packages::descriptions());
    let lines = catalogue.iter().map(|(event, actions)| {
        let words: String = actions.iter().map(|action| format!(" {action}")).collect();
        format!("{event}:{words}\n")
    });
    check_file("tests/catalogue/webhooks.txt", &lines.collect::<String>());
    for (event, action) in [
        // In one of the packages only.
        ("issues", "field_added"),
        ("issue_relates_to", "relates_to_added"),
        ("repository", "anonymous_access_enabled"),
        ("bypass_request_secret_scanning", "created"),
    ] {
        assert!(catalogue[event].contains(action), "{event} {action}");
    }
}

#[test]
fn every_listed_webhook_has_a_family_and_every_family_is_listed() {
    let listed: BTreeSet<_> = committed().into_keys().collect();
    let families = github_events::families().map(|family| family.event.to_owned());
    let mut mapped: BTreeSet<_> = families.collect();
    mapped.insert("ping".to_owned());
    let difference: Vec<_> = listed.symmetric_difference(&mapped).collect();
    assert!(difference.is_empty(), "{difference:?}");
}
