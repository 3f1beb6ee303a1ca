//! Toolsets from outside the product.

use std::{fmt, sync::Arc};

use mcp_server::Toolset;
use ports::Bus;

/// What a toolset from outside may use of the process.
pub struct ToolsetDeps {
    /// The bus, for instance to announce that a list changed.
    pub bus: Arc<dyn Bus>,
}

impl fmt::Debug for ToolsetDeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolsetDeps").finish_non_exhaustive()
    }
}

/// Makes the toolsets, once per edge.
pub type MakeToolsets = fn(&ToolsetDeps) -> Vec<Toolset>;

/// The product alone.
pub(crate) fn none(_: &ToolsetDeps) -> Vec<Toolset> {
    Vec::new()
}
