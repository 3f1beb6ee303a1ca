//! What the tools answer.

use super::*;

const AT: &str = r#"{"owner":"acme","repo":"rocket"}"#;

fn at(more: Value) -> Value {
    let mut at: Value = serde_json::from_str(AT).unwrap();
    at.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    at
}

#[tokio::test]
async fn an_item_has_what_a_reader_needs() {
    let more = json!({
        "labels": [{"name": "bug"}], "assignees": [{"login": "hubot"}], "milestone": {"number": 2, "title": "v2"},
        "type": {"name": "Bug"}, "comments": 3, "created_at": "2026-10-01T00:00:00Z",
        "sub_issues_summary": {"total": 2, "completed": 1, "percent_completed": 50},
    });
    let server = server(&mirror(vec![issue(7, more)]));
    let found = answer(&server, &all(), "list_issues", at(json!({}))).await;
    assert_eq!(
        found,
        json!({"asOf": "2026-12-01T14:00:00.000Z", "hasMore": false, "count": 1, "items": [{
            "number": 7, "title": "Issue 7", "state": "open", "type": "Bug", "author": "octocat",
            "url": "https://github.com/acme/rocket/issues/7", "updatedAt": "2026-11-01T00:00:00Z", "labels": ["bug"],
            "assignees": ["hubot"], "milestone": "v2", "milestoneNumber": 2, "comments": 3,
            "createdAt": "2026-10-01T00:00:00Z", "subIssues": {"total": 2, "completed": 1},
        }]})
    );
}

#[tokio::test]
async fn issues_are_selected_and_ordered() {
    let mirror = mirror(vec![
        issue(
            1,
            json!({"labels": [{"name": "bug"}, {"name": "ui"}], "updated_at": "2026-11-20T00:00:00Z"}),
        ),
        issue(
            2,
            json!({"state": "closed", "labels": [{"name": "bug"}], "updated_at": "2026-11-10T00:00:00Z"}),
        ),
        issue(
            3,
            json!({"assignees": [{"login": "hubot"}], "body": "it Crashes"}),
        ),
        MirroredState {
            deleted: true,
            ..issue(4, json!({}))
        },
    ]);
    let server = server(&mirror);
    for (arguments, expected) in [
        (json!({}), vec![3, 2, 1]),
        (json!({"direction": "ASC"}), vec![1, 2, 3]),
        (json!({"orderBy": "UPDATED_AT"}), vec![1, 2, 3]),
        (json!({"state": "OPEN"}), vec![3, 1]),
        (json!({"state": "closed"}), vec![2]),
        (json!({"labels": ["BUG"]}), vec![2, 1]),
        (json!({"labels": ["bug", "ui"]}), vec![1]),
        (json!({"labels": "ui"}), vec![1]),
        (json!({"assignee": "Hubot"}), vec![3]),
        (json!({"assignee": "none"}), vec![2, 1]),
        (json!({"since": "2026-11-10"}), vec![2, 1]),
        (json!({"creator": "nobody"}), vec![]),
    ] {
        let found = answer(&server, &all(), "list_issues", at(arguments.clone())).await;
        assert_eq!(numbers(&found), expected, "{arguments}");
    }
    for (query, expected) in [
        ("crashes", vec![3]),
        ("is:open label:bug", vec![1]),
        ("no:assignee updated:>2026-11-10", vec![1]),
        ("author:octocat is:closed", vec![2]),
    ] {
        let arguments = at(json!({"query": query}));
        let found = answer(&server, &all(), "search_issues", arguments).await;
        assert_eq!(numbers(&found), expected, "{query}");
    }
}

#[tokio::test]
async fn an_issue_of_a_milestone_is_found_by_its_title() {
    let milestone = |number, title: &str| {
        let object = json!({"number": number, "title": title, "state": "open"});
        state(
            (MirroredKind::Milestone, "acme/rocket", number),
            (10, 1),
            object,
        )
    };
    let mirror = mirror(vec![
        milestone(1, "Version 1"),
        milestone(2, "Version 2"),
        issue(5, json!({"milestone": {"number": 2, "title": "Version 2"}})),
        issue(6, json!({"milestone": {"number": 1, "title": "Version 1"}})),
    ]);
    let server = server(&mirror);
    for query in ["milestone:\"version 2\"", "milestone:2"] {
        let found = answer(
            &server,
            &all(),
            "search_issues",
            at(json!({"query": query})),
        )
        .await;
        assert_eq!(numbers(&found), [5], "{query}");
    }
}

#[tokio::test]
async fn milestones_say_how_far_they_are() {
    let milestone = |number, due: Option<&str>, state_name: &str| {
        let object = json!({"number": number, "title": "m", "state": state_name, "due_on": due, "open_issues": 1, "closed_issues": 3});
        state(
            (MirroredKind::Milestone, "acme/rocket", number),
            (10, 1),
            object,
        )
    };
    let mirror = mirror(vec![
        milestone(1, Some("2026-11-21T08:00:00Z"), "open"),
        milestone(2, Some("2026-12-01T08:00:00Z"), "open"),
        milestone(3, Some("2027-03-01T08:00:00Z"), "open"),
        milestone(4, None, "open"),
        milestone(5, Some("2026-11-01T08:00:00Z"), "closed"),
    ]);
    let server = server(&mirror);
    for (arguments, expected) in [
        (json!({}), vec![4, 3, 2, 1]),
        (json!({"state": "all"}), vec![5, 4, 3, 2, 1]),
        (json!({"due": "overdue"}), vec![1]),
        (json!({"due": "upcoming"}), vec![2]),
        (json!({"due": "upcoming", "withinDays": 90}), vec![3, 2]),
        (json!({"due": "none"}), vec![4]),
    ] {
        let found = answer(&server, &all(), "list_milestones", at(arguments.clone())).await;
        assert_eq!(numbers(&found), expected, "{arguments}");
    }
    let found = answer(
        &server,
        &all(),
        "get_milestone",
        at(json!({"milestone_number": 1})),
    )
    .await;
    let metrics = json!({"open": 1, "closed": 3, "percentComplete": 75, "overdueDays": 10});
    assert_eq!(found["metrics"], metrics);
    assert_eq!(found["item"]["open_issues"], 1);
}

#[tokio::test]
async fn a_list_that_may_have_gaps_says_so() {
    let mirror = mirror(vec![issue(1, json!({}))]);
    mirror.as_of.lock().unwrap().clear();
    let server = server(&mirror);
    for (tool, arguments) in [
        ("list_issues", at(json!({}))),
        ("issue_read", at(json!({"issue_number": 1}))),
        ("projects_list", json!({"owner": "acme"})),
    ] {
        let found = answer(&server, &all(), tool, arguments).await;
        assert_eq!(found["asOf"], Value::Null, "{found}");
        let note = found["notes"][0].as_str().unwrap();
        assert!(note.contains("sync.repositories"), "{note}");
    }
}

#[tokio::test]
async fn an_object_is_whole_without_links_and_shortened_if_it_has_no_room() {
    let more = json!({"body": "b".repeat(30_000), "labels": [{"name": "bug", "color": "f00", "url": "https://api.github.com/l"}]});
    let server = server(&mirror(vec![issue(1, more)]));
    let arguments = |more: Value| {
        let mut arguments = at(json!({"issue_number": 1}));
        arguments
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        arguments
    };
    let whole = answer(&server, &all(), "issue_read", arguments(json!({}))).await;
    assert_eq!(whole["shortened"], false);
    assert_eq!(whole["item"]["body"].as_str().unwrap().len(), 30_000);
    assert_eq!(whole["item"]["url"], Value::Null);
    assert_eq!(
        whole["item"]["labels"],
        json!([{"name": "bug", "color": "f00"}])
    );
    let small = answer(
        &server,
        &all(),
        "issue_read",
        arguments(json!({"maxBytes": 5000})),
    )
    .await;
    assert_eq!(small["shortened"], true);
    let note = small["notes"][0].as_str().unwrap();
    let needed: u64 = note
        .rsplit("maxBytes ")
        .next()
        .unwrap()
        .trim_end_matches('.')
        .parse()
        .unwrap();
    let again = answer(
        &server,
        &all(),
        "issue_read",
        arguments(json!({"maxBytes": needed})),
    )
    .await;
    assert_eq!(again, whole, "{note}");
    let labels = answer(
        &server,
        &all(),
        "issue_read",
        arguments(json!({"method": "get_labels"})),
    )
    .await;
    assert_eq!(
        labels["item"],
        json!({"number": 1, "labels": [{"name": "bug", "color": "f00"}]})
    );
}

#[tokio::test]
async fn the_latest_release_is_neither_a_draft_nor_a_prerelease() {
    let release = |id, more: Value| {
        let mut object = json!({"id": id, "tag_name": format!("v{id}"), "body": "notes", "draft": false, "prerelease": false});
        object
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        state((MirroredKind::Release, "acme/rocket", id), (10, 1), object)
    };
    let mirror = mirror(vec![
        release(1, json!({})),
        release(2, json!({})),
        release(3, json!({"prerelease": true})),
        release(4, json!({"draft": true})),
    ]);
    let server = server(&mirror);
    let latest = answer(&server, &all(), "get_latest_release", at(json!({}))).await;
    assert_eq!(
        (&latest["item"]["tag_name"], &latest["item"]["body"]),
        (&json!("v2"), &json!("notes"))
    );
    let found = answer(&server, &all(), "list_releases", at(json!({}))).await;
    assert_eq!(numbers(&found), [4, 3, 2, 1]);
}

#[tokio::test]
async fn runs_are_selected_by_what_githubs_own_tool_takes() {
    let run = |id, more: Value| {
        let mut object = json!({"id": id, "status": "completed", "conclusion": "success", "head_branch": "main",
            "event": "push", "actor": {"login": "octocat"}, "workflow_id": 77, "path": ".github/workflows/ci.yaml@main"});
        object
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        state(
            (MirroredKind::WorkflowRun, "acme/rocket", id),
            (10, 1),
            object,
        )
    };
    let mirror = mirror(vec![
        run(1, json!({})),
        run(2, json!({"conclusion": "failure", "event": "schedule"})),
        run(
            3,
            json!({"head_branch": "topic", "actor": {"login": "hubot"}, "workflow_id": 78, "path": "x/release.yaml"}),
        ),
    ]);
    let server = server(&mirror);
    for (arguments, expected) in [
        (json!({}), vec![3, 2, 1]),
        (
            json!({"method": "list_workflow_runs", "workflow_runs_filter": {"branch": "main"}}),
            vec![2, 1],
        ),
        (
            json!({"workflow_runs_filter": {"status": "failure"}}),
            vec![2],
        ),
        (
            json!({"workflow_runs_filter": {"status": "completed", "event": "push"}}),
            vec![3, 1],
        ),
        (json!({"workflow_runs_filter": {"actor": "Hubot"}}), vec![3]),
        (json!({"resource_id": "ci.yaml"}), vec![2, 1]),
        (json!({"resource_id": 78}), vec![3]),
    ] {
        let found = answer(&server, &all(), "actions_list", at(arguments.clone())).await;
        assert_eq!(numbers(&found), expected, "{arguments}");
    }
}

#[tokio::test]
async fn projects_are_selected_by_title_and_state() {
    let project =
        |number, object: Value| state((MirroredKind::Project, "acme", number), (10, 0), object);
    let mirror = mirror(vec![
        project(1, json!({"title": "Roadmap", "state": "open"})),
        project(
            2,
            json!({"title": "Old roadmap", "closed_at": "2026-01-01T00:00:00Z"}),
        ),
        project(3, json!({"title": "Board", "closed": true})),
    ]);
    let server = server(&mirror);
    for (query, expected) in [
        ("", vec![3, 2, 1]),
        ("roadmap", vec![2, 1]),
        ("ROADMAP is:open", vec![1]),
        ("is:closed", vec![3, 2]),
    ] {
        let found = answer(
            &server,
            &all(),
            "projects_list",
            json!({"owner": "acme", "query": query}),
        )
        .await;
        assert_eq!(numbers(&found), expected, "{query}");
    }
    let found = answer(
        &server,
        &all(),
        "projects_get",
        json!({"owner": "acme", "project_number": 1}),
    )
    .await;
    assert_eq!(found["item"]["title"], "Roadmap");
}
