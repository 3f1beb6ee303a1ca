//! Prints `docs/failure-modes.md`; `make docs` writes it.

use std::io::Write;

fn main() -> anyhow::Result<()> {
    let page = tests::failure_modes_page()?;
    Ok(std::io::stdout().write_all(page.as_bytes())?)
}
