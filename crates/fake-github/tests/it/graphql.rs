//! GraphQL: what documents see, what they cost, and how they fail.

use fake_github::{
    server::{FakeFault, FakeLimits},
    world::{FakeFieldKind, FakeFieldValue, FakeReviewState},
};
use serde_json::{Value, json};

use crate::harness::World;

#[tokio::test]
async fn a_clients_document_sees_issues_and_pull_requests_as_they_are() {
    let world = World::new().await;
    world.github.change(|it| {
        let issue = it.open_issue(world.repo, "one");
        it.label(issue, "bug");
        let part = it.open_issue(world.repo, "part");
        it.add_sub_issue(issue, part);
        it.close(part, "completed");
        let pull = it.open_pull(world.repo, "change", ["topic", "main"]);
        let mira = it.add_user("mira");
        it.request_review(pull, mira);
        it.review(pull, FakeReviewState::ChangesRequested, "Not yet.");
        let sha = it
            .ticket(pull)
            .unwrap()
            .pull
            .as_ref()
            .unwrap()
            .head_sha
            .clone();
        let check = it.start_check(world.repo, &sha, "build");
        it.complete_check(check, "failure");
        it.set_status(world.repo, &sha, "deploy", "success");
    });
    let query = "query($owner: String!, $name: String!, $n: Int!) {
        repository(owner: $owner, name: $name) {
          issues(first: $n, orderBy: {field: UPDATED_AT, direction: DESC}) {
            totalCount nodes { ...Head labels(first: 5) { nodes { name } } subIssuesSummary { total completed percentCompleted } }
          }
          pullRequests(first: $n, states: [OPEN]) { edges { cursor node {
            ...Pull
            statusCheckRollup { state contexts(first: 10) { nodes {
              __typename ... on CheckRun { name conclusion } ... on StatusContext { context state } } } }
          } } }
        } }
        fragment Head on Issue { number state stateReason author { login } }
        fragment Pull on PullRequest { number mergeable reviewDecision
          reviewRequests(first: 5) { nodes { requestedReviewer { ... on User { login } } } }
          latestReviews(first: 5) { nodes { state author { login } } } }";
    let variables = json!({ "owner": "octo", "name": "reactor", "n": 10 });
    let answer = world.graphql(query, variables).await;
    assert!(answer.body.get("errors").is_none(), "{}", answer.body);
    let repository = &answer.body["data"]["repository"];
    let issues = &repository["issues"];
    assert_eq!(issues["totalCount"], 2);
    let one = issues["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["number"] == 1)
        .unwrap();
    assert_eq!(one["labels"]["nodes"], json!([{ "name": "bug" }]));
    assert_eq!(
        one["subIssuesSummary"],
        json!({ "total": 1, "completed": 1, "percentCompleted": 100 })
    );
    let pull = &repository["pullRequests"]["edges"][0]["node"];
    assert_eq!(
        pull["reviewRequests"]["nodes"][0]["requestedReviewer"]["login"],
        "mira"
    );
    assert_eq!(
        (&pull["reviewDecision"], &pull["mergeable"]),
        (&"CHANGES_REQUESTED".into(), &"UNKNOWN".into())
    );
    assert_eq!(pull["statusCheckRollup"]["state"], "FAILURE");
    assert_eq!(
        pull["statusCheckRollup"]["contexts"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let again = world.graphql("{ repository(owner: \"octo\", name: \"reactor\") { pullRequest(number: 3) { mergeable } } }", json!({})).await;
    assert_eq!(
        again.body["data"]["repository"]["pullRequest"]["mergeable"],
        "MERGEABLE"
    );
}

#[tokio::test]
async fn a_project_shows_its_sprints_its_items_and_their_values() {
    let world = World::new().await;
    world.github.change(|it| {
        let project = it.create_project(world.organization, "Roadmap");
        let sprint = it.fresh_iteration("Sprint 1", "2026-11-23", 14);
        let over = it.fresh_iteration("Sprint 0", "2026-11-09", 14);
        let iterations = FakeFieldKind::Iteration {
            duration_days: 14,
            active: vec![sprint.clone()],
            completed: vec![over],
        };
        it.set_field(project, "Sprint", iterations);
        it.put_view(project, "Board", "BOARD_LAYOUT", Some("is:open"));
        let issue = it.open_issue(world.repo, "one");
        let item = it.add_item(project, issue);
        it.set_value(item, "Sprint", Some(FakeFieldValue::Iteration(sprint.id)));
        it.add_draft(project, "later");
    });
    let query = "{ organization(login: \"octo\") { projectsV2(first: 5) { nodes { id title
        views(first: 5) { nodes { name layout filter } }
        fields(first: 20) { nodes { __typename ... on ProjectV2FieldCommon { name dataType }
          ... on ProjectV2SingleSelectField { options { name } }
          ... on ProjectV2IterationField { configuration { duration iterations { title startDate } completedIterations { title } } } } }
        items(first: 10) { pageInfo { hasNextPage endCursor } nodes { id type
          content { ... on Issue { number title } ... on DraftIssue { title } }
          sprint: fieldValueByName(name: \"Sprint\") { ... on ProjectV2ItemFieldIterationValue { title startDate duration } }
          fieldValues(first: 10) { nodes { ... on ProjectV2ItemFieldTextValue { text field { ... on ProjectV2FieldCommon { name } } } } } } } } } } }";
    let answer = world.graphql(query, json!({})).await;
    assert!(answer.body.get("errors").is_none(), "{}", answer.body);
    let project = &answer.body["data"]["organization"]["projectsV2"]["nodes"][0];
    let fields = project["fields"]["nodes"].as_array().unwrap();
    let sprint = fields.iter().find(|it| it["name"] == "Sprint").unwrap();
    assert_eq!(
        sprint["configuration"]["iterations"],
        json!([{ "title": "Sprint 1", "startDate": "2026-11-23" }])
    );
    assert_eq!(
        sprint["configuration"]["completedIterations"][0]["title"],
        "Sprint 0"
    );
    let items = project["items"]["nodes"].as_array().unwrap();
    assert_eq!(
        (&items[0]["type"], &items[0]["sprint"]["title"]),
        (&"ISSUE".into(), &"Sprint 1".into())
    );
    assert_eq!(
        (&items[1]["type"], &items[1]["sprint"]),
        (&"DRAFT_ISSUE".into(), &Value::Null)
    );
    assert_eq!(
        project["views"]["nodes"][1],
        json!({ "name": "Board", "layout": "BOARD_LAYOUT", "filter": "is:open" })
    );

    let id = items[0]["id"].as_str().unwrap();
    let nodes = world
        .graphql(
            "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }",
            json!({ "ids": [id, "I_gone"] }),
        )
        .await;
    assert_eq!(
        nodes.body["data"]["nodes"],
        json!([{ "__typename": "ProjectV2Item", "id": id }, null])
    );
    assert_eq!(nodes.body["errors"][0]["path"], json!(["nodes", 1]));
    let error = &nodes.body["errors"][0];
    assert_eq!(
        (&error["type"], &error["message"]),
        (
            &"NOT_FOUND".into(),
            &"Could not resolve to a node with the global id of 'I_gone'.".into()
        )
    );
}

#[tokio::test]
async fn pages_by_cursor_are_complete_while_the_world_changes() {
    let world = World::new().await;
    let open = |count: u32| {
        world.github.change(|it| {
            (0..count).for_each(|n| {
                it.open_issue(world.repo, &format!("{n}"));
            });
        });
    };
    open(11);
    let query = "query($after: String) { repository(owner: \"octo\", name: \"reactor\") {
        issues(first: 3, after: $after, orderBy: {field: CREATED_AT, direction: ASC}) { pageInfo { hasNextPage endCursor } nodes { number } } } }";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let page = world.graphql(query, json!({ "after": after })).await.body;
        let issues = &page["data"]["repository"]["issues"];
        seen.extend(
            issues["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["number"].as_u64().unwrap()),
        );
        if issues["pageInfo"]["hasNextPage"] == false || seen.len() > 20 {
            break;
        }
        after = issues["pageInfo"]["endCursor"].clone();
        if seen.len() < 6 {
            open(1);
        }
    }
    assert_eq!(seen, (1..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_document_costs_what_its_connections_cost_and_too_much_is_refused() {
    let world = World::new().await;
    let issues = "{ rateLimit { cost nodeCount limit remaining used }
        repository(owner: \"octo\", name: \"reactor\") { issues(first: 100) { nodes {
          comments(first: 60) { nodes { id } } labels(first: 10) { nodes { name } } } } } }";
    let answer = world.graphql(issues, json!({})).await;
    // 1 + 100 + 100 requests of connections are 2 points; 100 + 6,000 + 1,000 nodes.
    let rate = &answer.body["data"]["rateLimit"];
    assert_eq!(
        rate,
        &json!({ "cost": 2, "nodeCount": 7100, "limit": 5000, "remaining": 4998, "used": 2 })
    );
    assert_eq!(
        (
            answer.header("x-ratelimit-used"),
            answer.header("x-ratelimit-resource")
        ),
        ("2", "graphql")
    );
    assert_eq!(world.github.points(), 2);

    let refused = async |query: &str| {
        let answer = world.graphql(query, json!({})).await;
        assert_eq!((answer.status, answer.body.get("data")), (200, None));
        answer.body["errors"][0]["type"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let of = |issues: &str| {
        format!("{{ repository(owner: \"octo\", name: \"reactor\") {{ issues{issues} }} }}")
    };
    assert_eq!(
        refused(&of("(first: 101) { totalCount }")).await,
        "EXCESSIVE_PAGINATION"
    );
    assert_eq!(
        refused(&of(" { totalCount }")).await,
        "MISSING_PAGINATION_BOUNDARIES"
    );
    let deep = "(first: 100) { nodes { comments(first: 100) { nodes { id } } subIssues(first: 100) { nodes { labels(first: 100) { nodes { id } } } } } }";
    assert_eq!(refused(&of(deep)).await, "MAX_NODE_LIMIT_EXCEEDED");
    let unknown = world.graphql("{ viewer { shoeSize } }", json!({})).await;
    assert!(
        unknown.body["errors"].to_string().contains("shoeSize"),
        "{}",
        unknown.body
    );
}

#[tokio::test]
async fn an_hour_that_is_used_up_is_said_with_status_200() {
    let world = World::new().await;
    world.github.limit(FakeLimits {
        graphql: 1,
        ..FakeLimits::default()
    });
    let ask = async || world.graphql("{ viewer { login } }", json!({})).await;
    assert_eq!(ask().await.body["data"]["viewer"]["login"], "octocat");
    let refused = ask().await;
    assert_eq!(
        (refused.status, &refused.body["errors"][0]["type"]),
        (200, &"RATE_LIMITED".into())
    );
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
}

#[tokio::test]
async fn what_fails_in_part_is_null_with_an_error_that_names_its_path() {
    let world = World::new().await;
    let query = "{ a: repository(owner: \"octo\", name: \"reactor\") { name } b: repository(owner: \"octo\", name: \"no\") { name } }";
    let answer = world.graphql(query, json!({})).await;
    assert_eq!(
        answer.body["data"],
        json!({ "a": { "name": "reactor" }, "b": null })
    );
    let error = &answer.body["errors"][0];
    assert_eq!(
        (&error["type"], &error["path"]),
        (&"NOT_FOUND".into(), &json!(["b"]))
    );
    assert_eq!(
        error["message"],
        "Could not resolve to a Repository with the name 'octo/no'."
    );

    world
        .github
        .break_next("/graphql", FakeFault::PartialError("milestones"), 1);
    let query = "{ repository(owner: \"octo\", name: \"reactor\") { name milestones(first: 1) { totalCount } } }";
    let broken = world.graphql(query, json!({})).await;
    assert_eq!(
        broken.body["data"]["repository"],
        json!({ "name": "reactor", "milestones": null })
    );
    assert_eq!(
        broken.body["errors"][0]["path"],
        json!(["repository", "milestones"])
    );
    world
        .github
        .break_next("/graphql", FakeFault::Status(502), 1);
    assert_eq!(world.graphql(query, json!({})).await.status, 502);
}
