//! `POST /mcp/sse/broadcast` and `GET /mcp/sse/stats`, for operators: every edge is asked, and those that do not
//! answer in time are named.

use std::{collections::BTreeMap, sync::Arc};

use access::{Permission, TokenType};
use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use fanout::census::StreamCensus;
use mcp::{
    connection::BroadcastMessage,
    lenient,
    params::{self, InputError},
};
use ports::EdgeName;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::authenticate::Authenticated;
use crate::{
    broadcast_filter::BroadcastFilter, edge::Edge, error::EdgeError, limits::BROADCAST_BYTES,
    peers::EdgeAnswers,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BroadcastRequest<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(default, deserialize_with = "lenient::object")]
    filter: BroadcastFilter,
    /// Whether sessions that are away get it later.
    #[serde(default, deserialize_with = "lenient::optional_flag")]
    durable: Option<bool>,
}

/// Sends one message to every client that is connected to any edge and matches, and counts those that took it.
pub(super) async fn broadcast(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    request: Request,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Admin)?;
    edge.admit(&principal)?;
    let (parts, body) = request.into_parts();
    let body = super::answers::read(&edge, &principal, &parts, body).await?;
    let request: BroadcastRequest<'_> = params::parse_body(&body.bytes)?;
    let wrong = |reason: String| InputError::new("message", &reason);
    if request.message.get().len() > BROADCAST_BYTES {
        return Err(wrong(format!("must be at most {BROADCAST_BYTES} bytes")).into());
    }
    let now = edge.sessions.now().await?;
    BroadcastMessage::read(request.message, now).map_err(|error| wrong(error.to_string()))?;
    let keeps = request.durable.unwrap_or(false);
    let sending = edge
        .broadcasts
        .send(request.message, request.filter, now, keeps);
    let reports = sending.await?;
    let counted = |count: fn(&crate::broadcast::BroadcastReport) -> u64| {
        reports.answers.values().map(count).sum::<u64>()
    };
    let delivered = counted(|report| report.delivered);
    let sending = reports
        .answers
        .iter()
        .filter(|(_, report)| report.is_sending);
    let sending: Vec<_> = sending.map(|(edge, _)| edge.as_str()).collect();
    Ok(Json(json!({
        "success": true,
        "sentCount": delivered,
        "totalConnections": counted(|report| report.connections),
        "kept": keeps,
        "complete": reports.are_all() && sending.is_empty(),
        "missing": names(&reports),
        "stillSending": sending,
    }))
    .into_response())
}

fn names<T>(answers: &EdgeAnswers<T>) -> Vec<&str> {
    answers.missing.iter().map(EdgeName::as_str).collect()
}

/// The numbers of streams on all edges.
pub(super) async fn stats(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Admin)?;
    edge.admit(&principal)?;
    let counted = edge.broadcasts.census().await;
    let mut sum = StreamCensus::default();
    counted.answers.values().for_each(|census| sum.add(census));
    let types = TokenType::ALL.map(|name| (name.as_str(), 0));
    let mut by_type = BTreeMap::from(types);
    for (name, count) in &sum.by_token_type {
        *by_type.entry(name).or_default() += count;
    }
    let of_edges = counted
        .answers
        .iter()
        .map(|(edge, census)| json!({ "edge": edge.as_str(), "totalConnections": census.total }));
    let time = |at: Option<model::Timestamp>| at.map(|at| at.to_string());
    Ok(Json(json!({
        "totalConnections": sum.total,
        "connectionsByType": by_type,
        "connectionsByKind": sum.by_kind,
        "oldestConnection": time(sum.oldest),
        "newestConnection": time(sum.newest),
        "answeredBy": edge.broadcasts.edge(),
        "edges": of_edges.collect::<Vec<Value>>(),
        "complete": counted.are_all(),
        "missing": names(&counted),
    }))
    .into_response())
}
