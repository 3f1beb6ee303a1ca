//! Tools, prompts, resources and completion for GitHub's events.
//!
//! | module | idea |
//! | --- | --- |
//! | `tools` | one tool per file: subscribe, recent, subscribed, replay, wait, one event, manage |
//! | `prompts` | one prompt per file: triage an issue, summarize a repository |
//! | `resources` | `github://` resources: lists of events, and the last known state of resources |
//! | `completion` | owners, repositories and numbers while they are typed |
//! | `events` | past and future events, restricted to what one caller may see |
//! | `parked_wait` | a wait for an event of which only its place is left |
//! | `followed` | the subscriptions of one caller, and the past events that they want |
//! | [`sessions`] | changes of the caller's session, made by the server |
//! | [`subscriptions`] | subscriptions under a client's name, made by the server |
//!
//! Each tool, prompt and source gets its dependencies from its constructor, in [`toolset`]. A new
//! tool is a file with a descriptor and a function, and a line there.

mod completion;
mod events;
mod followed;
mod limits;
mod parked_wait;
mod prompts;
mod resources;
pub mod sessions;
pub mod subscriptions;
mod summaries;
mod tools;

use std::sync::Arc;

use fanout::hub::Hub;
use mcp_server::Toolset;
use model::{Clock, FilterDefaults, IdSource};
use ports::ResourceReader;

use self::{
    completion::EventCompleter,
    events::EventAccess,
    followed::FollowedFinder,
    prompts::{SummarizeActivity, TriageEvent},
    resources::GithubResources,
    sessions::SessionEditor,
    subscriptions::ClientSubscriptions,
    tools::{
        GetEvent, GetRecentEvents, GetSubscribedEvents, ManageEvents, ReplayEvents,
        SubscribeToEvents, WaitForEvents,
    },
};

pub use self::tools::FilterList;

/// The dependencies of this crate.
#[derive(Debug, Clone)]
pub struct EventToolDeps {
    /// Past and future events.
    pub hub: Arc<Hub>,
    /// The last known state of resources: the sync role.
    pub resources: Arc<dyn ResourceReader>,
    /// The sessions of callers.
    pub sessions: Arc<dyn SessionEditor>,
    /// Subscriptions that live beyond sessions.
    pub subscriptions: Arc<dyn ClientSubscriptions>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of new subscriptions.
    pub ids: Arc<dyn IdSource>,
    /// What filters mean where they do not say so themselves.
    pub filter_defaults: FilterDefaults,
    /// What the paths of the server begin with: empty, or for instance `/forgewire`.
    pub base_path: String,
}

/// The toolset "events".
#[must_use]
pub fn toolset(deps: &EventToolDeps) -> Toolset {
    let hub = Arc::clone(&deps.hub);
    let events = EventAccess::new(hub, deps.filter_defaults, &deps.base_path);
    let github = GithubResources::new(events.clone(), Arc::clone(&deps.resources));
    let subscribe = SubscribeToEvents::new(
        events.clone(),
        Arc::clone(&deps.sessions),
        Arc::clone(&deps.subscriptions),
        Arc::clone(&deps.clock),
        Arc::clone(&deps.ids),
    );
    let followed = FollowedFinder::new(Arc::clone(&deps.hub), Arc::clone(&deps.subscriptions));
    let recent = GetRecentEvents::new(events.clone());
    let event = GetEvent::new(events.clone());
    let replay = ReplayEvents::new(events.clone());
    let sessions = Arc::clone(&deps.sessions);
    let subscriptions = Arc::clone(&deps.subscriptions);
    Toolset::new("events")
        .with_tool(ManageEvents::new(
            events.clone(),
            subscribe.clone(),
            (recent.clone(), event.clone(), replay.clone()),
            sessions,
            subscriptions,
        ))
        .with_tool(subscribe)
        .with_tool(recent)
        .with_tool(GetSubscribedEvents::new(events.clone(), followed))
        .with_tool(event)
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
