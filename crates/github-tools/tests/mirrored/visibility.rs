//! What a caller may not see is as if it did not exist.

use access::NameDirectory;
use model::{EventFacts, EventId, EventOrigin, EventType, ResourceType};

use super::*;

fn facts(name: &str, ids: (u64, u64)) -> EventFacts {
    let (owner, repo) = name.split_once('/').unwrap();
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: Some(owner.to_owned()),
        repo: Some(repo.to_owned()),
        number: Some(1),
        ids: GithubIds {
            owner: Some(OwnerId(ids.0)),
            repository: Some(RepositoryId(ids.1)),
            resource: None,
        },
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}

/// A token that was granted a repository before this event showed its id.
fn pinned(repository: &str, ids: (u64, u64)) -> Visibility {
    let names = Arc::new(NameDirectory::default());
    names.begin_log(Epoch(7));
    let sees = Visibility::only([], [repository]).unwrap();
    sees.follow_ids(&PrincipalId::new("me").unwrap(), &names);
    let at = LogPosition {
        epoch: Epoch(7),
        sequence: Sequence(1),
        tag: None,
    };
    names.observe(at, &facts(repository, ids));
    sees
}

/// Everything of a place, under the same numbers.
fn everything(place: &str, ids: (u64, u64)) -> Vec<MirroredState> {
    // As a field with a sprint of now, and as an item of it, too.
    let field = json!({"id": "f"});
    let object = json!({
        "id": "f", "title": "secret", "name": "secret", "tag_name": "secret", "state": "open", "type": "DRAFT_ISSUE",
        "dataType": "ITERATION", "content": {"title": "secret"}, "forgewire": {"project": 1},
        "configuration": {"iterations": [{"id": "s", "title": "secret", "startDate": "2026-12-01", "duration": 7}]},
        "fieldValues": {"nodes": [{"field": field, "iterationId": "s"}]},
    });
    let kinds = MirroredKind::ALL.into_iter();
    let states = kinds.map(|kind| {
        let owner = place.split('/').next().unwrap();
        let place = match kind {
            MirroredKind::Project
            | MirroredKind::ProjectField
            | MirroredKind::ProjectView
            | MirroredKind::ProjectItem => owner,
            _ => place,
        };
        state((kind, place, 1), ids, object.clone())
    });
    states.collect()
}

fn calls(place: &str) -> Vec<(&'static str, Value)> {
    let (owner, repo) = place.split_once('/').unwrap();
    let at = json!({"owner": owner, "repo": repo});
    let with = |field: &str| {
        let mut at = at.clone();
        at[field] = 1.into();
        at
    };
    vec![
        ("list_issues", at.clone()),
        ("list_pull_requests", at.clone()),
        (
            "search_issues",
            json!({"query": format!("repo:{place} secret")}),
        ),
        (
            "search_pull_requests",
            json!({"query": format!("repo:{place} secret")}),
        ),
        ("list_releases", at.clone()),
        ("list_label", at.clone()),
        ("list_milestones", at.clone()),
        ("actions_list", at.clone()),
        ("get_latest_release", at.clone()),
        ("issue_read", with("issue_number")),
        ("pull_request_read", with("pullNumber")),
        ("get_milestone", with("milestone_number")),
        ("projects_list", json!({"owner": owner})),
        ("projects_get", json!({"owner": owner, "project_number": 1})),
        ("list_sprints", json!({"owner": owner, "project_number": 1})),
        (
            "get_current_sprint",
            json!({"owner": owner, "project_number": 1}),
        ),
        (
            "get_sprint_metrics",
            json!({"owner": owner, "project_number": 1}),
        ),
    ]
}

/// Whether an answer shows the secret; its text without the name of the place.
async fn shown(
    mirror: &Arc<MemoryMirror>,
    sees: &Visibility,
    place: &str,
) -> Vec<(String, bool, String)> {
    let server = server(mirror);
    let (owner, _) = place.split_once('/').unwrap();
    let mut shown = Vec::new();
    for (tool, arguments) in calls(place) {
        let result = call(&server, &caller(sees.clone()), tool, arguments).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        let (is_shown, text) = (
            text.contains("secret"),
            text.replace(place, "PLACE").replace(owner, "OWNER"),
        );
        shown.push((tool.to_owned(), is_shown, text));
    }
    shown
}

#[tokio::test]
async fn who_may_not_see_a_place_gets_the_answers_of_one_that_does_not_exist() {
    // Whole, so that asOf would tell of it.
    let mirror = mirror(everything("acme/rocket", (10, 1)));
    for sees in [
        Visibility::none(),
        Visibility::only(["other"], []).unwrap(),
        Visibility::only([], ["acme/other"]).unwrap(),
        pinned("acme/rocket", (10, 2)),
    ] {
        let hidden = shown(&mirror, &sees, "acme/rocket").await;
        let absent = shown(&mirror, &sees, "nobody/nothing").await;
        for (hidden, absent) in hidden.into_iter().zip(absent) {
            assert_eq!(hidden, absent, "{sees:?}");
        }
    }
}

#[tokio::test]
async fn who_may_see_a_place_by_name_or_by_id_gets_what_is_there() {
    let mirror = mirror(everything("acme/rocket", (10, 1)));
    for (sees, place, of_owner) in [
        (Visibility::all(), "acme/rocket", true),
        (Visibility::only(["ACME"], []).unwrap(), "acme/rocket", true),
        (
            Visibility::only([], ["acme/rocket"]).unwrap(),
            "acme/rocket",
            false,
        ),
        (
            Visibility::only([], ["acme/rocket"]).unwrap(),
            "Acme/Rocket",
            false,
        ),
        (pinned("acme/rocket", (10, 1)), "acme/rocket", false),
        // It was renamed since the token was granted.
        (pinned("acme/former", (10, 1)), "acme/rocket", false),
    ] {
        for (tool, is_shown, text) in shown(&mirror, &sees, place).await {
            let expected = of_owner || !(tool.starts_with("projects_") || tool.contains("sprint"));
            assert_eq!(is_shown, expected, "{sees:?} {place} {tool}: {text}");
        }
    }
}

#[tokio::test]
async fn a_list_of_an_owner_is_for_who_sees_the_whole_owner() {
    let mut states = everything("acme/rocket", (10, 1));
    states.extend(everything("acme/private", (10, 2)));
    let server = server(&mirror(states));
    let sees = Visibility::only([], ["acme/rocket"]).unwrap();
    // A cursor stands behind what was looked at: it would tell of what is hidden.
    for (tool, arguments) in [
        ("list_milestones", json!({"owner": "acme"})),
        ("search_issues", json!({"query": "org:acme", "perPage": 1})),
    ] {
        let text = refusal(&server, &caller(sees.clone()), tool, arguments).await;
        assert!(text.starts_with("repo: name the repository"), "{text}");
    }
    let nothing = Visibility::only([], ["other/place"]).unwrap();
    let found = answer(
        &server,
        &caller(nothing),
        "search_issues",
        json!({"query": "org:acme"}),
    )
    .await;
    assert_eq!(
        (&found["count"], &found["hasMore"]),
        (&json!(0), &json!(false)),
        "{found}"
    );
    let whole = Visibility::only(["acme"], []).unwrap();
    let found = answer(
        &server,
        &caller(whole),
        "list_milestones",
        json!({"owner": "acme"}),
    )
    .await;
    assert_eq!(found["items"].as_array().unwrap().len(), 2, "{found}");
    let found = answer(
        &server,
        &all(),
        "search_issues",
        json!({"query": "org:acme"}),
    )
    .await;
    assert_eq!(found["count"], 2);
}

/// GitHub's object may have content of another repository: where a pull request comes from.
#[tokio::test]
async fn content_of_another_repository_is_cut() {
    let fork = json!({"id": 5, "full_name": "spy/fork", "owner": {"login": "spy", "id": 50}, "private": true,
        "url": "https://api.github.com/repos/spy/fork"});
    let object = json!({"number": 1, "title": "ours", "state": "open",
        "head": {"ref": "hidden-branch", "label": "spy:hidden-branch", "user": {"login": "spy"}, "repo": fork}});
    let pull = state(
        (MirroredKind::PullRequest, "acme/rocket", 1),
        (10, 1),
        object,
    );
    let server = server(&mirror(vec![pull]));
    let sees = Visibility::only([], ["acme/rocket"]).unwrap();
    for (tool, arguments) in [
        (
            "list_pull_requests",
            json!({"owner": "acme", "repo": "rocket"}),
        ),
        (
            "pull_request_read",
            json!({"owner": "acme", "repo": "rocket", "pullNumber": 1}),
        ),
    ] {
        let (whole, cut) = (all(), caller(sees.clone()));
        let whole = answer(&server, &whole, tool, arguments.clone())
            .await
            .to_string();
        let cut = answer(&server, &cut, tool, arguments).await.to_string();
        assert!(
            whole.contains("hidden-branch") && !cut.contains("spy"),
            "{tool}: {cut}"
        );
        assert!(cut.contains("ours"), "{tool}: {cut}");
    }
}

/// How long an answer takes tells nothing: a list that may not be seen is read as one that does not exist.
#[tokio::test]
async fn a_hidden_list_is_not_looked_through() {
    let many = (1..=500).map(|number| issue(number, json!({"title": "secret"})));
    let mirror = mirror(many.collect());
    let server = server(&mirror);
    let sees = Visibility::only([], ["acme/other"]).unwrap();
    for (tool, more) in [
        ("list_issues", ""),
        ("list_milestones", ""),
        ("search_issues", "secret"),
        ("search_issues", "absent words"),
    ] {
        let mut reads = Vec::new();
        for place in ["acme/rocket", "nobody/nothing"] {
            let (owner, repo) = place.split_once('/').unwrap();
            let arguments = match tool {
                "search_issues" => json!({"query": format!("repo:{place} {more}")}),
                _ => json!({"owner": owner, "repo": repo}),
            };
            *mirror.reads.lock().unwrap() = 0;
            let page = answer(&server, &caller(sees.clone()), tool, arguments).await;
            assert_eq!(page["count"], 0, "{tool} {more}");
            reads.push(*mirror.reads.lock().unwrap());
        }
        assert_eq!(reads, [1, 1], "{tool} {more}");
    }
}
