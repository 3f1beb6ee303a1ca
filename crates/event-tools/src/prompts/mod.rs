//! The prompts, one file each.

mod activity;
mod summarize_activity;
mod triage_event;

pub(crate) use summarize_activity::SummarizeActivity;
pub(crate) use triage_event::TriageEvent;

/// The names of all prompts of this crate.
pub(crate) const NAMES: [&str; 2] = [summarize_activity::NAME, triage_event::NAME];
