//! The attackers, by surface and side. A step that holds something back or does not read stays for longer than
//! the product may wait for it.

mod admin;
mod bus;
mod http2;
mod http_sse;
mod ingest;
mod lines;
mod listens;
mod mcp;
mod messages;
mod paths;
mod rest;
mod streams;
mod sync;
mod wire;

use std::{fmt, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use testkit::raw_http::RawConnection;
use tokio::time::timeout;

use super::{requests::KEPT_BYTES, target::AbuseTarget, worker::AttackStep};

/// Time that an attacker holds a connection: longer than any bound of the product on requests.
const HOLD: Duration = Duration::from_secs(60);

/// A surface of the product that others can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbuseSurface {
    /// `POST /webhooks/github` of ingest.
    Ingest,
    /// `POST /mcp`.
    Mcp,
    /// `GET /mcp` and `GET /events/stream`.
    Streams,
    /// `POST /mcp/stream`.
    Lines,
    /// `GET /events/recent` and `GET /events/replay/{timestamp}`.
    Rest,
    /// `GET /sse` and `POST /messages`.
    HttpSse,
    /// `subscriptions/listen` and tasks of 2026-07-28.
    Listens,
    /// `GET /mcp/sse`, `POST /mcp/sse/send` and `POST /mcp/sse/broadcast`.
    Messages,
    /// Paths that do not exist, and those of OAuth.
    Paths,
    /// The gRPC listener of sync.
    Sync,
    /// The admin listeners.
    Admin,
    /// The subjects of NATS.
    Bus,
}

/// The relation of an attacker to the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttackerSide {
    /// Has a token, or the secret of a webhook.
    Permitted,
    /// Has neither.
    Stranger,
}

fn word(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

impl fmt::Display for AbuseSurface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&word(self))
    }
}

impl fmt::Display for AttackerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&word(self))
    }
}

/// Attackers of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttackPlan {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is to the product.
    pub(crate) side: AttackerSide,
    /// Number of attackers, each with one connection at a time.
    pub(crate) workers: usize,
    /// One step.
    pub(crate) step: AttackStep,
}

impl AttackPlan {
    const fn permitted(name: &'static str, workers: usize, step: AttackStep) -> Self {
        Self {
            name,
            side: AttackerSide::Permitted,
            workers,
            step,
        }
    }

    const fn stranger(name: &'static str, workers: usize, step: AttackStep) -> Self {
        Self {
            side: AttackerSide::Stranger,
            ..Self::permitted(name, workers, step)
        }
    }
}

/// Puts `count` large events into the log, for the attackers who read.
///
/// # Errors
/// Ingest refuses one.
pub(crate) async fn send_large_events(target: &AbuseTarget, count: u64) -> Result<()> {
    let mut connection = RawConnection::open(target.ingests[0]).await?;
    for round in 0..count {
        let request = ingest::large_event(target, round);
        let asking = timeout(HOLD, connection.ask(&request, KEPT_BYTES)).await;
        let answer = asking.context("a large event got no answer")??;
        let (status, body) = (answer.status, String::from_utf8_lossy(&answer.body));
        ensure!(status == 202, "a large event got {status}: {body}");
    }
    Ok(())
}

impl AbuseSurface {
    /// The attackers of both sides. Those of one side attack together.
    pub(crate) fn plans(self) -> &'static [AttackPlan] {
        match self {
            Self::Ingest => ingest::PLANS,
            Self::Mcp => mcp::PLANS,
            Self::Streams => streams::PLANS,
            Self::Lines => lines::PLANS,
            Self::Rest => rest::PLANS,
            Self::HttpSse => http_sse::PLANS,
            Self::Listens => listens::PLANS,
            Self::Messages => messages::PLANS,
            Self::Paths => paths::PLANS,
            Self::Sync => sync::PLANS,
            Self::Admin => admin::PLANS,
            Self::Bus => bus::PLANS,
        }
    }

    /// Whether only a cluster has it.
    pub(crate) fn needs_cluster(self) -> bool {
        self == Self::Bus
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn attackers_of_one_surface_and_side_have_names_of_their_own() {
        for surface in AbuseSurface::value_variants() {
            let plans = surface.plans();
            let names = plans
                .iter()
                .map(|plan| (plan.side == AttackerSide::Stranger, plan.name));
            let names: BTreeSet<_> = names.collect();
            assert!(!plans.is_empty() && names.len() == plans.len(), "{surface}");
        }
    }
}
