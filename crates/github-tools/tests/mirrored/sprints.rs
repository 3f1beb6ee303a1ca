//! Sprints: iterations of projects, and what is in them.

use super::*;

/// A part of a project of acme.
fn part(kind: MirroredKind, number: u64, mut object: Value) -> MirroredState {
    object["forgewire"] = json!({"project": 3});
    state((kind, "acme", number), (10, 0), object)
}

fn project() -> MirroredState {
    let object = json!({"number": 3, "title": "Roadmap", "state": "open"});
    state((MirroredKind::Project, "acme", 3), (10, 0), object)
}

/// The fields of a board with three sprints of two weeks: `s2` is that of now.
fn fields() -> Vec<MirroredState> {
    let sprint = |id: &str, title: &str, start: &str| json!({"id": id, "title": title, "startDate": start, "duration": 14});
    let options = ["Todo", "In Progress", "Done"].map(|name| json!({"id": name, "name": name}));
    let sprints = json!({"duration": 14, "startDay": 1,
        "completedIterations": [sprint("s1", "Sprint 1", "2026-11-09")],
        "iterations": [sprint("s3", "Sprint 3", "2026-12-07"), sprint("s2", "Sprint 2", "2026-11-23")]});
    let field = |number, object| part(MirroredKind::ProjectField, number, object);
    vec![
        field(
            1,
            json!({"id": "F_st", "name": "Status", "dataType": "SINGLE_SELECT", "options": options}),
        ),
        field(
            2,
            json!({"id": "F_it", "name": "Sprint", "dataType": "ITERATION", "configuration": sprints}),
        ),
        field(
            3,
            json!({"id": "F_pt", "name": "Story points", "dataType": "NUMBER"}),
        ),
        field(
            4,
            json!({"id": "F_ti", "name": "Title", "dataType": "TITLE"}),
        ),
    ]
}

/// An item of a sprint with its status, points, and what it shows.
fn item(
    number: u64,
    (sprint, status, points): (&str, Option<&str>, Option<f64>),
    content: Value,
) -> MirroredState {
    let field = |id: &str| json!({"id": id, "name": id});
    let mut values = vec![
        json!({"field": field("F_it"), "iterationId": sprint, "title": "x"}),
        Value::Null,
        json!({"text": "a title", "field": field("F_ti")}),
    ];
    values
        .extend(status.map(|name| json!({"name": name, "optionId": name, "field": field("F_st")})));
    values.extend(points.map(|number| json!({"number": number, "field": field("F_pt")})));
    let kind = match () {
        () if content["pullState"].is_string() => "PULL_REQUEST",
        () if content["issueState"].is_string() => "ISSUE",
        () => "DRAFT_ISSUE",
    };
    let created = content["created"]
        .as_str()
        .unwrap_or("2026-11-20T00:00:00Z");
    let object = json!({"id": format!("PVTI_{number}"), "type": kind, "isArchived": false,
        "createdAt": created, "content": content, "fieldValues": {"nodes": values}});
    part(MirroredKind::ProjectItem, number, object)
}

fn issue_of(repository: &str, number: u64, state: &str) -> Value {
    json!({"id": "I", "number": number, "title": format!("Issue {number}"), "issueState": state,
        "repository": {"nameWithOwner": repository}, "url": format!("https://github.com/{repository}/issues/{number}")})
}

pub(super) fn board() -> Vec<MirroredState> {
    let mut states = fields();
    states.push(project());
    let mut late = issue_of("acme/rocket", 13, "OPEN");
    late["created"] = "2026-11-25T10:00:00Z".into();
    let pull = json!({"number": 14, "title": "Pull", "pullState": "MERGED",
        "repository": {"nameWithOwner": "acme/rocket"}});
    states.extend([
        item(
            101,
            ("s2", Some("Done"), Some(3.0)),
            issue_of("acme/rocket", 11, "CLOSED"),
        ),
        item(
            102,
            ("s2", Some("Todo"), Some(1.5)),
            issue_of("acme/rocket", 12, "OPEN"),
        ),
        item(103, ("s2", None, None), late),
        item(104, ("s2", Some("In Progress"), None), pull),
        item(105, ("s2", Some("done"), None), json!({"title": "Draft"})),
        item(
            106,
            ("s1", Some("Done"), Some(8.0)),
            issue_of("acme/rocket", 16, "CLOSED"),
        ),
        item(
            107,
            ("s3", Some("Todo"), None),
            issue_of("acme/rocket", 17, "OPEN"),
        ),
    ]);
    // The same iteration's id in another project.
    let mut other = item(
        108,
        ("s2", Some("Todo"), None),
        issue_of("acme/rocket", 18, "OPEN"),
    );
    let text = String::from_utf8(other.json.to_vec()).unwrap();
    other.json = text.replace(r#"{"project":3}"#, r#"{"project":4}"#).into();
    states.push(other);
    states
}

fn of_project() -> Value {
    json!({"owner": "acme", "project_number": 3})
}

#[tokio::test]
async fn the_current_sprint_has_its_items_by_status_and_how_far_it_is() {
    let server = server(&mirror(board()));
    let found = answer(&server, &all(), "get_current_sprint", of_project()).await;
    assert_eq!(found["asOf"], time(AS_OF).to_string());
    assert_eq!(
        found["project"],
        json!({"owner": "acme", "number": 3, "title": "Roadmap", "field": "Sprint"})
    );
    assert_eq!(
        found["sprint"],
        json!({"id": "s2", "title": "Sprint 2", "state": "current", "startDate": "2026-11-23",
            "endDate": "2026-12-06", "daysLeft": 5})
    );
    assert_eq!(found["next"]["id"], "s3");
    assert_eq!((&found["count"], &found["leftOut"]), (&5.into(), &0.into()));
    let shown: Vec<_> = found["items"].as_array().unwrap().iter().collect();
    let numbers: Vec<_> = shown.iter().map(|item| item["number"].as_u64()).collect();
    // Todo, In Progress, Done; then a status that the project does not have, and none.
    assert_eq!(numbers, [Some(12), Some(14), Some(11), None, Some(13)]);
    assert_eq!(
        *shown[0],
        json!({"repository": "acme/rocket", "number": 12, "title": "Issue 12", "type": "issue", "status": "Todo",
            "done": false, "state": "open", "points": 1.5, "url": "https://github.com/acme/rocket/issues/12"})
    );
    assert_eq!(
        (&shown[1]["state"], &shown[1]["done"]),
        (&"merged".into(), &true.into())
    );
    assert_eq!(
        (&shown[3]["type"], &shown[3]["done"]),
        (&"draft_issue".into(), &true.into())
    );
    assert_eq!(shown[4]["addedAfterStart"], true);
}

#[tokio::test]
async fn metrics_of_any_sprint_have_its_points_and_what_came_later() {
    let server = server(&mirror(board()));
    let metrics = async |sprint: Option<&str>| {
        let mut arguments = of_project();
        if let Some(sprint) = sprint {
            arguments["sprint"] = sprint.into();
        }
        answer(&server, &all(), "get_sprint_metrics", arguments).await
    };
    let current = metrics(None).await;
    assert_eq!(
        current["metrics"],
        json!({"total": 5, "done": 3, "percentDone": 60, "addedAfterStart": 1,
        "points": {"field": "Story points", "total": 4.5, "done": 3.0, "without": 3},
        "byStatus": [
            {"status": "Todo", "items": 1, "points": 1.5},
            {"status": "In Progress", "items": 1, "points": 0.0},
            {"status": "Done", "items": 1, "points": 3.0},
            {"status": "done", "items": 1, "points": 0.0},
            {"status": "No Status", "items": 1, "points": 0.0},
        ]})
    );
    for (asked, id, total, ended) in [
        ("previous", "s1", 1, Some(9)),
        ("sprint 1", "s1", 1, Some(9)),
        ("s1", "s1", 1, Some(9)),
        ("Next", "s3", 1, None),
        ("current", "s2", 5, None),
    ] {
        let found = metrics(Some(asked)).await;
        assert_eq!(found["sprint"]["id"], id, "{asked}");
        assert_eq!(found["metrics"]["total"], total, "{asked}");
        assert_eq!(found["sprint"]["endedDaysAgo"].as_u64(), ended, "{asked}");
    }
    let mut arguments = of_project();
    arguments["sprint"] = "Sprint 9".into();
    let refused = refusal(&server, &all(), "get_sprint_metrics", arguments).await;
    assert!(
        refused.contains("Sprint 3, Sprint 2, Sprint 1"),
        "{refused}"
    );
}

#[tokio::test]
async fn sprints_are_listed_the_newest_first() {
    let server = server(&mirror(board()));
    let found = answer(&server, &all(), "list_sprints", of_project()).await;
    let states: Vec<_> = found["sprints"].as_array().unwrap().iter().collect();
    let states: Vec<_> = states
        .iter()
        .map(|sprint| {
            (
                sprint["id"].as_str().unwrap(),
                sprint["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [("s3", "upcoming"), ("s2", "current"), ("s1", "completed")]
    );
    assert_eq!(found["leftOut"], 0);
}

#[tokio::test]
async fn without_a_sprint_today_the_ones_around_it_are_named() {
    let mut states = vec![project()];
    let gap = json!({"id": "F_it", "name": "Sprint", "dataType": "ITERATION", "configuration": {
        "completedIterations": [{"id": "a", "title": "A", "startDate": "2026-11-01", "duration": 7}],
        "iterations": [{"id": "b", "title": "B", "startDate": "2026-12-05", "duration": 7}]}});
    states.push(part(MirroredKind::ProjectField, 1, gap));
    let server = server(&mirror(states));
    let found = answer(&server, &all(), "get_current_sprint", of_project()).await;
    assert!(found["sprint"].is_null() && found["metrics"].is_null());
    assert_eq!(found["previous"]["endedDaysAgo"], 24);
    assert_eq!(found["next"]["startsInDays"], 4);
    assert_eq!(found["count"], 0);
}

#[tokio::test]
async fn a_project_without_sprints_is_refused_and_one_that_is_not_mirrored_says_so() {
    let mirror = mirror(vec![project()]);
    let server = server(&mirror);
    for tool in ["get_current_sprint", "get_sprint_metrics", "list_sprints"] {
        let refused = refusal(&server, &all(), tool, of_project()).await;
        assert!(refused.contains("has no iteration field"), "{refused}");
        let other = json!({"owner": "acme", "project_number": 9});
        let refused = refusal(&server, &all(), tool, other).await;
        assert!(refused.contains("no such project in acme"), "{refused}");
    }
    mirror.as_of.lock().unwrap().clear();
    let refused = refusal(&server, &all(), "list_sprints", of_project()).await;
    assert!(refused.contains("sync.resources"), "{refused}");
    mirror.states.lock().unwrap().extend(board());
    let found = answer(&server, &all(), "get_sprint_metrics", of_project()).await;
    assert!(found["asOf"].is_null());
    assert!(found["notes"][0].as_str().unwrap().contains("gaps"));
    let mut other = of_project();
    other["field"] = "Quarter".into();
    let refused = refusal(&server, &all(), "list_sprints", other).await;
    assert!(refused.contains("use Sprint"), "{refused}");
}

/// A token for an owner may see its projects, and not what they show of other owners' repositories.
#[tokio::test]
async fn content_of_repositories_that_the_caller_may_not_see_is_counted_and_not_shown() {
    let mut states = board();
    let foreign = issue_of("spy/secret", 77, "OPEN");
    states.push(item(109, ("s2", Some("Todo"), Some(2.0)), foreign));
    let mirror = mirror(states);
    let server = server(&mirror);
    let acme = caller(Visibility::only(["acme"], []).unwrap());
    let found = answer(&server, &acme, "get_current_sprint", of_project()).await;
    assert!(
        !found.to_string().contains("spy") && !found.to_string().contains("77"),
        "{found}"
    );
    assert_eq!(
        (&found["metrics"]["hidden"], &found["metrics"]["total"]),
        (&1.into(), &6.into())
    );
    let hidden = &found["items"][0];
    assert_eq!(
        *hidden,
        json!({"type": "hidden", "status": "Todo", "done": false, "points": 2.0})
    );
    // What GitHub hides from the mirror's own token.
    let mut redacted = item(110, ("s2", Some("Todo"), None), Value::Null);
    let text = String::from_utf8(redacted.json.to_vec()).unwrap();
    redacted.json = text.replace("DRAFT_ISSUE", "REDACTED").into();
    mirror.states.lock().unwrap().push(redacted);
    let found = answer(&server, &acme, "get_sprint_metrics", of_project()).await;
    assert_eq!(found["metrics"]["hidden"], 2);
    let whole = answer(&server, &all(), "get_current_sprint", of_project()).await;
    assert!(whole.to_string().contains("spy/secret"));
}

#[tokio::test]
async fn an_answer_keeps_its_bytes_and_says_what_it_leaves_out() {
    let mut states = board();
    let long = |number| {
        let mut content = issue_of("acme/rocket", number, "OPEN");
        content["title"] = "\u{1f680} \"quoted\" ".repeat(40).into();
        item(1000 + number, ("s2", Some("Todo"), None), content)
    };
    states.extend((1..=300).map(long));
    let mirror = mirror(states);
    let server = server(&mirror);
    for max_bytes in [4096, 10_000, 262_144] {
        let mut arguments = of_project();
        arguments["maxBytes"] = max_bytes.into();
        let found = answer(&server, &all(), "get_current_sprint", arguments.clone()).await;
        assert!(
            found.to_string().len() <= max_bytes,
            "{}",
            found.to_string().len()
        );
        let (count, left) = (
            found["count"].as_u64().unwrap(),
            found["leftOut"].as_u64().unwrap(),
        );
        assert_eq!(count + left, 305);
        assert_eq!(found["metrics"]["total"], 305);
        arguments["status"] = "no status".into();
        let found = answer(&server, &all(), "get_current_sprint", arguments).await;
        assert_eq!((&found["count"], &found["leftOut"]), (&1.into(), &0.into()));
    }
}

/// The items of an owner's projects are read up to a bound, and the answer says so.
#[tokio::test]
async fn items_are_looked_through_up_to_a_bound() {
    let mut states = board();
    states.retain(|state| state.address.kind != MirroredKind::ProjectItem);
    let content = || issue_of("acme/rocket", 1, "OPEN");
    states.extend((1..=10_050).map(|number| item(number, ("s2", None, None), content())));
    let mirror = mirror(states);
    let server = server(&mirror);
    let found = answer(&server, &all(), "get_sprint_metrics", of_project()).await;
    assert_eq!(found["metrics"]["total"], 10_000);
    assert!(found["notes"][0].as_str().unwrap().contains("not counted"));
    assert!(*mirror.reads.lock().unwrap() <= 103);
}

/// Without ids and words of the board, any number would be wrong.
#[tokio::test]
async fn with_lockdown_sprints_are_refused() {
    let mut states = board();
    for state in &mut states {
        if let Some((json, _)) = github_events::without_strangers_texts(&state.json) {
            state.json = json.into();
        }
    }
    let server = server(&mirror(states));
    for tool in ["get_current_sprint", "get_sprint_metrics", "list_sprints"] {
        let refused = refusal(&server, &all(), tool, of_project()).await;
        assert!(refused.contains("edge.lockdown"), "{refused}");
    }
}
