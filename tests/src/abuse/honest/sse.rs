//! Event streams with positions: of events, of a session, and of the stateless era. They resume after the last
//! id, but for the last.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Result, ensure};
use model::PrincipalId;
use testkit::mcp_client::HANDSHAKE_VERSION;

use super::{
    account::HonestKind,
    connection::{HonestConnection, ask},
    shared::{HonestAccount, HonestShared},
};
use crate::{
    abuse::{
        requests::{open_session, post, tool},
        target::{HONEST, HONEST_TOKEN},
    },
    soak::{
        client::{FrameEffect, SoakClient, SoakStreamKind},
        world::SoakFilter,
    },
};

/// Holds one connection until it ends. `session` is the session of the connection before.
pub(super) async fn hold(
    shared: &HonestShared,
    (at, edge): (usize, SocketAddr),
    kind: HonestKind,
    filter: SoakFilter,
    session: &mut Option<String>,
) -> Result<()> {
    if session.is_none() {
        let stream = match kind {
            HonestKind::Session => SoakStreamKind::Session(subscribed(edge, filter).await?),
            HonestKind::Listen => SoakStreamKind::Listen,
            _ => SoakStreamKind::Events,
        };
        let principal = PrincipalId::new(HONEST)?;
        let name = at as u64;
        *session = match &stream {
            SoakStreamKind::Session(id) => Some(id.clone()),
            _ => Some(String::new()),
        };
        let client = SoakClient::with_token(&principal, HONEST_TOKEN, name, stream, filter);
        *shared.account(at) = HonestAccount::Placed(Box::new(client));
    }
    let request = match &*shared.account(at) {
        HonestAccount::Placed(client) => client.request(),
        _ => unreachable!("it was put there above"),
    };
    let mut connection = HonestConnection::open(edge, request.as_bytes()).await?;
    let streaming = connection.frames(|frame| {
        let now = Instant::now();
        let mut account = shared.account(at);
        let HonestAccount::Placed(client) = &mut *account else {
            return;
        };
        let effect = client.record(frame, &mut shared.ledger());
        match effect {
            FrameEffect::Opening => shared.set_open(at, true),
            FrameEffect::Event(mark) => shared.arrived(mark, now),
            FrameEffect::Update => {
                shared
                    .updates
                    .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            FrameEffect::Other => {}
        }
    });
    streaming.await
}

/// A session that is subscribed to the wanted events.
async fn subscribed(edge: SocketAddr, filter: SoakFilter) -> Result<String> {
    let session = open_session(edge, HONEST_TOKEN, HANDSHAKE_VERSION).await?;
    let call = tool(2, "subscribe_to_events", &filter.arguments()).to_string();
    let headers = [("Mcp-Session-Id", session.as_str())];
    let (status, body) = ask(edge, &post("/mcp", Some(HONEST_TOKEN), &headers, &call)).await?;
    ensure!(
        status == 200 && body.contains("subscriptionId"),
        "the subscription got {status}: {body}"
    );
    Ok(session)
}
