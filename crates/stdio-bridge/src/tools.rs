//! Stateless era: the arguments that a tool requires as headers, looked up on demand.
//!
//! A client of the stateless era lists the tools before it calls one and mirrors the arguments that
//! their schemas mark (MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters").
//! Over stdio there are no headers, so a client may call without listing; then the server answers
//! -32020, and the bridge lists the tools.

use bytes::Bytes;
use mcp::{
    ErrorCode, Incoming, RequestId,
    envelope::{self, MessageBody},
    headers::{METHOD, NAME},
    line::{LineHeaders, LineKind},
    method,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tracing::debug;

use crate::{bridge::Bridge, call::PendingCall, http::body, limits::MAX_TOOL_PAGES};

#[derive(Deserialize)]
struct Page {
    result: Cursor,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cursor {
    #[serde(default)]
    next_cursor: Option<String>,
}

impl Bridge {
    /// After a refusal because of headers: lists the tools, and returns whether the call now has
    /// other headers and should be sent again.
    pub(crate) async fn mirror_now(&self, call: &mut PendingCall, refusal: &[u8]) -> bool {
        let is_call = call.head.kind == LineKind::Stateless && call.method() == method::TOOLS_CALL;
        if !is_call || !is_header_mismatch(refusal) {
            return false;
        }
        let Some(meta) = meta(&call.line.body) else {
            return false;
        };
        self.list_tools(&call.head, &meta).await;
        let head = LineHeaders::of(&call.line.body, &self.known.lock());
        let changed = head.headers != call.head.headers;
        call.head = head;
        changed
    }

    async fn list_tools(&self, head: &LineHeaders, meta: &RawValue) {
        let mut headers = head.headers.clone();
        headers.remove(NAME);
        headers.insert(METHOD, http::HeaderValue::from_static(method::TOOLS_LIST));
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_TOOL_PAGES {
            let mut params = json!({ "_meta": meta });
            if let Some(cursor) = &cursor {
                params["cursor"] = Value::from(cursor.as_str());
            }
            let id = RequestId::Text("forgewire-stdio-tools".into());
            let Some(page) = self.page(&headers, &id, &params).await else {
                return;
            };
            self.known.lock().learn_tools(&page);
            let next = serde_json::from_slice(&page).ok();
            cursor = next.and_then(|page: Page| page.result.next_cursor);
            if cursor.is_none() {
                return;
            }
        }
    }

    async fn page(
        &self,
        headers: &http::HeaderMap,
        id: &RequestId,
        params: &Value,
    ) -> Option<Bytes> {
        let message = envelope::request(id, method::TOOLS_LIST, params)?;
        let answer = match self.http.post(headers, &message).await {
            Ok(response) => body(response).await,
            Err(error) => Err(error),
        };
        answer
            .inspect_err(|error| debug!(%error, "cannot list the tools"))
            .ok()
    }
}

fn is_header_mismatch(refusal: &[u8]) -> bool {
    let message: Value = serde_json::from_slice(refusal).unwrap_or_default();
    message["error"]["code"] == ErrorCode::HeaderMismatch.number()
}

/// The revision and the client in the call's `_meta`.
fn meta(body: &MessageBody) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "_meta")]
        meta: Box<RawValue>,
    }
    let MessageBody::One(Incoming::Request(request)) = body else {
        return None;
    };
    let params: Params = serde_json::from_str(request.params.as_deref()?.get()).ok()?;
    Some(params.meta)
}
