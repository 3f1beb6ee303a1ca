//! `POST`, `GET` and `DELETE /events/subscribe…`: subscriptions that live beyond their connection.

use std::sync::Arc;

use access::{Permission, Principal};
use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fanout::hub::StreamStart;
use http::{HeaderValue, StatusCode, header};
use mcp::params::InputError;
use model::{CursorScope, FilterSet, LogPosition, SubscriptionId, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};
use subscriptions::{
    ClientId, ClientKey, SubscriptionLife, SubscriptionTransport, VersionedSubscription,
    limits::MAX_PAGE,
};

use super::{
    answers,
    authenticate::Authenticated,
    subscription_input::{GivenEnd, RenewRequest, SubscribeRequest, read},
};
use crate::{
    answer_budget::AnswerBytes,
    edge::Edge,
    error::EdgeError,
    parameters::{SubscriptionListParameters, TIME_FORMAT},
    subscriptions::NewSubscription,
};

/// The note on a subscription whose id does not say which client's it is.
const OF_EARLIER_BUILD: &str = "An earlier version made this subscription, so streams of its clientId do not have its \
                                events: follow it with subscription={id}, or delete it and subscribe again.";

/// A subscription as its owner reads it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownSubscription<'s> {
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    subscription_id: &'s SubscriptionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'s ClientId>,
    transport: SubscriptionTransport,
    filters: &'s FilterSet,
    created_at: Timestamp,
    /// When it ends if it is not used.
    expires_at: Timestamp,
    /// Whether use puts the end off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kept_while_used: bool,
    /// Its next stream begins after this position.
    cursor: String,
    /// Whether events after `since` are no longer kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: &'s Map<String, Value>,
    /// What to know of the filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl<'s> ShownSubscription<'s> {
    fn of(
        (edge, principal): (&Edge, &Principal),
        found: &'s VersionedSubscription,
    ) -> Result<Self, EdgeError> {
        let subscription = &found.subscription;
        let reader = edge.hub.reader(CursorScope::events(&subscription.owner))?;
        let stored = subscription.cursor;
        let position = edge.hub.timeline().resolve(stored);
        let tag = stored.tag.filter(|_| position == stored.sequence);
        // Its names mean what they meant when it was made.
        let named_at = edge.hub.timeline().resolve(subscription.names_position());
        let names = edge.hub.names().at(named_at);
        let mut notes = subscription.filters.notes();
        notes.extend(names.notes(&subscription.filters, &principal.sees));
        if !subscription.is_found_by_client() {
            notes.push(OF_EARLIER_BUILD.to_owned());
        }
        Ok(Self {
            success: None,
            subscription_id: &subscription.id,
            client_id: subscription.client.as_ref(),
            transport: subscription.transport,
            filters: &subscription.filters,
            created_at: subscription.created_at,
            expires_at: found.expires_at,
            kept_while_used: subscription.life == SubscriptionLife::WhileUsed,
            cursor: edge.hub.cursor_at(&reader, position, tag).to_string(),
            truncated: false,
            metadata: &subscription.metadata,
            notes,
        })
    }
}

/// Makes a subscription: 201, with its id and its address.
pub(super) async fn create(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    request: Request,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    edge.admit(&principal)?;
    let request: SubscribeRequest = read(&edge, &principal, request).await?;
    let (client, transport) = (request.client()?, request.transport(&edge.base_path)?);
    let (filters, metadata) = (
        request.filters.read(edge.filter_defaults)?,
        request.metadata()?,
    );
    let life = request
        .expires_at
        .life(edge.subscriptions.now().await?, "leave it out")?;
    edge.hub
        .check_match_cost(&principal.id, filters.cost())
        .map_err(fanout::HubError::TooManyFilters)?;
    let named_at = edge.hub.started_position()?;
    let (since, truncated) = since(&edge, &principal, request.since()?, named_at).await?;
    let id = edge.subscriptions.new_id(&principal.id, client.as_ref());
    let new = NewSubscription {
        owner: principal.id.clone(),
        client,
        filters,
        transport,
        since,
        named_at,
        life,
        session: None,
        metadata,
    };
    let made = edge.subscriptions.create(id, new).await?;
    let shown = ShownSubscription {
        success: Some(true),
        truncated,
        ..ShownSubscription::of((&edge, &principal), &made)?
    };
    let mut response = (StatusCode::CREATED, Json(&shown)).into_response();
    let address = format!(
        "{}/events/subscribe/{}",
        edge.base_path, shown.subscription_id
    );
    if let Ok(address) = HeaderValue::from_str(&address) {
        response.headers_mut().insert(header::LOCATION, address);
    }
    Ok(response)
}

/// Where a subscription begins, and whether events that it asks for are gone: after a cursor, at a time, or with
/// the next event.
async fn since(
    edge: &Edge,
    principal: &Principal,
    given: Option<String>,
    here: LogPosition,
) -> Result<(LogPosition, bool), EdgeError> {
    let Some(text) = given.filter(|text| !text.is_empty()) else {
        return Ok((here, false));
    };
    let scope = CursorScope::events(&principal.id);
    let opened = edge.hub.open_cursor(&text, scope)?;
    let (begin, cursor) = match (opened, Timestamp::from_input(&text)) {
        (Ok(cursor), _) => (StreamStart::After(cursor), Some(cursor)),
        (Err(_), Some(time)) => (StreamStart::Since(time), None),
        (Err(_), None) => {
            let reason = format!("is neither a cursor of this server nor a time: {TIME_FORMAT}");
            return Err(InputError::new("since", &reason).into());
        }
    };
    let (sequence, gone) = edge.hub.resolve_start(begin, &principal.id).await?;
    let truncated = gone || edge.hub.is_trimmed_after(sequence).await?;
    let since = LogPosition {
        sequence,
        // The tag is that of the entry which the cursor names.
        tag: cursor
            .filter(|at| at.sequence == sequence)
            .and_then(|at| at.tag),
        ..here
    };
    Ok((since, truncated))
}

/// The subscriptions of the caller, in pages.
pub(super) async fn list(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    edge.admit(&principal)?;
    let asked = SubscriptionListParameters::read(pairs, MAX_PAGE)?;
    let after = asked.cursor.as_deref().map(page_end).transpose()?;
    let page = edge
        .subscriptions
        .page(&principal.id, after.as_ref(), asked.limit);
    let page = page.await?;
    let shown = page.subscriptions.iter();
    let shown = shown.map(|found| ShownSubscription::of((&edge, &principal), found));
    let shown: Vec<_> = shown.collect::<Result<_, _>>()?;
    let mut list = json!({ "subscriptions": shown, "count": shown.len() });
    if let Some(next) = &page.next {
        list["nextCursor"] = next.as_str().into();
    }
    if page.unreadable > 0 {
        list["unreadable"] = page.unreadable.into();
    }
    within_budget(&edge, &principal, list.to_string()).await
}

/// One subscription of the caller.
pub(super) async fn show(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    edge.admit(&principal)?;
    let found = edge.subscriptions.load(&principal.id, &id_of(id)?).await?;
    shown(&edge, &principal, &found, None).await
}

/// Sets the end of a subscription anew; null or nothing keeps it while it is used.
pub(super) async fn renew(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    edge.admit(&principal)?;
    let id = id_of(id)?;
    let request: RenewRequest = read(&edge, &principal, request).await?;
    if request.expires_at == GivenEnd::Absent {
        let reason =
            "required: the new end, or null for a subscription that lives while it is used";
        return Err(InputError::new("expiresAt", reason).into());
    }
    // A subscription of another client does not exist, whatever the end.
    edge.subscriptions.load(&principal.id, &id).await?;
    let now = edge.subscriptions.now().await?;
    let life = request.expires_at.life(now, "use null")?;
    let of = (&principal.id, &id);
    let renewing = edge
        .subscriptions
        .renew_with_session(&edge.sessions, of, life);
    let renewed = renewing.await?;
    shown(&edge, &principal, &renewed, Some(true)).await
}

/// Deletes a subscription of the caller; its streams end.
pub(super) async fn delete(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    edge.admit(&principal)?;
    let id = id_of(id)?;
    let ended = edge
        .subscriptions
        .end_with_session((&edge.sessions, None), &principal.id, &id);
    match ended.await? {
        true => Ok(Json(json!({ "success": true })).into_response()),
        false => Err(EdgeError::NoSuchSubscription),
    }
}

/// The last subscription of the page before, which its `nextCursor` names.
fn page_end(cursor: &str) -> Result<SubscriptionId, InputError> {
    let id = SubscriptionId::new(cursor).ok();
    let refused = || {
        InputError::new(
            "cursor",
            "is no nextCursor of this list; use one, or leave it out",
        )
    };
    id.filter(ClientKey::is_issued).ok_or_else(refused)
}

/// The id in the path. What is no id names no subscription.
fn id_of(path: Result<Path<String>, PathRejection>) -> Result<SubscriptionId, EdgeError> {
    let text = path.map(|Path(text)| text).unwrap_or_default();
    SubscriptionId::new(&text).map_err(|_| EdgeError::NoSuchSubscription)
}

async fn shown(
    edge: &Edge,
    principal: &Principal,
    found: &VersionedSubscription,
    success: Option<bool>,
) -> Result<Response, EdgeError> {
    let shown = ShownSubscription {
        success,
        ..ShownSubscription::of((edge, principal), found)?
    };
    let json = serde_json::to_string(&shown).expect("strings, numbers and JSON");
    within_budget(edge, principal, json).await
}

async fn within_budget(
    edge: &Edge,
    principal: &Principal,
    json: String,
) -> Result<Response, EdgeError> {
    let permit = edge.answers.admit(&principal.id, json.len()).await?;
    Ok(answers::json(AnswerBytes::new(Bytes::from(json), permit)))
}
