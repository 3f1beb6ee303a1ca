//! `forgewire openapi`: the OpenAPI documents of the listeners, whose committed copies are docs/openapi.json and
//! docs/openapi-ingest.json.

use clap::{Args, ValueEnum};
use service_kit::openapi::to_text;

/// The listener whose document is printed.
#[derive(Debug, Args)]
pub(crate) struct OpenapiArgs {
    /// Role whose listener is described.
    #[arg(long, value_enum, default_value_t = DescribedRole::Edge)]
    role: DescribedRole,
}

/// A role with a listener for HTTP.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum DescribedRole {
    /// The edge.
    Edge,
    /// The ingest role.
    Ingest,
}

/// The document, as its committed copy holds it.
pub(crate) fn print(args: &OpenapiArgs) -> String {
    let document = match args.role {
        DescribedRole::Edge => sse_edge::openapi_document(""),
        DescribedRole::Ingest => webhook_ingest::openapi_document(),
    };
    to_text(&document)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_committed_documents_are_those_of_the_routes() {
        for (role, name) in [
            (DescribedRole::Edge, "openapi.json"),
            (DescribedRole::Ingest, "openapi-ingest.json"),
        ] {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
            let text = fs::read_to_string(file.join(name)).unwrap_or_default();
            assert!(
                text == print(&OpenapiArgs { role }),
                "docs/{name} differs from the code; run: make docs"
            );
        }
    }
}
