use model::{EventFacts, EventId, EventOrigin, EventType, ResourceId, ResourceType};
use model::{StoredEvent, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// An event of an issue in `acme/old`.
#[allow(clippy::needless_pass_by_value)] // Its arguments are written in place.
fn event(data: Value, changes: Value) -> StoredEvent {
    let facts = EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: Some("Acme".to_owned()),
        repo: Some("old".to_owned()),
        number: Some(7),
        ids: model::GithubIds::default(),
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    };
    let json = json!({
        "id": "e", "type": "updated", "resourceType": "issue",
        "resource": { "owner": "Acme", "repo": "old", "number": 7, "title": "ours",
            "url": "https://github.com/Acme/old/issues/7" },
        "data": data, "metadata": { "changes": changes, "tags": ["bug"] },
    });
    StoredEvent {
        facts: facts.into(),
        json: json.to_string().into(),
        trace: None,
    }
}

fn sees(owners: &[&str], repositories: &[&str]) -> Visibility {
    Visibility::only(owners.iter().copied(), repositories.iter().copied()).unwrap()
}

/// The issue that such an event is about, as GitHub describes it.
fn issue(owner: &str, repo: &str, title: &str) -> Value {
    let api = format!("https://api.github.com/repos/{owner}/{repo}");
    let user = json!({ "login": "mona", "url": "https://api.github.com/users/mona",
        "html_url": "https://github.com/mona", "repos_url": "https://api.github.com/users/mona/repos",
        "avatar_url": "https://avatars.githubusercontent.com/u/1?v=4",
        "starred_url": "https://api.github.com/users/mona/starred{/owner}{/repo}" });
    json!({
        "number": 7, "title": title, "body": "see https://github.com/secret/other/issues/1",
        "url": format!("{api}/issues/7"), "repository_url": api,
        "labels_url": format!("{api}/issues/7/labels{{/name}}"),
        "html_url": format!("https://github.com/{owner}/{repo}/issues/7"),
        "user": user, "assignees": [user],
        "labels": [{ "name": "bug", "url": format!("{api}/labels/bug") }],
        "performed_via_github_app": { "html_url": "https://github.com/apps/helper",
            "owner": { "login": "helpers" }, "external_url": "https://helper.example/a/b" },
        "type": { "name": "Bug" },
    })
}

fn repository(owner: &str, repo: &str) -> Value {
    json!({ "full_name": format!("{owner}/{repo}"), "name": repo, "private": true, "fork": false,
        "description": "whatever it says", "visibility": "private",
        "owner": { "login": owner },
        "url": format!("https://api.github.com/repos/{owner}/{repo}") })
}

fn transfer() -> StoredEvent {
    let changes = json!({
        "new_issue": issue("secret", "place", "a title of theirs"),
        "new_repository": repository("secret", "place"),
    });
    event(issue("acme", "OLD", "ours"), changes)
}

fn shown(event: &StoredEvent, reader: &Visibility) -> Value {
    let foreign = ForeignContent::of(event);
    let cut = reader.cut_event(event);
    // The ways of a stream and of a query are one.
    assert_eq!(reader.allows_content(&foreign), cut == event.json);
    if reader.hides_content(&foreign) {
        assert_eq!(cut, without_foreign_content(event));
    }
    serde_json::from_slice(&cut).unwrap()
}

#[test]
fn a_transferred_issue_shows_the_other_repository_to_who_may_see_both() {
    let event = transfer();
    for both in [
        Visibility::all(),
        sees(&["acme", "secret"], &[]),
        sees(&["Acme"], &["SECRET/Place"]),
    ] {
        assert_eq!(both.cut_event(&event), event.json, "byte by byte");
    }
    for one in [sees(&["acme"], &[]), sees(&[], &["acme/old"])] {
        let shown = shown(&event, &one);
        let text = shown.to_string();
        for secret in ["theirs", "place", "secret/place", "whatever"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        let changes = &shown["metadata"]["changes"];
        assert_eq!(changes["new_issue"], json!({ "withheld": true }));
        let rest =
            json!({ "withheld": true, "private": true, "fork": false, "visibility": "private" });
        assert_eq!(changes["new_repository"], rest);
        // What belongs to the event's own repository stays, also what people wrote there.
        let (data, whole) = (&shown["data"], issue("acme", "OLD", "ours"));
        assert_eq!(*data, whole);
        assert_eq!(shown["resource"]["title"], "ours");
    }
}

#[test]
fn the_other_side_of_a_transfer_is_cut_in_the_same_way() {
    let changes = json!({
        "old_issue": issue("secret", "place", "before"),
        "old_repository": repository("secret", "place"),
    });
    let shown = shown(
        &event(issue("acme", "old", "ours"), changes),
        &sees(&["acme"], &[]),
    );
    let changes = &shown["metadata"]["changes"];
    assert_eq!(changes["old_issue"], json!({ "withheld": true }));
    assert_eq!(changes["old_repository"]["withheld"], true);
}

#[test]
fn an_object_that_does_not_say_whose_it_is_belongs_to_its_sibling_or_to_nobody_known() {
    let bare = |repository: Value| {
        event(
            json!({}),
            json!({ "new_issue": { "title": "theirs", "number": 3 },
            "new_repository": repository }),
        )
    };
    let named = bare(repository("secret", "place"));
    let (one, both) = (sees(&["acme"], &[]), sees(&["acme", "secret"], &[]));
    assert_eq!(
        shown(&named, &one)["metadata"]["changes"]["new_issue"],
        json!({ "withheld": true })
    );
    assert_eq!(
        shown(&named, &both)["metadata"]["changes"]["new_issue"]["title"],
        "theirs"
    );
    for unnamed in [Value::Null, json!({ "id": 5 })] {
        let event = bare(unnamed);
        let changes = &shown(&event, &both)["metadata"]["changes"];
        assert_eq!(changes["new_issue"], json!({ "withheld": true }));
        assert_eq!(Visibility::all().cut_event(&event), event.json);
    }
}

#[test]
fn every_place_of_a_payload_that_is_another_repositorys_is_cut() {
    let theirs = || issue("secret", "place", "theirs");
    let pull = |head: Value| {
        let base = json!({ "label": "acme:main", "ref": "main", "sha": "b", "user": { "login": "acme" },
            "repo": repository("acme", "old") });
        let mut pull = issue("acme", "old", "ours");
        pull["base"] = base;
        pull["head"] = head;
        pull
    };
    let head = json!({ "label": "secret:patch-1", "ref": "patch-1", "sha": "a",
        "user": { "login": "secret" }, "repo": repository("secret", "place") });
    let with = |key: &str, value: Value| {
        let mut issue = issue("acme", "old", "ours");
        issue[key] = value;
        issue
    };
    let cases = [
        ("head.repo of a pull request", pull(head)),
        ("forkee", json!({ "forkee": repository("secret", "place") })),
        ("parent", json!({ "parent": repository("secret", "place") })),
        ("source", json!({ "source": repository("secret", "place") })),
        (
            "template",
            json!({ "template_repository": repository("secret", "place") }),
        ),
        ("parent issue", with("parent_issue", theirs())),
        (
            "its address",
            with(
                "parent_issue_url",
                json!("https://api.github.com/repos/secret/place/issues/1"),
            ),
        ),
        (
            "a sub-issue",
            json!({ "sub_issue": theirs(), "sub_issue_repo": repository("secret", "place") }),
        ),
        (
            "several",
            with(
                "sub_issues",
                json!([theirs(), issue("acme", "old", "ours")]),
            ),
        ),
        (
            "a cross-reference",
            json!({ "timeline": [{ "source": { "type": "issue", "issue": theirs() } }] }),
        ),
        (
            "a nested repository",
            json!({ "item": { "title": "theirs", "repository": repository("secret", "place") } }),
        ),
        (
            "by names alone",
            json!({ "imported": { "name": "place", "owner": { "login": "secret" }, "title": "theirs" } }),
        ),
        (
            "a site",
            json!({ "linked": { "html_url": "https://ghe.corp/secret/place/pull/1", "title": "theirs" } }),
        ),
        (
            "an enterprise API",
            json!({ "linked": { "url": "https://ghe.corp/api/v3/repos/secret/place/issues/1", "title": "theirs" } }),
        ),
        (
            "pull requests of a check",
            json!({ "pull_requests": [{ "head": { "ref": "r", "sha": "s",
            "repo": { "id": 1, "url": "https://api.github.com/repos/secret/place", "name": "place" } } }] }),
        ),
        (
            "where a discussion went",
            json!({ "new_discussion": { "title": "theirs" }, "new_repository": repository("secret", "place") }),
        ),
        (
            "a workflow that others use",
            json!({ "referenced_workflows": [{ "path": "secret/place/.github/workflows/test.yml@main" }] }),
        ),
        (
            "links",
            json!({ "_links": { "html": { "href": "https://github.com/secret/place/pull/1" } } }),
        ),
    ];
    for (case, data) in cases {
        let event = event(data, Value::Null);
        let text = shown(&event, &sees(&[], &["acme/old"])).to_string();
        for secret in ["theirs", "secret:", "place", "\"secret\"", "secret/place"] {
            assert!(!text.contains(secret), "{case} shows {secret}: {text}");
        }
        assert!(!ForeignContent::of(&event).is_empty(), "{case}");
        let both = sees(&["secret"], &["acme/old"]);
        assert_eq!(both.cut_event(&event), event.json, "{case}");
    }
}

#[test]
fn the_other_of_two_linked_issues_is_cut_with_its_id() {
    for [own, other] in [
        ["parent_issue", "sub_issue"],
        ["sub_issue", "parent_issue"],
        ["blocked_issue", "blocking_issue"],
        ["blocking_issue", "blocked_issue"],
        ["issue", "related_issue"],
    ] {
        let related = json!({
            format!("{own}_id"): 1, format!("{other}_id"): 2,
            other: issue("secret", "place", "theirs"),
            format!("{other}_repo"): repository("secret", "place"),
        });
        let event = event(issue("acme", "old", "ours"), json!({ "part": related }));
        let shown = shown(&event, &sees(&["acme"], &[]));
        let part = &shown["metadata"]["changes"]["part"];
        assert_eq!(part[other], json!({ "withheld": true }));
        assert_eq!(part[format!("{other}_repo")]["withheld"], true);
        let ids = [own, other].map(|key| part[format!("{key}_id")].clone());
        assert_eq!(ids, [json!(1), Value::Null]);
        let both = sees(&["acme", "secret"], &[]);
        assert_eq!(both.cut_event(&event), event.json);
    }
}

#[test]
fn a_fork_is_told_from_a_branch_and_the_commit_stays() {
    let head = json!({ "label": "secret:patch-1", "ref": "patch-1", "sha": "abc", "user": { "login": "secret" },
        "repo": { "full_name": "secret/place", "fork": true, "private": false, "visibility": "our secret" } });
    let event = event(json!({ "head": head }), Value::Null);
    let shown = shown(&event, &sees(&["acme"], &[]));
    let rest = json!({ "label": null, "ref": "patch-1", "sha": "abc", "user": null,
        "repo": { "withheld": true, "fork": true, "private": false } });
    assert_eq!(shown["data"]["head"], rest);
}

#[test]
fn a_reader_of_some_of_the_places_gets_those() {
    let changes = json!({ "new_issue": issue("secret", "place", "theirs"),
        "old_issue": issue("acme", "third", "a third") });
    let event = event(json!({}), changes);
    let shown = shown(&event, &sees(&["acme"], &[]));
    let changes = &shown["metadata"]["changes"];
    assert_eq!(changes["new_issue"], json!({ "withheld": true }));
    assert_eq!(changes["old_issue"]["title"], "a third");
}

#[test]
fn an_event_without_foreign_content_is_passed_on_unchanged() {
    let event = event(
        issue("acme", "old", "ours"),
        json!({ "title": { "from": "x" } }),
    );
    assert!(ForeignContent::of(&event).is_empty());
    assert_eq!(sees(&[], &["acme/old"]).cut_event(&event), event.json);
}

#[test]
fn what_is_not_json_is_not_shown_to_readers_with_limits() {
    let mut event = transfer();
    event.json = "secret/place".into();
    assert_eq!(&sees(&["acme"], &[]).cut_event(&event)[..], b"null");
}

#[test]
fn a_resource_is_cut_like_an_event() {
    let uri = ResourceUri::parse("github://issues/acme/old/7").unwrap();
    let mut state = issue("acme", "old", "ours");
    state["parent_issue"] = issue("secret", "place", "theirs");
    let json: Bytes = state.to_string().into();
    assert_eq!(
        Visibility::all().cut_resource(&uri, model::GithubIds::default(), &json),
        json
    );
    let cut = sees(&["acme"], &[]).cut_resource(&uri, model::GithubIds::default(), &json);
    let cut: Value = serde_json::from_slice(&cut).unwrap();
    assert_eq!(cut["parent_issue"], json!({ "withheld": true }));
    assert_eq!(cut["title"], "ours");
}

/// The names of the property: two owners with two repositories each.
const PLACES: [(&str, &str); 4] = [
    ("acme", "old"),
    ("acme", "new"),
    ("secret", "place"),
    ("secret", "plan"),
];

fn any_json() -> impl Strategy<Value = Value> {
    let part = prop::sample::select(PLACES.to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        part.clone()
            .prop_map(|(owner, repo)| issue(owner, repo, &format!("mark-{owner}-{repo}"))),
        part.prop_map(|(owner, repo)| repository(owner, repo)),
    ];
    let keys = prop::sample::select(vec![
        "new_issue",
        "new_repository",
        "old_issue",
        "old_repository",
        "forkee",
        "head",
        "repo",
        "parent",
        "items",
        "url",
        "title",
        "sub_issue",
        "sub_issue_repo",
    ]);
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(keys.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn nobody_gets_a_mark_of_a_repository_that_it_may_not_see(data in any_json(), changes in any_json()) {
        let event = event(json!({ "part": data }), json!({ "part": changes }));
        for mask in 0..16_usize {
            let of = |at: &usize| format!("{}/{}", PLACES[*at].0, PLACES[*at].1);
            let names: Vec<_> = (0..4).filter(|at| mask & (1 << at) != 0).map(|at| of(&at)).collect();
            let mut names: Vec<_> = names.iter().map(String::as_str).collect();
            // Who sees the event.
            names.push("acme/old");
            let reader = sees(&[], &names);
            let text = shown(&event, &reader).to_string();
            for (owner, repo) in PLACES {
                let hidden = !reader.allows_repository(owner, repo, model::GithubIds::default());
                let mark = format!("mark-{owner}-{repo}");
                prop_assert!(!hidden || !text.contains(&mark), "{}", text);
                let name = format!("\"{owner}/{repo}\"");
                prop_assert!(!hidden || !text.contains(&name), "{}", text);
            }
        }
    }
}

#[test]
fn who_may_see_more_covers_who_may_see_less() {
    let (acme, tool) = (sees(&["acme"], &[]), sees(&[], &["acme/tool"]));
    let all = Visibility::all();
    assert!(all.covers(&acme) && all.covers(&all) && !acme.covers(&all));
    assert!(acme.covers(&tool) && !tool.covers(&acme) && tool.covers(&tool));
    assert!(tool.covers(&sees(&[], &[])) && !sees(&[], &[]).covers(&tool));
    assert!(!acme.covers(&sees(&["octo"], &[])));
    for visibility in [all, acme, tool, sees(&[], &[])] {
        let stored = serde_json::to_string(&visibility).unwrap();
        assert_eq!(
            serde_json::from_str::<Visibility>(&stored).unwrap(),
            visibility,
            "{stored}"
        );
    }
}
