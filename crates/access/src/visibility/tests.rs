use model::{EventId, EventOrigin, EventType, ResourceId, ResourceType, Timestamp};
use proptest::prelude::*;

use super::*;

fn event(owner: Option<&str>, repo: Option<&str>) -> EventFacts {
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: match repo {
            Some(_) => ResourceType::ISSUE,
            None => ResourceType::PROJECT,
        },
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: owner.map(ToOwned::to_owned),
        repo: repo.map(ToOwned::to_owned),
        number: Some(7),
        ids: model::GithubIds::default(),
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}

fn only(owners: &[&str], repositories: &[&str]) -> Visibility {
    Visibility::only(owners.iter().copied(), repositories.iter().copied()).unwrap()
}

fn sees_uri(sees: &Visibility, uri: &str) -> bool {
    sees.allows_uri(&ResourceUri::parse(uri).unwrap())
}

#[test]
fn an_owner_is_seen_whole_and_a_repository_alone() {
    let sees = only(&["Octo"], &["acme/Tool.rs"]);
    for (owner, repo, seen) in [
        (Some("octo"), Some("anything"), true),
        (Some("OCTO"), None, true),
        (Some("acme"), Some("tool.RS"), true),
        (Some("acme"), Some("tool"), false),
        (Some("acme"), None, false),
        (Some("octo2"), Some("tool.rs"), false),
        (Some("oct"), None, false),
        (None, None, false),
        (None, Some("tool.rs"), false),
    ] {
        assert_eq!(sees.allows(&event(owner, repo)), seen, "{owner:?}/{repo:?}");
        assert!(Visibility::all().allows(&event(owner, repo)));
    }
}

#[test]
fn uris_outside_are_not_there_and_lists_are_as_soon_as_something_in_them_is() {
    let sees = only(&["octo"], &["acme/tool"]);
    for (uri, seen) in [
        ("github://events", true),
        ("github://events/Octo", true),
        ("github://events/octo/any", true),
        ("github://events/acme", true),
        ("github://events/acme/tool", true),
        ("github://events/acme/other", false),
        ("github://events/else", false),
        ("github://issues/octo/any/1", true),
        ("github://pulls/ACME/tool/1", true),
        ("github://milestones/acme/other/1", false),
        ("github://projects/octo/1", true),
        ("github://projects/acme/1", false),
    ] {
        assert_eq!(sees_uri(&sees, uri), seen, "{uri}");
        assert!(sees_uri(&Visibility::all(), uri));
    }
}

#[test]
fn no_names_see_nothing() {
    let sees = only(&[], &[]);
    assert!(!sees.allows(&event(Some("octo"), Some("r"))));
    assert!(!sees_uri(&sees, "github://events/octo"));
    assert_ne!(sees, Visibility::all());
}

#[test]
fn a_name_is_understood_as_people_write_it() {
    let sees = only(&["@Octo"], &["https://github.com/Acme/tool.git"]);
    assert_eq!(sees, only(&["octo"], &["acme/tool"]));
    // A value that may mean more than its writer wants is refused.
    for owner in ["https://github.com/acme/tool", "github://events"] {
        let refused = Visibility::only([owner], []);
        assert_eq!(refused, Err(VisibilityError::Owner), "{owner}");
    }
    for repository in ["https://github.com/acme", "acme/tool/issues/7"] {
        let refused = Visibility::only([], [repository]);
        assert_eq!(refused, Err(VisibilityError::Repository), "{repository}");
    }
}

#[test]
fn a_name_that_github_would_not_give_is_refused() {
    let long = "a".repeat(40);
    for owner in ["", "*", "a/b", "a b", "a.b", "\u{e9}", long.as_str()] {
        assert_eq!(
            Visibility::only([owner], []),
            Err(VisibilityError::Owner),
            "{owner:?}"
        );
    }
    for repository in ["", "a", "a/", "/b", "a/b/c", "a/*", "*/b", "a/b c", "a/.."] {
        let refused = Visibility::only([], [repository]);
        assert_eq!(refused, Err(VisibilityError::Repository), "{repository:?}");
    }
    let many = vec!["a"; MAX_NAMES + 1];
    assert_eq!(Visibility::only(many, []), Err(VisibilityError::TooMany));
}

proptest! {
    /// A search in the sorted lists agrees with a check of every pattern, regardless of case.
    #[test]
    fn it_sees_exactly_what_a_pattern_names(
        owners in prop::collection::vec("[ab]{1,2}", 0..4),
        repositories in prop::collection::vec(("[abc]{1,2}", "[ab][a.b-]?"), 0..6),
        owner in prop::option::of("[abcABC]{1,2}"),
        repo in prop::option::of("[a.bAB-]{1,2}"),
    ) {
        let paths: Vec<_> = repositories.iter().map(|(o, r)| format!("{o}/{r}")).collect();
        let sees = Visibility::only(
            owners.iter().map(String::as_str),
            paths.iter().map(String::as_str),
        ).unwrap();
        let expected = owner.as_ref().is_some_and(|owner| {
            owners.iter().any(|o| o.eq_ignore_ascii_case(owner))
                || repo.as_ref().is_some_and(|repo| repositories.iter().any(|(o, r)| {
                    o.eq_ignore_ascii_case(owner) && r.eq_ignore_ascii_case(repo)
                }))
        });
        let event = event(owner.as_deref(), repo.as_deref());
        prop_assert_eq!(sees.allows(&event), expected);
        // A principal that sees an event sees every resource that the event changes, and no
        // resource of an event that it may not see.
        if expected {
            prop_assert!(event.touched_uris().iter().all(|uri| sees.allows_uri(uri)));
        } else if let Some(uri) = event.resource_uri() {
            prop_assert!(!sees.allows_uri(&uri));
        }
    }

    #[test]
    fn no_name_makes_it_panic(owner in "\\PC{0,20}", repository in "\\PC{0,20}") {
        let _ = Visibility::only([owner.as_str()], [repository.as_str()]);
    }
}

mod ids {
    use std::sync::Arc;

    use model::{
        Epoch, GithubIds, LogPosition, OwnerId, PrincipalId, RepositoryId, Sequence, StoredEvent,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::names::NameDirectory;

    fn ids(owner: u64, repository: u64) -> GithubIds {
        GithubIds {
            owner: Some(OwnerId(owner)),
            repository: Some(RepositoryId(repository)),
            resource: None,
        }
    }

    fn event_of(owner: &str, repo: &str, ids: GithubIds) -> EventFacts {
        EventFacts {
            ids,
            ..event(Some(owner), Some(repo))
        }
    }

    /// A token that was granted these before the events happened.
    fn after(owners: &[&str], repositories: &[&str], events: &[EventFacts]) -> Visibility {
        let names = Arc::new(NameDirectory::default());
        names.begin_log(Epoch(7));
        let sees = only(owners, repositories);
        sees.follow_ids(&PrincipalId::new("p").unwrap(), &names);
        for (sequence, facts) in (1..).zip(events) {
            let at = LogPosition {
                epoch: Epoch(7),
                sequence: Sequence(sequence),
                tag: None,
            };
            names.observe(at, facts);
        }
        sees
    }

    fn uri(text: &str) -> ResourceUri {
        ResourceUri::parse(text).unwrap()
    }

    #[test]
    fn a_state_is_seen_if_an_event_with_its_ids_is() {
        let del = event_of("acme", "del", ids(10, 5));
        let token = after(&[], &["acme/del"], std::slice::from_ref(&del));
        let issue = uri("github://issues/acme/del/1");
        assert!(token.allows_state(&issue, ids(10, 5)));
        assert!(
            token.allows_state(&uri("github://issues/apex/other/1"), ids(11, 5)),
            "wherever it is now"
        );
        assert!(
            !token.allows_state(&issue, ids(10, 6)),
            "made anew under the name, of which no event told"
        );
        assert!(
            !token.allows_state(&issue, GithubIds::default()),
            "from a sync role that knows no ids"
        );
        let owner = after(&["mona1"], &[], &[event_of("mona1", "cat", ids(30, 40))]);
        let project = uri("github://projects/mona1/1");
        let of_owner = |id| GithubIds {
            repository: None,
            ..ids(id, 0)
        };
        assert!(owner.allows_state(&project, of_owner(30)));
        assert!(!owner.allows_state(&project, of_owner(99)));
        assert!(!owner.allows_state(&uri("github://issues/mona1/cat/1"), ids(99, 41)));
        assert!(owner.allows_state(&uri("github://issues/lisa/cat/1"), ids(30, 40)));
    }

    #[test]
    fn a_name_that_no_event_showed_decides_by_itself() {
        let token = after(&["octo"], &["acme/del"], &[]);
        for (text, ids, seen) in [
            ("github://issues/acme/del/1", ids(10, 5), true),
            ("github://issues/ACME/Del/1", GithubIds::default(), true),
            ("github://issues/octo/any/1", ids(1, 2), true),
            ("github://projects/octo/1", GithubIds::default(), true),
            ("github://issues/acme/other/1", ids(10, 6), false),
            ("github://projects/acme/1", GithubIds::default(), false),
        ] {
            assert_eq!(token.allows_state(&uri(text), ids), seen, "{text}");
            assert!(Visibility::all().allows_state(&uri(text), ids));
        }
    }

    /// A repository as GitHub describes it.
    fn repository(name: &str, id: u64, owner_id: u64) -> Value {
        let (owner, _) = name.split_once('/').unwrap();
        json!({ "id": id, "full_name": name, "url": format!("https://api.github.com/repos/{name}"),
            "owner": { "login": owner, "id": owner_id } })
    }

    fn with_sub_issue(repository: &Value) -> StoredEvent {
        let api = repository["url"].as_str().unwrap();
        let sub_issue = json!({ "title": "of another one", "repository_url": api });
        let related = json!({ "sub_issue": sub_issue, "sub_issue_repo": repository });
        let json = json!({ "id": "e", "metadata": { "related": related } });
        StoredEvent {
            facts: event_of("acme", "parent", ids(10, 4)).into(),
            json: json.to_string().into(),
            trace: None,
        }
    }

    #[test]
    fn embedded_content_is_judged_by_the_ids_beside_it() {
        let shown = [
            event_of("acme", "parent", ids(10, 4)),
            event_of("acme", "del", ids(10, 5)),
        ];
        let token = after(&[], &["acme/parent", "acme/del"], &shown);
        for (name, id, is_whole) in [
            ("acme/del", 5, true),
            ("acme/del", 6, false),
            ("apex/moved", 5, true),
            ("acme/third", 7, false),
        ] {
            let event = with_sub_issue(&repository(name, id, 10));
            let cut = token.cut_event(&event);
            assert_eq!(cut == event.json, is_whole, "{name} {id}");
            let text = String::from_utf8(cut.to_vec()).unwrap();
            assert_eq!(text.contains("of another one"), is_whole, "{text}");
        }
        // Who may see the owner sees what is of the owner's id.
        let owner = after(&["acme"], &[], &shown);
        for (name, owner_id, is_whole) in [("acme/new", 10, true), ("acme2/x", 11, false)] {
            let event = with_sub_issue(&repository(name, 8, owner_id));
            assert_eq!(owner.cut_event(&event) == event.json, is_whole, "{name}");
        }
    }

    #[test]
    fn embedded_content_without_ids_is_withheld_where_its_name_is_pinned() {
        let shown = [
            event_of("acme", "parent", ids(10, 4)),
            event_of("acme", "del", ids(10, 5)),
        ];
        let address = "https://api.github.com/repos/acme/del/issues/3";
        let json = json!({ "id": "e", "data": { "parent_issue_url": address } });
        let event = StoredEvent {
            facts: event_of("acme", "parent", ids(10, 4)).into(),
            json: json.to_string().into(),
            trace: None,
        };
        let pinned = after(&[], &["acme/parent", "acme/del"], &shown);
        assert_ne!(
            pinned.cut_event(&event),
            event.json,
            "it may be another one"
        );
        let open = after(&[], &["acme/parent", "acme/del"], &shown[..1]);
        assert_eq!(open.cut_event(&event), event.json);
        let owner = after(&["acme"], &[], &shown);
        assert_eq!(
            owner.cut_event(&event),
            event.json,
            "the event has the owner's id"
        );
        // A payload that gives a name two ids says nothing about it.
        let two = json!({ "id": "e", "data": { "parent_issue_url": address,
            "a": repository("acme/del", 5, 10), "b": repository("acme/del", 6, 10) } });
        let event = StoredEvent {
            json: two.to_string().into(),
            ..event
        };
        let cut: Value = serde_json::from_slice(&pinned.cut_event(&event)).unwrap();
        assert_eq!(cut["data"]["parent_issue_url"], Value::Null);
    }

    #[test]
    fn a_resource_has_its_own_addresses_after_it_was_renamed() {
        let token = after(
            &[],
            &["acme/rocket"],
            &[event_of("acme", "rocket", ids(10, 1))],
        );
        let api = "https://api.github.com/repos/acme/rocket";
        let json =
            json!({ "title": "ours", "repository_url": api, "url": format!("{api}/issues/1") });
        let json = json.to_string().into();
        let uri = uri("github://issues/acme/missile/1");
        assert_eq!(token.cut_resource(&uri, ids(10, 1), &json), json);
    }
}
