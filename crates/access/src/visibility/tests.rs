use model::{EventId, EventOrigin, EventType, ResourceId, ResourceType, Timestamp};
use proptest::prelude::*;

use super::*;

fn event(owner: Option<&str>, repo: Option<&str>) -> EventFacts {
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        resource_type: match repo {
            Some(_) => ResourceType::ISSUE,
            None => ResourceType::PROJECT,
        },
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: owner.map(ToOwned::to_owned),
        repo: repo.map(ToOwned::to_owned),
        number: Some(7),
        actor: None,
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
