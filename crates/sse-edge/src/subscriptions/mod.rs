//! Subscriptions that live beyond sessions and connections: made, listed, renewed and deleted on any edge, and
//! followed by streams on all of them.

mod cursor_books;
mod cursor_keeper;
mod cursor_trail;
mod followers;
mod kept;
mod loads;
mod look_schedule;
mod stream;
mod tool_subscriptions;
mod watcher;

pub(crate) use cursor_keeper::keep_cursor_books;
pub(crate) use followers::FollowedSource;
pub(crate) use kept::{NewSubscription, Subscriptions};
pub(crate) use stream::{FollowedNow, SubscribedStream, open_subscribed};
pub(crate) use tool_subscriptions::ToolSubscriptions;
pub(crate) use watcher::{SubscriptionWatch, watch_subscriptions};
