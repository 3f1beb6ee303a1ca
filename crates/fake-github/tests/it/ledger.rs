//! Ledger, state and deliveries are three views of one thing.

use std::sync::Arc;

use fake_github::{
    hooks::{FakeAttempt, FakeHookOwner},
    world::{FakeFieldValue, FakeReviewState, FakeWorld, TicketKey},
};
use model::ManualClock;
use proptest::prelude::*;
use serde_json::Value;

use crate::harness::START;

/// Does one of many things to a world, chosen by two numbers.
pub(crate) fn act(world: &mut FakeWorld, keys: &mut Vec<TicketKey>, what: u8, at: usize) {
    let owner = world.actor();
    let repo = keys[0].repo;
    let key = keys[at % keys.len()];
    let is_pull = world.ticket(key).unwrap().pull.is_some();
    match what % 12 {
        0 => keys.push(world.open_issue(repo, "another")),
        1 => {
            let branch = format!("topic-{at}-{}", keys.len());
            keys.push(world.open_pull(repo, "a change", [&branch, "main"]));
        }
        2 => world.label(key, if at.is_multiple_of(2) { "bug" } else { "p1" }),
        3 => world.unlabel(key, "bug"),
        4 => world.close(key, "completed"),
        5 => world.reopen(key),
        6 => {
            world.comment(key, "Seen here, too.");
        }
        7 => world.assign(key, owner),
        8 if is_pull => {
            world.push(key);
        }
        9 if is_pull => {
            world.review(key, FakeReviewState::Approved, "Good.");
        }
        10 if is_pull => world.request_review(key, owner),
        11 => {
            let milestone = world.create_milestone(repo, "next");
            world.set_milestone(key, Some(milestone));
        }
        _ => world.retitle(key, &format!("title {at}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_happened_is_what_is_there_and_what_was_meant_to_be_sent(
        deeds in prop::collection::vec((any::<u8>(), 0_usize..50), 1..60),
        seed in any::<u64>(),
    ) {
        let clock = Arc::new(ManualClock::at(START));
        let mut world = FakeWorld::new(seed, clock.clone());
        let owner = world.add_organization("octo");
        let repo = world.create_repo(owner, "reactor");
        let hook = world.add_hook(FakeHookOwner::Repo(repo), "http://127.0.0.1:1/", "s", &["*"]);
        let before = world.ledger().len();
        let mut keys = vec![world.open_issue(repo, "first")];
        for (what, at) in deeds {
            clock.advance(std::time::Duration::from_secs(1));
            act(&mut world, &mut keys, what, at);
        }
        // Every line of the ledger since the hook exists has one delivery, in its order, under its GUID.
        let mut sent = Vec::new();
        while let Some((delivery, _)) = world.next_to_send() {
            let payload: Value = serde_json::from_str(&delivery.payload).unwrap();
            sent.push((delivery.guid.clone(), delivery.event, payload));
            let ok = FakeAttempt {
                status_code: 202, status: "OK".into(), duration: std::time::Duration::ZERO,
                headers: Default::default(), body: String::new(),
            };
            world.attempted(delivery.id, ok);
        }
        let entries = &world.ledger()[before..];
        prop_assert_eq!(sent.len(), entries.len() + 1, "and the ping");
        for ((guid, event, payload), entry) in sent[1..].iter().zip(entries) {
            prop_assert_eq!((guid, *event), (&entry.guid, entry.event));
            prop_assert_eq!(payload["action"].as_str().unwrap_or_default(), entry.action);
        }
        prop_assert_eq!(world.hooks.attempts_of(hook, world.now()).count(), sent.len());
        // The last payload about an issue shows it as it is, and its time is that of the ledger's last line about it.
        for key in keys {
            let ticket = world.ticket(key).unwrap();
            let last = entries.iter().rfind(|it| it.number == Some(key.number) && it.event != "milestone").unwrap();
            prop_assert_eq!(last.at, ticket.updated_at);
            let (_, event, payload) = sent.iter().rfind(|it| it.0 == last.guid).unwrap();
            let shown = match *event {
                "issues" | "issue_comment" => &payload["issue"],
                _ => &payload["pull_request"],
            };
            prop_assert_eq!(shown["title"].as_str().unwrap(), &ticket.title);
            prop_assert_eq!(shown["state"] == "closed", ticket.closed_at.is_some());
            prop_assert_eq!(shown["labels"].as_array().unwrap().len(), ticket.labels.len());
        }
    }

    #[test]
    fn the_same_seed_and_deeds_give_the_same_world_byte_for_byte(
        deeds in prop::collection::vec((any::<u8>(), 0_usize..50), 1..30),
        seed in any::<u64>(),
    ) {
        let live = || {
            let mut world = FakeWorld::new(seed, Arc::new(ManualClock::at(START)));
            let owner = world.add_organization("octo");
            let repo = world.create_repo(owner, "reactor");
            world.add_hook(FakeHookOwner::Repo(repo), "http://127.0.0.1:1/", "s", &["*"]);
            let mut keys = vec![world.open_issue(repo, "first")];
            deeds.iter().for_each(|(what, at)| act(&mut world, &mut keys, *what, *at));
            std::iter::from_fn(|| Some(world.next_to_send()?.0.payload)).collect::<Vec<_>>()
        };
        prop_assert_eq!(live(), live());
    }
}

#[test]
fn values_of_a_project_change_only_what_they_name() {
    let mut world = FakeWorld::new(3, Arc::new(ManualClock::at(START)));
    let owner = world.add_organization("octo");
    let project = world.create_project(owner, "Roadmap");
    let item = world.add_draft(project, "later");
    let count = world.ledger().len();
    world.set_field(
        project,
        "Estimate",
        fake_github::world::FakeFieldKind::Number,
    );
    world.set_value(item, "Estimate", Some(FakeFieldValue::Number(3.0)));
    world.set_value(item, "Estimate", None);
    let said: Vec<_> = world.ledger()[count..]
        .iter()
        .map(|it| (it.event, it.action))
        .collect();
    assert_eq!(
        said,
        [
            ("projects_v2", "edited"),
            ("projects_v2_item", "edited"),
            ("projects_v2_item", "edited")
        ]
    );
}
