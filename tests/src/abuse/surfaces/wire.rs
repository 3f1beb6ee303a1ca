//! What any HTTP listener has to bear from strangers, below what its routes are: bytes that are no HTTP, requests
//! in heaps, and connections in heaps. Each surface aims it at its own listener.

use std::net::SocketAddr;

use anyhow::Result;
use rand::Rng;
use testkit::raw_http::RawConnection;

use super::HOLD;
use crate::abuse::worker::AttackWorker;

/// Requests that are sent at once, without reading an answer.
const PIPELINED: usize = 256;
/// The beginning of a ClientHello: what a client of HTTPS sends to a listener without TLS.
const CLIENT_HELLO: &[u8] = &[
    0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
];
const GARBAGE_BYTES: usize = 8 << 10;

/// What is no HTTP: a client of HTTPS that took the listener for one with TLS, or random bytes. Neither may cost
/// more than the connection.
pub(super) async fn garbage(worker: &mut AttackWorker, to: SocketAddr) -> Result<()> {
    let mut bytes = vec![0; GARBAGE_BYTES];
    worker.rng.fill(&mut bytes[..]);
    if worker.step.is_multiple_of(2) {
        bytes[..CLIENT_HELLO.len()].copy_from_slice(CLIENT_HELLO);
    }
    let mut connection = RawConnection::open(to).await?;
    connection.send(&bytes).await?;
    connection.drain().await;
    worker.count_call();
    Ok(())
}

/// The answers to pipelined requests must not heap up in memory, and a client that sends many must not delay those
/// that send one.
pub(super) async fn pipelined(
    worker: &mut AttackWorker,
    to: SocketAddr,
    request: &[u8],
) -> Result<()> {
    let mut connection = RawConnection::open(to).await?;
    connection.send(&request.repeat(PIPELINED)).await?;
    for _ in 0..PIPELINED {
        let answer = connection.answer(0).await?;
        worker.count_answer(&answer);
        if !answer.stays_open {
            break;
        }
    }
    Ok(())
}

/// A client that asks whether to send its body, and does not send it, must not hold memory for it.
pub(super) async fn expects_to_continue(
    worker: &mut AttackWorker,
    to: SocketAddr,
    path: &str,
    token: Option<&str>,
) -> Result<()> {
    let headers = [("Expect", "100-continue")];
    let request = crate::abuse::requests::announce(path, token, &headers, 1 << 20);
    worker.hold(to, &request, HOLD).await
}

/// Methods that handlers were not written for. HEAD must not do what GET does, and every foreign page may send
/// OPTIONS.
pub(super) async fn odd_methods(
    worker: &mut AttackWorker,
    to: SocketAddr,
    paths: &[&str],
) -> Result<()> {
    let methods = ["HEAD", "OPTIONS", "TRACE", "QUERY"];
    let at = usize::try_from(worker.step)?;
    let (method, path) = (methods[at % methods.len()], paths[at % paths.len()]);
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://{at}.example\r\n\
         Access-Control-Request-Method: POST\r\n\r\n"
    );
    if method == "HEAD" {
        return worker.ask_head(to, request.as_bytes()).await;
    }
    worker.ask(to, request.as_bytes()).await?;
    Ok(())
}
