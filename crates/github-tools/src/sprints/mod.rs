//! Sprints: the iterations of a project, and the items that are in them.
//!
//! | module | idea |
//! | --- | --- |
//! | `calendar` | days, and where a sprint is in time |
//! | `board` | the fields of a project that sprints are read by: iteration, status, points |
//! | `work` | one item of a project, as a sprint sees it |
//! | `metrics` | how far a sprint is |
//! | `overview` | the sprints of today of all projects of an owner |
//! | `reader` | fields and items from the mirror, within a bound of reads |

mod board;
mod calendar;
mod metrics;
mod overview;
mod reader;
mod work;

pub(crate) use calendar::{ProjectSprint, SprintTimes, UtcDay};
pub(crate) use metrics::SprintMetrics;
pub(crate) use overview::present_sprints;
pub(crate) use reader::{SprintProject, SprintWork, read_project, read_work};
pub(crate) use work::SprintItem;
