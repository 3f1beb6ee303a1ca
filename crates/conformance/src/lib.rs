//! The fixtures that the official conformance suite expects of a server, in addition to the
//! product's own offers: a toolset from outside the product, passed to the edge by a separate
//! binary. So conformance is measured on the crates that ship.
//!
//! Names and texts are those of the suite (npm `@modelcontextprotocol/conformance`, server
//! scenarios).

mod asking;
mod content;
mod fixture;
mod lists;
mod prompts;
mod resources;
mod rounds;
mod schema;
mod streaming;
mod tasks;

use std::sync::Arc;

use mcp_server::Toolset;
use ports::Bus;

/// The toolset of the suite; changes of lists are announced on `bus`.
#[must_use]
pub fn toolset(bus: &Arc<dyn Bus>) -> Toolset {
    Toolset::new("conformance")
        .with_tools(content::tools())
        .with_tools(streaming::tools())
        .with_tools(schema::tools())
        .with_tools(tasks::tools())
        .with_tools(asking::tools())
        .with_tools(rounds::tools())
        .with_tools(lists::tools(bus))
        .with_prompts(prompts::prompts())
        .with_completer(prompts::SuiteCompleter)
        .with_resources(resources::SuiteResources)
}
