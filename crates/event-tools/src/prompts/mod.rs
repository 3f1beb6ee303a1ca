//! The prompts, one file each.

mod activity;
mod summarize_activity;
mod triage_event;

pub(crate) use summarize_activity::SummarizeActivity;
pub(crate) use triage_event::TriageEvent;
