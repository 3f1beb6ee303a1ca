//! Prompts over the mirror.

use super::{sprints::board, *};

/// The texts of a prompt's messages; the error if it is refused.
async fn prompt(
    server: &OfferRegistry,
    caller: &Caller,
    (name, arguments): (&str, Value),
) -> Result<(String, Value), String> {
    let params = to_raw_value(&json!({"name": name, "arguments": arguments})).unwrap();
    let id = RequestId::Integer(1);
    let got = server.call(caller, &id, "prompts/get", Some(params)).await;
    let answer: Value = match got {
        Ok(answer) => serde_json::from_slice(&answer).unwrap(),
        Err(refused) => return Err(format!("{refused:?}")),
    };
    let Some(messages) = answer["result"]["messages"].as_array() else {
        return Err(answer["error"].to_string());
    };
    assert_eq!(messages.len(), 3);
    let task = messages[0]["content"]["text"].as_str().unwrap().to_owned();
    let resource = &messages[1]["content"]["resource"];
    let data = serde_json::from_str(resource["text"].as_str().unwrap()).unwrap();
    Ok((task, data))
}

fn pull(number: u64, merged_at: Option<&str>, updated_at: &str) -> MirroredState {
    let state_of = merged_at.map_or("open", |_| "closed");
    let object = json!({"number": number, "title": format!("Pull {number}"), "state": state_of,
        "user": {"login": "octocat"}, "merged_at": merged_at, "closed_at": merged_at, "updated_at": updated_at});
    state(
        (MirroredKind::PullRequest, "acme/rocket", number),
        (10, 1),
        object,
    )
}

fn world() -> Arc<MemoryMirror> {
    let mut states = board();
    let release = |number: u64, at: &str, draft: bool| {
        let object = json!({"tag_name": format!("v{number}"), "published_at": at, "draft": draft});
        state(
            (MirroredKind::Release, "acme/rocket", number),
            (10, 1),
            object,
        )
    };
    states.extend([
        release(1, "2026-11-10T00:00:00Z", false),
        release(2, "2026-11-30T00:00:00Z", true),
        pull(20, Some("2026-11-09T00:00:00Z"), "2026-12-01T14:30:00Z"),
        pull(21, Some("2026-11-12T00:00:00Z"), "2026-11-12T00:00:00Z"),
        pull(22, None, "2026-12-01T12:00:00Z"),
        issue(23, json!({"state": "closed", "closed_at": "2026-11-20T00:00:00Z", "updated_at": "2026-11-20T00:00:00Z"})),
        issue(24, json!({"updated_at": "2026-12-01T09:00:00Z"})),
    ]);
    mirror(states)
}

fn found(data: &Value) -> Vec<(&str, u64)> {
    let items = data["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            (
                item["kind"].as_str().unwrap(),
                item["number"].as_u64().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn release_notes_have_what_was_merged_and_closed_since_the_last_release() {
    let server = server(&world());
    let of = async |arguments| prompt(&server, &all(), ("release_notes", arguments)).await;
    let (task, data) = of(json!({"repo": "acme/rocket"})).await.unwrap();
    assert!(task.contains("since 2026-11-10T00:00:00"), "{task}");
    assert_eq!(found(&data), [("pull_request", 21), ("issue", 23)]);
    assert_eq!(data["asOf"], time(AS_OF).to_string());
    let arguments = json!({"owner": "acme", "repo": "rocket", "since": "2026-11-01"});
    let (_, data) = of(arguments).await.unwrap();
    assert_eq!(
        found(&data),
        [("pull_request", 20), ("pull_request", 21), ("issue", 23)]
    );
    let refused = of(json!({"repo": "acme/engine"})).await.unwrap_err();
    assert!(refused.contains("arguments.since"), "{refused}");
    let refused = of(json!({"repo": "rocket"})).await.unwrap_err();
    assert!(refused.contains("arguments.owner"), "{refused}");
}

#[tokio::test]
async fn a_stand_up_has_what_changed_in_a_day() {
    let server = server(&world());
    let stand_up = ("stand_up", json!({"repo": "acme/rocket"}));
    let (task, data) = prompt(&server, &all(), stand_up).await.unwrap();
    assert!(task.contains("3 issues and pull requests"), "{task}");
    assert_eq!(
        found(&data),
        [("pull_request", 20), ("pull_request", 22), ("issue", 24)]
    );
}

#[tokio::test]
async fn a_review_has_the_sprint_that_is_asked_for() {
    let server = server(&world());
    for (sprint, title, total) in [
        (Value::Null, "Sprint 2", 5),
        ("Sprint 1".into(), "Sprint 1", 1),
    ] {
        let mut arguments = json!({"owner": "acme", "project_number": "3"});
        if !sprint.is_null() {
            arguments["sprint"] = sprint;
        }
        let (_, data) = prompt(&server, &all(), ("sprint_review", arguments))
            .await
            .unwrap();
        assert_eq!(
            (&data["sprint"]["title"], &data["metrics"]["total"]),
            (&title.into(), &total.into())
        );
    }
    let arguments = json!({"owner": "acme", "project_number": "3", "sprint": "Sprint 9"});
    let refused = prompt(&server, &all(), ("sprint_review", arguments))
        .await
        .unwrap_err();
    assert!(refused.contains("no such sprint"), "{refused}");
}

#[tokio::test]
async fn who_may_not_see_a_place_gets_the_refusal_of_one_that_does_not_exist() {
    let server = server(&world());
    let prompts = |owner: &str| {
        let repo = json!({"repo": format!("{owner}/rocket")});
        let project = json!({"owner": owner, "project_number": "3"});
        [
            ("release_notes", repo.clone()),
            ("stand_up", repo),
            ("sprint_review", project),
        ]
    };
    for sees in [Visibility::none(), Visibility::only(["other"], []).unwrap()] {
        let caller = caller(sees);
        for (there, absent) in prompts("acme").into_iter().zip(prompts("no")) {
            let hidden = prompt(&server, &caller, there).await.unwrap_err();
            assert_eq!(hidden, prompt(&server, &caller, absent).await.unwrap_err());
        }
    }
}
