//! A session on one connection of lines (`POST /mcp/stream`), which ends with it.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Result, bail, ensure};
use testkit::{
    mcp_client::HANDSHAKE_VERSION,
    wire::{AnswerLines, AnswerPiece, WireError},
};

use super::{
    account::UnplacedAccount,
    connection::HonestConnection,
    shared::{HonestAccount, HonestShared},
};
use crate::{
    abuse::{
        requests::{initialize, initialized, tool},
        target::HONEST_TOKEN,
    },
    soak::world::{Mark, SoakFilter},
};

/// Longest line; the events of the soak are shorter.
const MAX_LINE_BYTES: usize = 256 * 1024;
/// The id of the subscription's request.
const SUBSCRIBE: u64 = 2;

/// Holds one connection until it ends.
pub(super) async fn hold(
    shared: &HonestShared,
    at: usize,
    edge: SocketAddr,
    filter: SoakFilter,
) -> Result<()> {
    *shared.account(at) = HonestAccount::Unplaced(UnplacedAccount::new(at, filter));
    let mut connection = HonestConnection::open(edge, request(filter).as_bytes()).await?;
    let mut lines = AnswerLines::new(MAX_LINE_BYTES);
    loop {
        let bytes = connection.next().await?;
        ensure!(!bytes.is_empty(), "the connection was closed");
        let now = Instant::now();
        lines.feed(bytes, &mut |piece| match piece {
            AnswerPiece::Head { head, .. } if head.starts_with("http/1.1 200") => Ok(()),
            AnswerPiece::Head { head, .. } => Err(LinesError::Refused(head.to_owned())),
            AnswerPiece::Line(line) => take(shared, at, line, now),
        })?;
        if lines.has_ended() {
            bail!("the answer was ended");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum LinesError {
    #[error("refused: {0}")]
    Refused(String),
    #[error("the subscription failed: {0}")]
    NotSubscribed(String),
    #[error(transparent)]
    Wire(#[from] WireError),
}

fn take(shared: &HonestShared, at: usize, line: &[u8], now: Instant) -> Result<(), LinesError> {
    let mut account = shared.account(at);
    let HonestAccount::Unplaced(account) = &mut *account else {
        return Ok(());
    };
    if let Some(mark) = Mark::find(line) {
        account.record(mark, &shared.books, &mut shared.ledger().faults);
        shared.arrived(mark, now);
    } else if !account.is_confirmed() {
        let text = String::from_utf8_lossy(line);
        if text.contains("subscriptionId") {
            account.confirm(&shared.books);
            shared.set_open(at, true);
        } else if text.contains("\"error\"") || text.contains("\"isError\":true") {
            return Err(LinesError::NotSubscribed(text.into_owned()));
        }
    }
    Ok(())
}

/// The head, and three lines as chunks of a body that does not end.
fn request(filter: SoakFilter) -> String {
    let lines = [
        initialize(HANDSHAKE_VERSION),
        initialized(),
        tool(SUBSCRIBE, "subscribe_to_events", &filter.arguments()),
    ];
    let mut text = format!(
        "POST /mcp/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {HONEST_TOKEN}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for line in lines {
        let line = format!("{line}\n");
        text += &format!("{:x}\r\n{line}\r\n", line.len());
    }
    text
}
