//! What is refused names the field and what helps.

use super::*;

#[tokio::test]
#[allow(clippy::too_many_lines)] // One table.
async fn each_refused_argument_names_its_field_and_what_helps() {
    let server = server(&mirror(vec![issue(1, json!({}))]));
    let at = |more: Value| {
        let mut at = json!({"owner": "acme", "repo": "rocket"});
        at.as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        at
    };
    for (tool, arguments, field, help) in [
        (
            "list_issues",
            json!({"repo": "rocket"}),
            "owner",
            "is missing",
        ),
        (
            "list_issues",
            json!({"owner": "acme"}),
            "repo",
            "is missing",
        ),
        (
            "list_issues",
            json!({"owner": "a b", "repo": "x"}),
            "owner",
            "login",
        ),
        (
            "list_issues",
            json!({"owner": "other", "repo": "acme/rocket"}),
            "repo",
            "leave one out",
        ),
        (
            "list_issues",
            at(json!({"state": "merged"})),
            "state",
            "open, closed, all",
        ),
        (
            "list_issues",
            at(json!({"orderBy": "COMMENTS"})),
            "orderBy",
            "CREATED_AT, UPDATED_AT",
        ),
        (
            "list_issues",
            at(json!({"direction": "up"})),
            "direction",
            "DESC, ASC",
        ),
        (
            "list_issues",
            at(json!({"since": "lately"})),
            "since",
            "2026-11-30T08:00:00Z",
        ),
        (
            "list_issues",
            at(json!({"assignee": "@me"})),
            "assignee",
            "use the login",
        ),
        (
            "list_issues",
            at(json!({"labels": [1]})),
            "labels",
            "list of up to 100 names",
        ),
        (
            "list_issues",
            at(json!({"perPage": 101})),
            "perPage",
            "from 1 to 100",
        ),
        (
            "list_issues",
            at(json!({"maxBytes": 100})),
            "maxBytes",
            "from 4096 to 262144",
        ),
        ("list_issues", at(json!({"page": 2})), "page", "nextCursor"),
        (
            "list_issues",
            at(json!({"after": "x"})),
            "after",
            "leave it out",
        ),
        (
            "list_issues",
            at(json!({"fields": ["title"]})),
            "fields",
            "unknown field; known: state",
        ),
        ("issue_read", at(json!({})), "issue_number", "begin at 1"),
        (
            "issue_read",
            at(json!({"issue_number": 0})),
            "issue_number",
            "begin at 1",
        ),
        (
            "issue_read",
            at(json!({"issue_number": 9})),
            "issue_number",
            "no such issue in acme/rocket",
        ),
        (
            "issue_read",
            at(json!({"issue_number": 1, "method": "get_comments"})),
            "method",
            "get, get_labels",
        ),
        (
            "issue_read",
            at(json!({"issue_number": 1, "method": "x"})),
            "method",
            "use get, get_labels",
        ),
        (
            "pull_request_read",
            at(json!({"pullNumber": 1, "method": "get_diff"})),
            "method",
            "use get",
        ),
        (
            "pull_request_read",
            at(json!({"pullNumber": 1})),
            "pullNumber",
            "no such pull request",
        ),
        (
            "list_pull_requests",
            at(json!({"sort": "popularity"})),
            "sort",
            "created, updated",
        ),
        (
            "list_pull_requests",
            at(json!({"state": "draft"})),
            "state",
            "open, closed, merged, all",
        ),
        (
            "search_issues",
            json!({"query": "crash"}),
            "query",
            "repo:owner/name",
        ),
        ("search_issues", json!({}), "query", "repo:owner/name"),
        (
            "search_issues",
            json!({"query": "repo:acme/rocket", "owner": "other"}),
            "query",
            "leave one of them out",
        ),
        (
            "search_issues",
            json!({"query": "repo:acme/rocket", "sort": "comments"}),
            "sort",
            "created, updated",
        ),
        (
            "search_issues",
            json!({"query": "org:acme milestone:v1"}),
            "query",
            "add repo:",
        ),
        (
            "search_issues",
            json!({"query": "repo:acme/rocket milestone:v1"}),
            "query",
            "use its number",
        ),
        ("list_milestones", json!({}), "owner", "is missing"),
        (
            "list_milestones",
            at(json!({"due": "soon"})),
            "due",
            "overdue, upcoming, none",
        ),
        (
            "list_milestones",
            at(json!({"due": "overdue", "state": "closed"})),
            "state",
            "leave it out",
        ),
        (
            "list_milestones",
            at(json!({"due": "overdue", "withinDays": 3})),
            "withinDays",
            "upcoming",
        ),
        (
            "get_milestone",
            at(json!({"milestone_number": 9})),
            "milestone_number",
            "no such milestone",
        ),
        (
            "get_latest_release",
            at(json!({})),
            "repo",
            "no such release",
        ),
        (
            "actions_list",
            at(json!({"method": "list_workflows"})),
            "method",
            "list_workflow_runs",
        ),
        (
            "actions_list",
            at(json!({"workflow_runs_filter": {"head": "x"}})),
            "workflow_runs_filter",
            "branch",
        ),
        ("projects_list", json!({}), "owner", "is missing"),
        (
            "projects_list",
            json!({"owner": "acme", "method": "list_project_items"}),
            "method",
            "list_projects",
        ),
        (
            "projects_list",
            json!({"owner": "acme", "query": "is:template"}),
            "query",
            "is:open",
        ),
        (
            "projects_get",
            json!({"owner": "acme"}),
            "project_number",
            "begin at 1",
        ),
    ] {
        let refused = refusal(&server, &all(), tool, arguments.clone()).await;
        let names =
            refused.starts_with(&format!("{field}: ")) || refused.starts_with(&format!("{field}."));
        assert!(
            names && refused.contains(help),
            "{tool} {arguments}: {refused}"
        );
    }
}

#[tokio::test]
async fn the_number_of_a_pull_request_is_told_to_who_reads_it_as_an_issue() {
    let pull = state(
        (MirroredKind::PullRequest, "acme/rocket", 3),
        (10, 1),
        json!({"title": "t"}),
    );
    let server = server(&mirror(vec![pull]));
    let arguments = json!({"owner": "acme", "repo": "rocket", "issue_number": 3});
    let refused = refusal(&server, &all(), "issue_read", arguments.clone()).await;
    assert!(refused.contains("pull_request_read"), "{refused}");
    // Not to somebody who may not see it.
    let stranger = caller(Visibility::none());
    let refused = refusal(&server, &stranger, "issue_read", arguments).await;
    assert!(!refused.contains("pull_request_read"), "{refused}");
}

#[tokio::test]
async fn a_cursor_is_of_one_list() {
    let issues = (1..=9).map(|number| issue(number, json!({})));
    let server = server(&mirror(issues.collect()));
    let first = json!({"owner": "acme", "repo": "rocket", "perPage": 3});
    let first = answer(&server, &all(), "list_issues", first).await;
    let other =
        json!({"owner": "acme", "repo": "rocket", "state": "open", "after": first["nextCursor"]});
    let refused = refusal(&server, &all(), "list_issues", other).await;
    assert!(refused.starts_with("after: "), "{refused}");
}
