//! What is read of a project's object.

use github_events::JsonSelection;
use serde_json::Value;

const SCALAR: JsonSelection = JsonSelection::Scalar;
const LOGIN: JsonSelection = JsonSelection::Members(&[("login", SCALAR)]);

/// What a project is made of.
pub(crate) const PROJECT: JsonSelection = JsonSelection::Members(&[
    ("title", SCALAR),
    ("short_description", SCALAR),
    ("description", SCALAR),
    ("state", SCALAR),
    ("closed", SCALAR),
    ("closed_at", SCALAR),
    ("public", SCALAR),
    ("is_template", SCALAR),
    ("creator", LOGIN),
    ("created_at", SCALAR),
    ("updated_at", SCALAR),
    ("html_url", SCALAR),
]);

/// The state of a project: not all of GitHub's objects name it.
pub(crate) fn project_state(picked: &Value) -> &'static str {
    let is_closed = picked["state"] == "closed"
        || picked["closed"] == Value::Bool(true)
        || (picked["state"].is_null() && picked["closed_at"].is_string());
    if is_closed { "closed" } else { "open" }
}
