//! The project whose sprints are meant.

use mcp_server::arguments::ArgumentGroup;
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::count;

/// The project whose sprints are meant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(extend("required" = ["owner", "project_number"]))]
pub(crate) struct SprintPlaceInput {
    /// Login of the owner of the project: a user or an organization.
    pub(crate) owner: Option<String>,
    /// The number of the project.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub(crate) project_number: Option<u64>,
    /// Name of the iteration field, if the project has several. Without it, one that has a sprint today.
    pub(crate) field: Option<String>,
}

impl ArgumentGroup for SprintPlaceInput {
    const FIELDS: &[&str] = &["owner", "project_number", "field"];
}
