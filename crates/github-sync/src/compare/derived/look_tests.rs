use std::time::Duration;

use model::ResourceId;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn rules() -> DerivedRules {
    DerivedRules {
        kinds: DerivedKind::ALL.to_vec(),
        pending_checks: HOUR,
        waiting_review: 48 * HOUR,
        due_milestone: 24 * HOUR,
    }
}

fn living(number: u64, json: &Value) -> LivingState {
    LivingState {
        number,
        node_id: ResourceId::new("X_1").unwrap(),
        updated_at: at("2026-12-01T10:00:00Z"),
        is_open: true,
        json: json.to_string().into(),
    }
}

/// Action and time of what holds.
fn held(look: &ConditionLook) -> Vec<(&'static str, Timestamp)> {
    let holding = look.holding.iter();
    holding.map(|it| (it.action, it.since)).collect()
}

fn pull(state: &Value, now: &str) -> ConditionLook {
    let mut look = ConditionLook::default();
    look.pull(7, Some(&living(7, state)), &rules(), at(now));
    look
}

#[test]
fn a_conflict_holds_and_is_unclear_while_github_finds_out() {
    let now = "2026-12-01T12:00:00Z";
    let conflicting = pull(&json!({ "mergeable": "CONFLICTING" }), now);
    assert_eq!(held(&conflicting), [("merge_conflict_began", at(now))]);
    let unknown = pull(&json!({ "mergeable": "UNKNOWN" }), now);
    assert_eq!(
        unknown.unclear,
        [conflicting.holding[0].key()].into_iter().collect()
    );
    assert!(unknown.holding.is_empty());
    let clean = pull(&json!({ "mergeable": "MERGEABLE" }), now);
    assert!(clean.holding.is_empty() && clean.unclear.is_empty());
    let mut unread = ConditionLook::default();
    unread.pull(7, None, &rules(), at(now));
    assert_eq!(unread.unclear, unknown.unclear);
}

#[test]
fn checks_are_pending_since_the_first_of_them_began() {
    let state = json!({ "mergeable": "MERGEABLE", "headRefOid": "abc", "statusCheckRollup": { "state": "PENDING",
        "contexts": { "nodes": [
            { "name": "lint", "status": "COMPLETED", "startedAt": "2026-12-01T08:00:00Z" },
            { "name": "build", "status": "IN_PROGRESS", "startedAt": "2026-12-01T09:30:00Z" },
            { "name": "test", "status": "QUEUED", "startedAt": null },
            { "context": "ci/old", "state": "PENDING", "createdAt": "2026-12-01T09:10:00Z" },
            null, {},
        ] } } });
    assert!(pull(&state, "2026-12-01T10:09:59Z").holding.is_empty());
    let look = pull(&state, "2026-12-01T10:10:00Z");
    assert_eq!(
        held(&look),
        [("checks_pending", at("2026-12-01T10:10:00Z"))]
    );
    assert_eq!(
        look.holding[0].detail["checks"],
        json!(["build", "test", "ci/old"])
    );
    let expected =
        json!({ "mergeable": "MERGEABLE", "statusCheckRollup": { "state": "EXPECTED" } });
    let look = pull(&expected, "2026-12-01T11:00:00Z");
    assert_eq!(
        held(&look),
        [("checks_pending", at("2026-12-01T11:00:00Z"))]
    );
}

#[test]
fn a_review_waits_since_it_was_asked_for_last() {
    let ada = json!({ "requestedReviewer": { "login": "ada" } });
    let team = json!({ "requestedReviewer": { "slug": "core" } });
    let nobody = json!({ "requestedReviewer": null });
    let asked = |of: &Value, when: &str| {
        let mut asked = of.clone();
        asked["createdAt"] = when.into();
        asked
    };
    let state = json!({ "mergeable": "MERGEABLE",
        "reviewRequests": { "nodes": [ada, team, nobody, { "requestedReviewer": { "login": "unknown" } }] },
        "timelineItems": { "nodes": [
            asked(&ada, "2026-11-20T10:00:00Z"), asked(&ada, "2026-11-29T10:00:00Z"),
            asked(&team, "2026-11-29T12:00:00Z"),
        ] } });
    let look = pull(&state, "2026-12-01T11:00:00Z");
    assert_eq!(
        held(&look),
        [("review_waiting", at("2026-12-01T10:00:00Z"))]
    );
    assert_eq!(look.holding[0].detail["reviewer"], "ada");
    let look = pull(&state, "2026-12-01T12:00:00Z");
    assert_eq!(look.holding[1].detail["reviewer"], "team:core");
}

#[test]
fn a_milestone_is_due_by_the_end_of_its_day() {
    let milestone = living(3, &json!({ "due_on": "2026-12-05T08:00:00Z" }));
    for (now, expected) in [
        ("2026-12-04T23:59:59Z", None),
        (
            "2026-12-05T00:00:00Z",
            Some(("due_soon", "2026-12-05T00:00:00Z")),
        ),
        (
            "2026-12-05T23:59:59Z",
            Some(("due_soon", "2026-12-05T00:00:00Z")),
        ),
        (
            "2026-12-06T00:00:00Z",
            Some(("overdue", "2026-12-06T00:00:00Z")),
        ),
        (
            "2027-01-06T00:00:00Z",
            Some(("overdue", "2026-12-06T00:00:00Z")),
        ),
    ] {
        let mut look = ConditionLook::default();
        look.milestone(&milestone, &rules(), at(now));
        let expected: Vec<_> = expected.iter().map(|it| (it.0, at(it.1))).collect();
        assert_eq!(held(&look), expected, "{now}");
    }
    let mut look = ConditionLook::default();
    let undated = living(3, &json!({ "due_on": null }));
    look.milestone(&undated, &rules(), at("2026-12-05T00:00:00Z"));
    assert_eq!(look, ConditionLook::default());
}
