//! One line of a list per resource: what a reader needs to decide whether to look at the whole.

mod builder;
mod conversation;
mod milestone;
mod others;
mod sprint_item;

pub(crate) use conversation::{CONVERSATION, conversation};
pub(crate) use milestone::{DueFilter, MILESTONE, MilestoneMetrics, milestone};
pub(crate) use others::{
    LABEL, RELEASE, WORKFLOW_RUN, is_published, label, project, release, workflow_run,
};
pub(crate) use sprint_item::shown_items;
