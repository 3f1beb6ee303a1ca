//! What an attacker can do, and the count of the answers.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use testkit::raw_http::{RawAnswer, RawConnection};
use tokio::time::timeout;

use super::{
    requests::{KEPT_BYTES, open_session},
    target::{AbuseTarget, READER_TOKEN},
};

/// Time that an attacker waits for an answer: longer than any bound of the product on requests.
const PATIENCE: Duration = Duration::from_secs(70);
/// Pause of an attacker who got no connection or no answer, or could not hold one.
const PAUSE: Duration = Duration::from_millis(100);
/// Receive buffer that the kernel keeps for a client that does not read.
pub(crate) const NARROW_BYTES: u32 = 4096;

/// Answers to the attackers of one kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct AttackTally {
    /// Number of requests that were answered, and of connections that were held.
    pub(crate) attempts: u64,
    /// Number of answers, by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Number of connections that the server ended without an answer, or refused.
    pub(crate) cut: u64,
    /// Number of connections that were open for as long as the attacker meant them to be, or until the end.
    pub(crate) held: u64,
    /// Number of calls that only a role may make, and that were answered.
    pub(crate) believed: u64,
    /// Number of JSON-RPC errors, by code, and of tools' errors as `0`, in answers with 200.
    pub(crate) rpc_errors: BTreeMap<i64, u64>,
}

impl AttackTally {
    /// In words, for an attack of some seconds.
    pub(crate) fn words(&self, seconds: u64) -> String {
        let per_second = self.attempts as f64 / seconds.max(1) as f64;
        let mut text = format!("{per_second:.1}/s");
        for (status, count) in &self.statuses {
            text += &format!(", {count} × {status}");
        }
        for (what, count) in [
            ("cut", self.cut),
            ("held", self.held),
            ("BELIEVED", self.believed),
        ] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        if !self.rpc_errors.is_empty() {
            text += &format!(", errors {:?}", self.rpc_errors);
        }
        text
    }
}

/// One step of an attack; it is repeated until the time is over.
pub(crate) type AttackStep =
    for<'a> fn(&'a mut AttackWorker) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Counts a connection as held when it is dropped, at the end of the attack or before.
#[derive(Debug)]
pub(crate) struct HeldConnection(Option<Arc<Mutex<AttackTally>>>);

impl HeldConnection {
    /// The server has ended the connection.
    pub(crate) fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for HeldConnection {
    fn drop(&mut self) {
        if let Some(tally) = &self.0 {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.attempts += 1;
            tally.held += 1;
        }
    }
}

/// One attacker.
#[derive(Debug)]
pub(crate) struct AttackWorker {
    /// The system under attack.
    pub(crate) target: Arc<AbuseTarget>,
    /// Its number among those of its kind, from 0.
    pub(crate) number: usize,
    /// Number of steps so far.
    pub(crate) step: u64,
    /// For what it chooses.
    pub(crate) rng: StdRng,
    /// What it remembers from step to step: a session, a cursor, a body.
    pub(crate) memory: Option<String>,
    /// A body that was expensive to make.
    pub(crate) body: Option<(Vec<u8>, String)>,
    kept: Option<(SocketAddr, RawConnection)>,
    tally: Arc<Mutex<AttackTally>>,
}

impl AttackWorker {
    /// An attacker with nothing in its hands.
    pub(crate) fn new(
        target: Arc<AbuseTarget>,
        number: usize,
        seed: u64,
        tally: Arc<Mutex<AttackTally>>,
    ) -> Self {
        Self {
            target,
            number,
            step: 0,
            rng: StdRng::seed_from_u64(seed.wrapping_add(number as u64)),
            memory: None,
            body: None,
            kept: None,
            tally,
        }
    }

    /// Attacks until it is aborted.
    pub(crate) async fn run(mut self, attack: AttackStep) {
        loop {
            if attack(&mut self).await.is_err() {
                self.kept = None;
                self.count(|tally| tally.cut += 1);
                tokio::time::sleep(PAUSE).await;
            }
            self.step += 1;
        }
    }

    fn count(&self, change: impl FnOnce(&mut AttackTally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts an answer.
    pub(crate) fn count_answer(&self, answer: &RawAnswer) {
        let error = rpc_error(&answer.body).filter(|_| answer.status == 200);
        self.count(|tally| {
            tally.attempts += 1;
            *tally.statuses.entry(answer.status).or_default() += 1;
            if let Some(code) = error {
                *tally.rpc_errors.entry(code).or_default() += 1;
            }
        });
    }

    /// The edge that it attacks.
    pub(crate) fn edge(&self) -> SocketAddr {
        self.target.edges[self.number % self.target.edges.len()]
    }

    /// The ingest that it attacks.
    pub(crate) fn ingest(&self) -> SocketAddr {
        self.target.ingests[self.number % self.target.ingests.len()]
    }

    /// Sends a request and reads the whole answer; the connection is kept for the next one.
    pub(crate) async fn ask(&mut self, to: SocketAddr, request: &[u8]) -> Result<RawAnswer> {
        self.ask_keeping(to, request, KEPT_BYTES).await
    }

    /// As [`Self::ask`], for an answer of which more is needed.
    pub(crate) async fn ask_keeping(
        &mut self,
        to: SocketAddr,
        request: &[u8],
        kept_bytes: usize,
    ) -> Result<RawAnswer> {
        let mut connection = match self.kept.take() {
            Some((at, connection)) if at == to => connection,
            _ => RawConnection::open(to).await?,
        };
        let answer = timeout(PATIENCE, connection.ask(request, kept_bytes)).await;
        let answer = answer.context("no answer in time")??;
        self.count_answer(&answer);
        if answer.stays_open && !answer.is_stream {
            self.kept = Some((to, connection));
        }
        Ok(answer)
    }

    /// Sends a HEAD request, whose answer has no body, on a connection of its own.
    pub(crate) async fn ask_head(&mut self, to: SocketAddr, request: &[u8]) -> Result<()> {
        let mut connection = RawConnection::open(to).await?;
        connection.send(request).await?;
        let answer = timeout(PATIENCE, connection.head()).await;
        self.count_answer(&answer.context("no answer in time")??);
        Ok(())
    }

    /// Sends bytes on a new connection and stays connected for some time, or until the server has answered or
    /// ended the connection.
    pub(crate) async fn hold(
        &mut self,
        to: SocketAddr,
        bytes: &[u8],
        lasting: Duration,
    ) -> Result<()> {
        let mut connection = RawConnection::open(to).await?;
        let held = self.holding();
        match timeout(lasting, connection.ask(bytes, KEPT_BYTES)).await {
            Ok(Ok(answer)) => {
                held.release();
                self.count_answer(&answer);
                // Its connection is given up anyway; without the pause it would only keep its own machine busy.
                tokio::time::sleep(PAUSE).await;
            }
            Ok(Err(error)) => {
                held.release();
                return Err(error.into());
            }
            Err(_) => drop(held),
        }
        Ok(())
    }

    /// Opens a stream and reads it for some time.
    pub(crate) async fn stay(
        &mut self,
        to: SocketAddr,
        request: &[u8],
        lasting: Duration,
    ) -> Result<()> {
        let mut connection = RawConnection::open(to).await?;
        let answer = connection.ask(request, KEPT_BYTES).await?;
        self.count_answer(&answer);
        if answer.is_stream {
            let held = self.holding();
            if timeout(lasting, connection.drain()).await.is_ok() {
                held.release();
            }
        }
        Ok(())
    }

    /// Opens a stream with a small window, which it does not read for some time.
    pub(crate) async fn leave_unread(
        &mut self,
        to: SocketAddr,
        request: &[u8],
        lasting: Duration,
    ) -> Result<()> {
        let mut connection = RawConnection::open_narrow(to, NARROW_BYTES).await?;
        connection.send(request).await?;
        let _held = self.holding();
        tokio::time::sleep(lasting).await;
        Ok(())
    }

    /// A connection that is held from now on.
    pub(crate) fn holding(&self) -> HeldConnection {
        HeldConnection(Some(Arc::clone(&self.tally)))
    }

    /// Counts a call in another protocol than HTTP, which was refused or has no answer.
    pub(crate) fn count_call(&self) {
        self.count(|tally| tally.attempts += 1);
    }

    /// Counts a call that only a role may make, and that was answered.
    pub(crate) fn count_believed(&self) {
        self.count(|tally| {
            tally.attempts += 1;
            tally.believed += 1;
        });
    }

    /// Its session, which it opens when it has none.
    pub(crate) async fn session(&mut self, version: &str) -> Result<String> {
        if let Some(session) = &self.memory {
            return Ok(session.clone());
        }
        let session = open_session(self.edge(), READER_TOKEN, version).await?;
        self.memory = Some(session.clone());
        Ok(session)
    }
}

/// The code of the JSON-RPC error in an answer; 0 for the error of a tool.
fn rpc_error(body: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(body).ok()?;
    if let Some((_, error)) = text.split_once("\"error\":{\"code\":") {
        let digits = error.find([',', '}']).unwrap_or(error.len());
        return error[..digits].parse().ok();
    }
    text.contains("\"isError\":true").then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_answers_are_told_apart() {
        let code = |text: &str| rpc_error(text.as_bytes());
        assert_eq!(
            code(r#"{"id":1,"error":{"code":-32602,"message":""}}"#),
            Some(-32602)
        );
        assert_eq!(code(r#"{"result":{"isError":true}}"#), Some(0));
        assert_eq!(code(r#"{"result":{"content":[]}}"#), None);
    }
}
