//! The prompts, one file each: what the mirror knows, as data, with a request.

mod data;
mod release_notes;
mod sprint_review;
mod stand_up;

pub(crate) use release_notes::ReleaseNotes;
pub(crate) use sprint_review::SprintReview;
pub(crate) use stand_up::StandUp;
