//! Every route of the edge, every method of MCP, and every tool, prompt and resource that it offers is in a
//! row of the matrix, or stands here with the reason why it shows no events.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::cluster::SystemKind;
use tests::only;

use super::{
    READERS, plan,
    surfaces::Surface,
    tokens,
    world::{TokenFile, World},
};

/// What shows in the matrix what a way to the edge gives out.
enum Row {
    /// Read at every moment.
    Reads(&'static [Surface]),
    /// Held open while the rights change: names of [`super::connections::OpenConnections`].
    Open(&'static [&'static str]),
    /// Both.
    Both(&'static [Surface], &'static [&'static str]),
    /// Nothing, for this reason.
    ShowsNothing(&'static str),
}
use Row::{Both, Open, Reads, ShowsNothing};

const ROUTES: &[(&str, Row)] = &[
    ("/events/stream", Open(&["events", "subscription"])),
    (
        "/events/subscribe",
        ShowsNothing("its answers are what the caller asked for; the stream shows the events"),
    ),
    (
        "/events/subscribe/{id}",
        ShowsNothing("its answers are what the caller asked for; the stream shows the events"),
    ),
    ("/events/recent", Reads(&[Surface::Recent])),
    ("/events/replay/{timestamp}", Reads(&[Surface::Replay])),
    (
        "/mcp",
        Both(
            &[Surface::RecentTool, Surface::Session, Surface::Batch],
            &[
                "session",
                "listen",
                "tasks",
                "poll",
                "answer to a POST",
                "batch",
            ],
        ),
    ),
    ("/mcp/readonly", ShowsNothing("as /mcp, with fewer tools")),
    (
        "/mcp/x/{toolset}",
        ShowsNothing("as /mcp, with fewer tools"),
    ),
    (
        "/mcp/x/{toolset}/readonly",
        ShowsNothing("as /mcp, with fewer tools"),
    ),
    ("/sse", Both(&[Surface::HttpSse], &["HTTP+SSE"])),
    ("/messages", Reads(&[Surface::HttpSse])),
    ("/mcp/stream", Both(&[Surface::Lines], &["lines"])),
    ("/mcp/sse", Both(&[Surface::Connection], &["connection"])),
    (
        "/mcp/sse/send",
        ShowsNothing(
            "its answer is whether a message of the caller arrived; what it runs answers on the stream",
        ),
    ),
    (
        "/mcp/sse/broadcast",
        ShowsNothing("its answer counts sessions, for operators"),
    ),
    (
        "/mcp/sse/stats",
        ShowsNothing("its answer counts sessions, for operators"),
    ),
];

const METHODS: &[(&str, Row)] = &[
    ("initialize", ShowsNothing("describes the server")),
    ("ping", ShowsNothing("empty")),
    ("server/discover", ShowsNothing("describes the server")),
    ("subscriptions/listen", Open(&["listen", "tasks"])),
    (
        "tools/list",
        ShowsNothing("the same for all; its members are below"),
    ),
    (
        "tools/call",
        Reads(&[
            Surface::RecentTool,
            Surface::Session,
            Surface::Batch,
            Surface::Stdio,
        ]),
    ),
    (
        "resources/list",
        ShowsNothing("the same for all; its members are below"),
    ),
    (
        "resources/templates/list",
        ShowsNothing("the same for all; its members are below"),
    ),
    (
        "resources/read",
        Reads(&[Surface::EventList, Surface::Issue, Surface::Session]),
    ),
    (
        "resources/subscribe",
        ShowsNothing("its changes come on streams, which listen shows"),
    ),
    ("resources/unsubscribe", ShowsNothing("empty")),
    (
        "prompts/list",
        ShowsNothing("the same for all; its members are below"),
    ),
    (
        "prompts/get",
        Reads(&[Surface::TriagePrompt, Surface::Session]),
    ),
    (
        "completion/complete",
        Reads(&[Surface::Completion, Surface::TemplateCompletion]),
    ),
    ("logging/setLevel", ShowsNothing("empty")),
    ("tasks/get", Open(&["task"])),
    ("tasks/update", ShowsNothing("empty")),
    ("tasks/cancel", ShowsNothing("empty")),
    (
        "elicitation/create",
        ShowsNothing("to the client: words of a tool"),
    ),
    (
        "sampling/createMessage",
        ShowsNothing("to the client: words of a tool"),
    ),
    ("roots/list", ShowsNothing("to the client: empty")),
    ("notifications/initialized", ShowsNothing("from the client")),
    (
        "notifications/cancelled",
        ShowsNothing("an id of the client's own"),
    ),
    (
        "notifications/progress",
        ShowsNothing("a number for the client's own call"),
    ),
    (
        "notifications/message",
        Open(&["session", "HTTP+SSE", "connection", "lines", "stdio"]),
    ),
    ("notifications/tools/list_changed", ShowsNothing("empty")),
    ("notifications/prompts/list_changed", ShowsNothing("empty")),
    (
        "notifications/resources/list_changed",
        ShowsNothing("empty"),
    ),
    ("notifications/resources/updated", Open(&["listen"])),
    (
        "notifications/subscriptions/acknowledged",
        ShowsNothing("what the client asked for"),
    ),
    ("notifications/tasks", Open(&["tasks"])),
    (
        "notifications/elicitation/complete",
        ShowsNothing("an id of the client's own"),
    ),
    (
        "notifications/roots/list_changed",
        ShowsNothing("from the client"),
    ),
];

const OFFERS: &[(&str, Row)] = &[
    (
        "get_recent_events",
        Reads(&[Surface::RecentTool, Surface::Summaries]),
    ),
    ("get_event", Reads(&[Surface::EventTool])),
    ("get_subscribed_events", Reads(&[Surface::SubscribedTool])),
    ("replay_events", Both(&[Surface::ReplayTool], &["poll"])),
    (
        "wait_for_events",
        Both(&[Surface::WaitTool], &["task", "answer to a POST", "batch"]),
    ),
    ("manage_events", Reads(&[Surface::ManageTool])),
    (
        "subscribe_to_events",
        Open(&["session", "HTTP+SSE", "connection"]),
    ),
    ("triage_event", Reads(&[Surface::TriagePrompt])),
    ("summarize_activity", Reads(&[Surface::ActivityPrompt])),
    ("list_issues", Reads(&[Surface::Mirror])),
    ("issue_read", Reads(&[Surface::Mirror])),
    ("search_issues", Reads(&[Surface::Mirror])),
    ("list_pull_requests", Reads(&[Surface::Mirror])),
    ("pull_request_read", Reads(&[Surface::Mirror])),
    ("search_pull_requests", Reads(&[Surface::Mirror])),
    ("list_milestones", Reads(&[Surface::Mirror])),
    ("get_milestone", Reads(&[Surface::Mirror])),
    ("list_releases", Reads(&[Surface::Mirror])),
    ("get_latest_release", Reads(&[Surface::Mirror])),
    ("list_label", Reads(&[Surface::Mirror])),
    ("actions_list", Reads(&[Surface::Mirror])),
    ("projects_list", Reads(&[Surface::Mirror])),
    ("projects_get", Reads(&[Surface::Mirror])),
    ("list_sprints", Reads(&[Surface::Mirror])),
    ("get_current_sprint", Reads(&[Surface::Mirror])),
    ("get_sprint_metrics", Reads(&[Surface::Mirror])),
    ("sprint_review", Reads(&[Surface::Mirror])),
    ("release_notes", Reads(&[Surface::Mirror])),
    ("stand_up", Reads(&[Surface::Mirror])),
    ("github://config", Reads(&[Surface::Mirror])),
    ("github://projects", Reads(&[Surface::Mirror])),
    ("github://milestones", Reads(&[Surface::Mirror])),
    ("github://sprints/current", Reads(&[Surface::Mirror])),
    ("github://tools", Reads(&[Surface::Mirror])),
    (
        "github://repositories/{owner}/{repo}",
        Reads(&[Surface::Mirror]),
    ),
    (
        "github://sprints/{owner}/{project}/{iteration}",
        Reads(&[Surface::Mirror]),
    ),
    ("github://events", Reads(&[Surface::EventList])),
    ("github://events/{owner}", Reads(&[Surface::OwnerList])),
    (
        "github://events/{owner}/{repo}",
        Reads(&[Surface::RepositoryList]),
    ),
    (
        "github://issues/{owner}/{repo}/{number}",
        Reads(&[Surface::Issue]),
    ),
    (
        "github://pulls/{owner}/{repo}/{number}",
        Reads(&[Surface::PullRequest]),
    ),
    (
        "github://milestones/{owner}/{repo}/{number}",
        Reads(&[Surface::Milestone]),
    ),
    (
        "github://projects/{owner}/{number}",
        Reads(&[Surface::Project]),
    ),
];

fn names(rows: &[(&str, Row)]) -> BTreeSet<String> {
    rows.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// What stands between quotes after each `before` in a file of the product, or in all files of a folder.
fn quoted(path: &Path, before: &str) -> Result<BTreeSet<String>> {
    if path.is_dir() {
        let entries = fs::read_dir(path)?.map(|entry| quoted(&entry?.path(), before));
        let found: Vec<_> = entries.collect::<Result<_>>()?;
        return Ok(found.into_iter().flatten().collect());
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let after = text.split(before).skip(1);
    let found =
        after.filter_map(|text| Some(text.split_once('"')?.1.split_once('"')?.0.to_owned()));
    Ok(found.collect())
}

#[test]
fn every_route_and_every_method_is_in_the_matrix() -> Result<()> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let routes = quoted(&crates.join("sse-edge/src"), ".route(")?;
    assert_eq!(
        routes,
        names(ROUTES),
        "routes of the edge, rows of the matrix"
    );
    let methods = quoted(&crates.join("mcp/src/method.rs"), ": &str =")?;
    assert_eq!(
        methods,
        names(METHODS),
        "methods of MCP, rows of the matrix"
    );
    Ok(())
}

#[test]
fn every_surface_and_every_connection_of_the_matrix_is_in_a_row() {
    let (mut read, mut open) = (Vec::new(), BTreeSet::new());
    for (name, row) in ROUTES.iter().chain(METHODS).chain(OFFERS) {
        match row {
            Reads(surfaces) => read.extend(*surfaces),
            Open(names) => open.extend(*names),
            Both(surfaces, names) => {
                read.extend(*surfaces);
                open.extend(*names);
            }
            ShowsNothing(reason) => assert!(!reason.is_empty(), "{name}"),
        }
    }
    let unnamed = Surface::ALL
        .into_iter()
        .find(|surface| !read.contains(surface));
    assert_eq!(unnamed, None, "a surface without a row");
    let all: BTreeSet<_> = super::CONNECTIONS.into_iter().collect();
    assert_eq!(
        open, all,
        "connections of the rows, connections that are opened"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_the_edge_offers_is_in_the_matrix() -> Result<()> {
    let file = TokenFile::new()?;
    only(SystemKind::Embedded, plan(&file), async |system| {
        file.write(&tokens(None))?;
        let world = World::of(system);
        let (edge, token) = (&world.edges[0], READERS[0].token);
        super::until("the token file is read", async || {
            let recent = world.look(Surface::Recent, edge, token, "").await;
            recent.is_ok_and(|text| text.contains("\"events\""))
        })
        .await?;
        let mut offers = BTreeSet::new();
        for (method, list, name) in [
            ("tools/list", "tools", "name"),
            ("prompts/list", "prompts", "name"),
            ("resources/list", "resources", "uri"),
            (
                "resources/templates/list",
                "resourceTemplates",
                "uriTemplate",
            ),
        ] {
            let answer = world.call(edge, token, method, json!({})).await?;
            let answer: Value = serde_json::from_str(&answer)?;
            let items = answer["result"][list].as_array().context(method)?;
            ensure!(!items.is_empty(), "{method} is empty");
            offers.extend(
                items
                    .iter()
                    .filter_map(|item| Some(item[name].as_str()?.to_owned())),
            );
        }
        ensure!(offers == names(OFFERS), "{offers:?}");
        Ok(())
    })
    .await
}
