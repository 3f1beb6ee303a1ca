//! The tools, one file each.

mod actions_list;
mod get_current_sprint;
mod get_latest_release;
mod get_milestone;
mod get_sprint_metrics;
mod issue_read;
mod list_issues;
mod list_label;
mod list_milestones;
mod list_pull_requests;
mod list_releases;
mod list_sprints;
mod methods;
mod projects_get;
mod projects_list;
mod pull_request_read;
mod search_issues;
mod sprint_project;

pub(crate) use actions_list::ActionsList;
pub(crate) use get_current_sprint::GetCurrentSprint;
pub(crate) use get_latest_release::GetLatestRelease;
pub(crate) use get_milestone::GetMilestone;
pub(crate) use get_sprint_metrics::GetSprintMetrics;
pub(crate) use issue_read::IssueRead;
pub(crate) use list_issues::ListIssues;
pub(crate) use list_label::ListLabel;
pub(crate) use list_milestones::ListMilestones;
pub(crate) use list_pull_requests::ListPullRequests;
pub(crate) use list_releases::ListReleases;
pub(crate) use list_sprints::ListSprints;
pub(crate) use projects_get::ProjectsGet;
pub(crate) use projects_list::ProjectsList;
pub(crate) use pull_request_read::PullRequestRead;
pub(crate) use search_issues::SearchIssues;
