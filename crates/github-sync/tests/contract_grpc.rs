//! The contract suite on the reader over gRPC.

mod setup;

use std::{net::Ipv4Addr, process::ExitCode};

use contract::{Abilities, Harness, Port, ResourceReaderFixture};
use service_kit::lifecycle::OnExit;
use tokio::net::TcpListener;

struct OverGrpc;

#[contract::async_trait]
impl Harness for OverGrpc {
    fn backend(&self) -> &'static str {
        "sync-grpc"
    }

    fn abilities(&self, port: Port) -> Option<Abilities> {
        (port == Port::ResourceReader).then(Abilities::default)
    }

    async fn resource_reader(&self) -> anyhow::Result<ResourceReaderFixture> {
        let (log, running, lifecycle) = setup::start().await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let served = running.clone();
        lifecycle.spawn("grpc", OnExit::MayFinish, async move {
            served
                .serve_grpc(listener, 100)
                .await
                .expect("the server runs");
        });
        Ok(ResourceReaderFixture {
            reader: github_sync::client::connect(
                &endpoint,
                setup::DEADLINE,
                role_keys::RoleTrust::none(),
            )?,
            finder: github_sync::client::connect_finder(
                &endpoint,
                setup::DEADLINE,
                role_keys::RoleTrust::none(),
            )?,
            mirror: github_sync::client::connect_mirror(
                &endpoint,
                setup::DEADLINE,
                role_keys::RoleTrust::none(),
            )?,
            log,
            deadline: setup::DEADLINE,
            guard: Box::new((running, lifecycle)),
        })
    }
}

fn main() -> ExitCode {
    contract::run(OverGrpc)
}
