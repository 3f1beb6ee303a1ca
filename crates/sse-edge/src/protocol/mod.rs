//! What MCP methods answer, in every revision.
//!
//! `api` has turned HTTP into a checked request; here it becomes a JSON-RPC message. What both eras share
//! is here, what only one has is in [`handshake`] and [`listen`].

mod call_error;
mod caller;
mod completion;
pub(crate) mod handshake;
pub(crate) mod listen;
pub(crate) mod outlet;
pub(crate) mod profile;
pub(crate) mod resources;

use bytes::Bytes;
use mcp::{
    ErrorCode, Refusal, RequestId, RpcError,
    answer::CacheHint,
    method,
    page::{ListParams, paginate},
    prompt, resource,
    stateless::discover_result,
    tool,
};
use model::Classified;
use serde_json::value::RawValue;
use tracing::warn;

pub(crate) use call_error::CallError;
pub(crate) use caller::Caller;

use crate::{error::EdgeError, tasks};

/// Entries on one page of a list.
const PAGE_ITEMS: usize = 100;
/// How long lists may be kept: they change with a new version of the server only.
const LIST_TTL_MILLIS: u64 = 300_000;
/// Resources change with every event: always ask again.
const RESOURCE_TTL_MILLIS: u64 = 0;

/// Answers a method that both eras have (and `server/discover`).
///
/// # Errors
/// The JSON-RPC error to answer with, and its HTTP status where no stream has begun.
pub(crate) async fn call(
    caller: &Caller,
    id: &RequestId,
    name: &str,
    params: Option<&RawValue>,
) -> Result<Bytes, Refusal> {
    let profile = &caller.edge.profile;
    match name {
        method::DISCOVER => {
            let found = discover_result(caller.version, profile);
            let found = found.with_extensions(&caller.edge.extensions);
            Ok(caller.cached(id, &found, CacheHint::public(LIST_TTL_MILLIS)))
        }
        method::TOOLS_LIST => {
            let tools = caller.edge.tools.descriptors();
            let cursor = ListParams::parse(params)?.cursor;
            let page = paginate("tools", tools, cursor.as_deref(), PAGE_ITEMS, |tool| {
                tool.name()
            })?;
            let list = tool::list_result(caller.version, page.items, page.next_cursor.as_deref());
            Ok(caller.cached(id, &list, CacheHint::public(LIST_TTL_MILLIS)))
        }
        method::TASKS_GET => tasks::get(caller, id, params).await,
        method::TASKS_UPDATE => tasks::update(caller, id, params).await,
        method::TASKS_CANCEL => tasks::cancel(caller, id, params).await,
        method::TOOLS_CALL => caller.edge.tools.call(caller, id, params).await,
        method::RESOURCES_LIST => {
            let all = resources::descriptors();
            let cursor = ListParams::parse(params)?.cursor;
            let page = paginate("resources", all, cursor.as_deref(), PAGE_ITEMS, |r| &r.uri)?;
            let list =
                resource::list_result(caller.version, page.items, page.next_cursor.as_deref());
            Ok(caller.cached(id, &list, CacheHint::public(LIST_TTL_MILLIS)))
        }
        method::RESOURCES_TEMPLATES_LIST => {
            let all = resources::templates();
            let cursor = ListParams::parse(params)?.cursor;
            let page = paginate("templates", all, cursor.as_deref(), PAGE_ITEMS, |t| {
                &t.uri_template
            })?;
            let list =
                resource::templates_result(caller.version, page.items, page.next_cursor.as_deref());
            Ok(caller.cached(id, &list, CacheHint::public(LIST_TTL_MILLIS)))
        }
        method::RESOURCES_READ => match resources::read(caller, params).await {
            Ok(read) => Ok(caller.cached(id, &read, CacheHint::private(RESOURCE_TTL_MILLIS))),
            Err(error) => error.answer(caller, id),
        },
        method::PROMPTS_LIST => {
            let prompts = caller.edge.prompts.descriptors();
            let cursor = ListParams::parse(params)?.cursor;
            let page = paginate(
                "prompts",
                prompts,
                cursor.as_deref(),
                PAGE_ITEMS,
                |prompt| prompt.name,
            )?;
            let list = prompt::list_result(caller.version, page.items, page.next_cursor.as_deref());
            Ok(caller.cached(id, &list, CacheHint::public(LIST_TTL_MILLIS)))
        }
        method::PROMPTS_GET => match caller.edge.prompts.get(caller, params).await {
            Ok(prompt) => Ok(caller.answer(id, &prompt.for_version(caller.version))),
            Err(error) => error.answer(caller, id),
        },
        method::COMPLETION => match completion::complete(caller, params).await {
            Ok(completion) => Ok(caller.answer(id, &completion)),
            Err(error) => error.answer(caller, id),
        },
        other => Err(RpcError::method_not_found(other).into()),
    }
}

/// An error of ours as JSON-RPC: the caller's mistakes in full, our troubles in a sentence.
pub(crate) fn rpc_error(error: &EdgeError) -> RpcError {
    match error {
        EdgeError::Limited(limited) => {
            let data = serde_json::json!({
                "code": error.code(),
                "class": limited.class.as_str(),
                "retryAfterMillis": limited.retry_after_millis,
            });
            return RpcError::new(ErrorCode::Internal, limited.to_string()).with_data(data);
        }
        EdgeError::Denied(denied) => {
            let data = serde_json::json!({ "code": denied.code() });
            return RpcError::new(ErrorCode::InvalidRequest, denied.to_string()).with_data(data);
        }
        _ => {}
    }
    if error.class() == model::ErrorClass::Caller {
        return RpcError::invalid_params(error.public_text());
    }
    let source = std::error::Error::source(error).map(ToString::to_string);
    warn!(%error, source, code = error.code(), "a request failed");
    let data = serde_json::json!({ "code": error.code(), "detail": error.public_text() });
    RpcError::internal().with_data(data)
}
