//! What the mirror costs: writes and memory of its resources, and reads of them.
//! `cargo run --release -p github-sync --example mirror_costs`.

mod reads;
mod world;
mod writes;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    writes::run().await?;
    reads::run().await
}
