//! Labels, releases, runs of workflows, projects.

use github_events::JsonSelection;
use ports::MirroredState;
use serde_json::Value;

use super::builder::ItemBuilder;
use crate::{
    limits::{DESCRIPTION_BYTES, NAME_BYTES, TITLE_BYTES},
    project_facts::project_state,
};

const SCALAR: JsonSelection = JsonSelection::Scalar;
const LOGIN: JsonSelection = JsonSelection::Members(&[("login", SCALAR)]);

/// What a label is made of.
pub(crate) const LABEL: JsonSelection =
    JsonSelection::Members(&[("name", SCALAR), ("color", SCALAR), ("description", SCALAR)]);

/// What a release is made of.
pub(crate) const RELEASE: JsonSelection = JsonSelection::Members(&[
    ("tag_name", SCALAR),
    ("name", SCALAR),
    ("draft", SCALAR),
    ("prerelease", SCALAR),
    ("author", LOGIN),
    ("created_at", SCALAR),
    ("published_at", SCALAR),
    ("html_url", SCALAR),
]);

/// What a run is made of.
pub(crate) const WORKFLOW_RUN: JsonSelection = JsonSelection::Members(&[
    ("name", SCALAR),
    ("display_title", SCALAR),
    ("run_number", SCALAR),
    ("run_attempt", SCALAR),
    ("event", SCALAR),
    ("status", SCALAR),
    ("conclusion", SCALAR),
    ("head_branch", SCALAR),
    ("head_sha", SCALAR),
    ("path", SCALAR),
    ("workflow_id", SCALAR),
    ("actor", LOGIN),
    ("created_at", SCALAR),
    ("updated_at", SCALAR),
    ("html_url", SCALAR),
]);

/// A label.
pub(crate) fn label(_: &MirroredState, picked: &Value) -> String {
    ItemBuilder::new()
        .put_short("name", &picked["name"], TITLE_BYTES)
        .put_short("color", &picked["color"], NAME_BYTES)
        .put_short("description", &picked["description"], DESCRIPTION_BYTES)
        .finish()
}

/// Whether a release is one that GitHub calls the latest: neither a draft nor a prerelease.
pub(crate) fn is_published(picked: &Value) -> bool {
    picked["draft"] != Value::Bool(true) && picked["prerelease"] != Value::Bool(true)
}

/// A release.
pub(crate) fn release(state: &MirroredState, picked: &Value) -> String {
    ItemBuilder::new()
        .put("id", &state.address.number.into())
        .put_short("tagName", &picked["tag_name"], TITLE_BYTES)
        .put_short("name", &picked["name"], TITLE_BYTES)
        .put_short("draft", &picked["draft"], NAME_BYTES)
        .put_short("prerelease", &picked["prerelease"], NAME_BYTES)
        .put_short("publishedAt", &picked["published_at"], NAME_BYTES)
        .put_short("author", &picked["author"]["login"], NAME_BYTES)
        .put_link("url", &picked["html_url"])
        .put_short("createdAt", &picked["created_at"], NAME_BYTES)
        .finish()
}

/// A run of a workflow.
pub(crate) fn workflow_run(state: &MirroredState, picked: &Value) -> String {
    ItemBuilder::new()
        .put("id", &state.address.number.into())
        .put_short("name", &picked["name"], NAME_BYTES)
        .put_short("status", &picked["status"], NAME_BYTES)
        .put_short("conclusion", &picked["conclusion"], NAME_BYTES)
        .put_short("title", &picked["display_title"], TITLE_BYTES)
        .put_short("branch", &picked["head_branch"], NAME_BYTES)
        .put_short("sha", &picked["head_sha"], NAME_BYTES)
        .put_short("event", &picked["event"], NAME_BYTES)
        .put_short("actor", &picked["actor"]["login"], NAME_BYTES)
        .put_link("url", &picked["html_url"])
        .put_short("updatedAt", &picked["updated_at"], NAME_BYTES)
        .put_short("createdAt", &picked["created_at"], NAME_BYTES)
        .put_short("runNumber", &picked["run_number"], NAME_BYTES)
        .put_short("attempt", &picked["run_attempt"], NAME_BYTES)
        .put_short("workflowId", &picked["workflow_id"], NAME_BYTES)
        .put_short("workflow", &picked["path"], NAME_BYTES)
        .finish()
}

/// A project.
pub(crate) fn project(state: &MirroredState, picked: &Value) -> String {
    ItemBuilder::new()
        .put("number", &state.address.number.into())
        .put_short("title", &picked["title"], TITLE_BYTES)
        .put("state", &project_state(picked).into())
        .put_short(
            "shortDescription",
            &picked["short_description"],
            DESCRIPTION_BYTES,
        )
        .put_short("public", &picked["public"], NAME_BYTES)
        .put_short("template", &picked["is_template"], NAME_BYTES)
        .put_short("creator", &picked["creator"]["login"], NAME_BYTES)
        .put_link("url", &picked["html_url"])
        .put_short("updatedAt", &picked["updated_at"], NAME_BYTES)
        .put_short("closedAt", &picked["closed_at"], NAME_BYTES)
        .put_short("createdAt", &picked["created_at"], NAME_BYTES)
        .put_short("description", &picked["description"], DESCRIPTION_BYTES)
        .finish()
}
