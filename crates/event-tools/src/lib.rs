//! Tools, prompts, resources and completion for GitHub's events.
//!
//! | module | idea |
//! | --- | --- |
//! | `tools` | one tool per file: subscribe, recent, replay, wait, manage |
//! | `prompts` | one prompt per file: triage an issue, summarize a repository |
//! | `resources` | `github://` resources: lists of events, and the last known state of resources |
//! | `completion` | owners, repositories and numbers while they are typed |
//! | `events` | past and future events, restricted to what one caller may see |
//! | [`sessions`] | changes of the caller's session, made by the server |
//!
//! Each tool, prompt and source gets its dependencies from its constructor, in [`toolset`]. A new
//! tool is a file with a descriptor and a function, and a line there.

mod completion;
mod events;
mod limits;
mod prompts;
mod resources;
pub mod sessions;
mod tools;

use std::sync::Arc;

use fanout::hub::Hub;
use mcp_server::Toolset;
use model::{Clock, IdSource};
use ports::ResourceReader;

use self::{
    completion::EventCompleter,
    events::EventAccess,
    prompts::{SummarizeActivity, TriageEvent},
    resources::GithubResources,
    sessions::SessionEditor,
    tools::{GetRecentEvents, ManageEvents, ReplayEvents, SubscribeToEvents, WaitForEvents},
};

/// The dependencies of this crate.
#[derive(Debug, Clone)]
pub struct EventToolDeps {
    /// Past and future events.
    pub hub: Arc<Hub>,
    /// The last known state of resources: the sync role.
    pub resources: Arc<dyn ResourceReader>,
    /// The sessions of callers.
    pub sessions: Arc<dyn SessionEditor>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of new subscriptions.
    pub ids: Arc<dyn IdSource>,
}

/// The toolset "events".
#[must_use]
pub fn toolset(deps: &EventToolDeps) -> Toolset {
    let events = EventAccess::new(Arc::clone(&deps.hub));
    let github = GithubResources::new(events.clone(), Arc::clone(&deps.resources));
    let subscribe = SubscribeToEvents::new(
        events.clone(),
        Arc::clone(&deps.sessions),
        Arc::clone(&deps.clock),
        Arc::clone(&deps.ids),
    );
    let recent = GetRecentEvents::new(events.clone());
    let replay = ReplayEvents::new(events.clone());
    let sessions = Arc::clone(&deps.sessions);
    Toolset::new("events")
        .with_tool(ManageEvents::new(
            subscribe.clone(),
            recent.clone(),
            replay.clone(),
            sessions,
        ))
        .with_tool(subscribe)
        .with_tool(recent)
        .with_tool(replay)
        .with_tool(WaitForEvents::new(events.clone()))
        .with_prompt(TriageEvent::new(events.clone(), github.clone()))
        .with_prompt(SummarizeActivity::new(
            events.clone(),
            Arc::clone(&deps.clock),
        ))
        .with_completer(EventCompleter::new(events))
        .with_resources(github)
}
