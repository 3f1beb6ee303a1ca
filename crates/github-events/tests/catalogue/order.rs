//! Which webhooks tell of one object, and which objects always have a time.

use std::collections::{BTreeMap, BTreeSet};

use github_events::{object_of, updated_at};

use crate::{
    events::{event_of, for_each_form},
    packages,
    payloads::{self, VARIANTS},
};

/// Webhooks whose object always has a time that does not order its states: see the module `object_class`.
const UNORDERED: [&str; 2] = ["installation", "installation_repositories"];

#[test]
fn the_webhooks_that_are_ordered_by_time_are_those_whose_object_always_has_one() {
    let mut has_time = BTreeMap::<String, bool>::new();
    let mut timed = BTreeSet::new();
    let mut note = |name: &str, payload: &serde_json::Value| {
        let Ok(event) = event_of(name, payload) else {
            return;
        };
        let known = has_time.entry(name.to_owned()).or_insert(true);
        *known &= updated_at(&event).is_some();
        if object_of(name, &event).is_timed {
            timed.insert(name.to_owned());
        }
    };
    for_each_form(
        packages::descriptions(),
        |name, action, description, form| {
            for variant in VARIANTS {
                let action = action.filter(|action| *action != "*");
                note(
                    name,
                    &payloads::make(description, form, variant, action).payload,
                );
            }
        },
    );
    for (name, payload) in &packages::examples() {
        note(name, payload);
    }
    let always = has_time.into_iter().filter(|(_, always)| *always);
    let always = always.map(|(name, _)| name);
    let expected = always.filter(|name| !UNORDERED.contains(&&**name));
    assert_eq!(timed, expected.collect());
}
