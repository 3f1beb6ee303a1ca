//! The tools, one file each.

mod answer_input;
mod filter_input;
mod filters;
mod get_event;
mod get_recent_events;
mod get_subscribed_events;
mod manage_events;
mod range_input;
mod replay_events;
mod shown_events;
mod subscribe_to_events;
mod wait_for_events;

pub use filters::FilterList;
pub(crate) use get_event::GetEvent;
pub(crate) use get_recent_events::GetRecentEvents;
pub(crate) use get_subscribed_events::GetSubscribedEvents;
pub(crate) use manage_events::ManageEvents;
pub(crate) use replay_events::ReplayEvents;
pub(crate) use subscribe_to_events::SubscribeToEvents;
pub(crate) use wait_for_events::WaitForEvents;
