//! `github://` resources of the mirror.

use super::{sprints::board, *};

fn milestone(number: u64, repo: &str, due: Option<&str>) -> MirroredState {
    let object = json!({"number": number, "title": format!("M{number}"), "state": "open", "due_on": due,
        "open_issues": 1, "closed_issues": 1});
    state((MirroredKind::Milestone, repo, number), (10, 1), object)
}

fn world() -> Arc<MemoryMirror> {
    let mut states = board();
    states.extend([
        milestone(1, "acme/rocket", None),
        milestone(2, "acme/rocket", Some("2026-12-24T08:00:00Z")),
        milestone(3, "acme/engine", Some("2026-11-24T08:00:00Z")),
    ]);
    let repository = json!({"id": 1, "full_name": "acme/rocket", "description": "to the moon"});
    states.push(state(
        (MirroredKind::Repository, "acme/rocket", 1),
        (10, 1),
        repository,
    ));
    mirror(states)
}

fn of_items<'v>(content: &'v Value, key: &str) -> Vec<&'v Value> {
    let items = content["items"].as_array().unwrap().iter();
    items.map(|item| &item[key]).collect()
}

#[tokio::test]
async fn lists_over_owners_have_what_is_mirrored() {
    let server = server(&world());
    let read = async |uri: &str| resource(&server, &all(), uri).await.unwrap();
    let config = read("github://config").await;
    assert_eq!(of_items(&config, "place"), ["acme", "acme/rocket"]);
    assert_eq!(
        config["items"][0]["asOf"]["projects"],
        time(AS_OF).to_string()
    );
    let projects = read("github://projects").await;
    assert_eq!(projects["asOf"], time(AS_OF).to_string());
    assert_eq!(of_items(&projects, "title"), ["Roadmap"]);
    assert_eq!(of_items(&projects, "owner"), ["acme"]);
    let milestones = read("github://milestones").await;
    assert_eq!(of_items(&milestones, "number"), [3, 2, 1]);
    assert_eq!(milestones["items"][0]["overdueDays"], 7);
    let tools = read("github://tools").await;
    assert_eq!(tools["count"], 17);
    assert_eq!(tools["tools"][0]["name"], "actions_list");
}

#[tokio::test]
async fn the_current_sprints_lead_to_their_items() {
    let server = server(&world());
    let read = async |uri: &str| resource(&server, &all(), uri).await.unwrap();
    let current = read("github://sprints/current").await;
    let found = &current["items"][0];
    assert_eq!(found["sprint"]["daysLeft"], 5, "{current}");
    assert_eq!(found["uri"], "github://sprints/acme/3/s2");
    let sprint = read(found["uri"].as_str().unwrap()).await;
    assert_eq!(
        (&sprint["metrics"]["total"], &sprint["count"]),
        (&5.into(), &5.into())
    );
    let of_project = json!({"owner": "acme", "project_number": 3});
    let tool = answer(&server, &all(), "get_current_sprint", of_project).await;
    for same in ["items", "metrics", "sprint", "asOf"] {
        assert_eq!(sprint[same], tool[same], "{same}");
    }
    let previous = read("github://sprints/ACME/3/previous").await;
    assert_eq!(previous["sprint"]["id"], "s1");
    let repository = read("github://repositories/acme/rocket").await;
    assert_eq!(repository["description"], "to the moon");
}

#[tokio::test]
async fn who_may_not_see_a_place_finds_nothing_of_it() {
    let server = server(&world());
    for sees in [
        Visibility::none(),
        Visibility::only(["other"], []).unwrap(),
        Visibility::only([], ["other/rocket"]).unwrap(),
    ] {
        let caller = caller(sees);
        for uri in [
            "github://config",
            "github://projects",
            "github://sprints/current",
            "github://milestones",
        ] {
            let found = resource(&server, &caller, uri).await.unwrap();
            assert_eq!(
                (&found["count"], &found["leftOut"]),
                (&0.into(), &0.into()),
                "{uri}"
            );
            assert!(!found.to_string().contains("acme"), "{found}");
        }
        for (there, absent) in [
            (
                "github://repositories/acme/rocket",
                "github://repositories/no/rocket",
            ),
            ("github://sprints/acme/3/s2", "github://sprints/no/3/s2"),
        ] {
            let hidden = resource(&server, &caller, there)
                .await
                .unwrap_err()
                .to_string();
            let absent = resource(&server, &caller, absent)
                .await
                .unwrap_err()
                .to_string();
            assert_eq!(hidden.replace("acme", "no"), absent);
        }
    }
    // Of one repository: neither projects nor what is in the other.
    let caller = caller(Visibility::only([], ["acme/rocket"]).unwrap());
    let milestones = resource(&server, &caller, "github://milestones")
        .await
        .unwrap();
    assert_eq!(of_items(&milestones, "number"), [2, 1]);
    let config = resource(&server, &caller, "github://config").await.unwrap();
    assert!(!config.to_string().contains("project"), "{config}");
    let sprint = resource(&server, &caller, "github://sprints/acme/3/s2").await;
    assert!(sprint.is_err());
}

#[tokio::test]
async fn a_list_keeps_its_bytes() {
    let mirror = world();
    let many = (10..500).map(|number| milestone(number, "acme/rocket", None));
    mirror.states.lock().unwrap().extend(many);
    let server = server(&mirror);
    let found = resource(&server, &all(), "github://milestones")
        .await
        .unwrap();
    assert!(found.to_string().len() <= 40_000);
    let (count, left) = (
        found["count"].as_u64().unwrap(),
        found["leftOut"].as_u64().unwrap(),
    );
    // 400 of an owner are looked through.
    assert_eq!(count + left, 400);
    assert!(
        left > 0
            && found["notes"][0]
                .as_str()
                .unwrap()
                .contains("list_milestones")
    );
}
