//! GitHub's state as MCP clients read it: tools that are answered from the mirror, without a call to GitHub.
//!
//! | module | idea |
//! | --- | --- |
//! | `tools` | one tool per file: lists and single reads, under the names that GitHub's own server gives them |
//! | `inputs` | arguments that several tools take: the place, the page, the size |
//! | `search` | the language of search queries, as far as the mirror can answer it |
//! | `sprints` | iterations of projects, what is in them, and how far they are |
//! | `items` | one line of a list per resource, of up to 1 KB |
//! | `project_facts` | what is read of a project's object |
//! | `resources` | `github://` resources of the mirror |
//! | `prompts` | a sprint's review, release notes, a stand-up |
//! | `page_reader` | a page of a list within its bytes, with the cursor that continues it |
//! | `page_cursor` | that cursor as callers have it: sealed |
//! | `mirror` | the mirror, restricted to what one caller may see |
//! | `output` | the forms of answers |
//!
//! Each tool gets its dependencies from its constructor, in [`toolsets`]. What is deliberately absent: calls to GitHub,
//! and whatever the mirror does not have (comments, diffs, checks).

mod inputs;
mod items;
mod limits;
mod mirror;
mod output;
mod page_cursor;
mod page_reader;
mod project_facts;
mod prompts;
mod resources;
mod search;
mod sprints;
mod tools;

use std::sync::Arc;

use mcp_server::Toolset;
use model::{Clock, IdSource};
use ports::MirrorReads;

pub use page_cursor::PageKeys;

use self::{
    mirror::MirrorAccess,
    page_cursor::PageCursors,
    prompts::{ReleaseNotes, SprintReview, StandUp},
    resources::{MirrorResources, tool_lines},
    tools::{
        ActionsList, GetCurrentSprint, GetLatestRelease, GetMilestone, GetSprintMetrics, IssueRead,
        ListIssues, ListLabel, ListMilestones, ListPullRequests, ListReleases, ListSprints,
        ProjectsGet, ProjectsList, PullRequestRead, SearchIssues,
    },
};

/// The name that selects all of these tools; each of their toolsets has a name of its own, too.
pub const GITHUB: &str = "github";

/// The dependencies of this crate.
#[derive(Debug, Clone)]
pub struct GithubToolDeps {
    /// The mirror of GitHub's state: the sync role.
    pub mirror: Arc<dyn MirrorReads>,
    /// Time, for milestones that are due and for sprints.
    pub clock: Arc<dyn Clock>,
    /// The keys with which the cursors of pages are sealed.
    pub page_keys: Arc<dyn PageKeys>,
    /// What makes two cursors of one place differ.
    pub ids: Arc<dyn IdSource>,
}

fn access_of(deps: &GithubToolDeps) -> MirrorAccess {
    let cursors = PageCursors {
        keys: Arc::clone(&deps.page_keys),
        ids: Arc::clone(&deps.ids),
    };
    MirrorAccess::new(Arc::clone(&deps.mirror), cursors)
}

/// The toolsets, named as GitHub's own server names them where it has them. All are part of [`GITHUB`].
#[must_use]
pub fn toolsets(deps: &GithubToolDeps) -> Vec<Toolset> {
    let mirror = access_of(deps);
    let clock = || Arc::clone(&deps.clock);
    let set = |name| Toolset::new(name).part_of(GITHUB);
    vec![
        set("issues")
            .with_tool(ListIssues::new(mirror.clone()))
            .with_tool(IssueRead::new(mirror.clone()))
            .with_tool(SearchIssues::of_issues(mirror.clone())),
        set("pull_requests")
            .with_tool(ListPullRequests::new(mirror.clone()))
            .with_tool(PullRequestRead::new(mirror.clone()))
            .with_tool(SearchIssues::of_pull_requests(mirror.clone())),
        set("repos")
            .with_tool(ListReleases::new(mirror.clone()))
            .with_tool(GetLatestRelease::new(mirror.clone())),
        set("labels").with_tool(ListLabel::new(mirror.clone())),
        set("milestones")
            .with_tool(ListMilestones::new(mirror.clone(), clock()))
            .with_tool(GetMilestone::new(mirror.clone(), clock())),
        set("actions").with_tool(ActionsList::new(mirror.clone())),
        set("projects")
            .with_tool(ProjectsList::new(mirror.clone()))
            .with_tool(ProjectsGet::new(mirror.clone()))
            .with_tool(ListSprints::new(mirror.clone(), clock()))
            .with_tool(GetCurrentSprint::new(mirror.clone(), clock()))
            .with_tool(GetSprintMetrics::new(mirror, clock())),
    ]
}

/// The resources and prompts, in a toolset without tools; `toolsets` are those of the server, whose tools one resource lists.
#[must_use]
pub fn resources(deps: &GithubToolDeps, toolsets: &[Toolset]) -> Toolset {
    let mirror = access_of(deps);
    let tools = tool_lines(toolsets);
    let clock = || Arc::clone(&deps.clock);
    Toolset::new("github_resources")
        .part_of(GITHUB)
        .with_prompt(SprintReview::new(mirror.clone(), clock()))
        .with_prompt(ReleaseNotes::new(mirror.clone()))
        .with_prompt(StandUp::new(mirror.clone(), clock()))
        .with_resources(MirrorResources::new(mirror, clock(), tools))
}
