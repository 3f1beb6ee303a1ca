//! A line, the request that it stands for, and the lines of its answer.

use std::sync::Arc;

use ::mcp::{
    RequestId, RpcError,
    envelope::{self, ErrorCode},
    headers,
    line::{LineKind, LineSession, OpenRequests, compact},
    ndjson::line,
    sse::{SseBlock, SseStreamParser},
};
use access::AuthError;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use mcp_server::RateClass;
use service_kit::bodies::HeldBody;
use tokio_util::sync::CancellationToken;

use super::{ConnectionState, call::LineCall, queue};
use crate::{
    answer_budget::AnswerBytes,
    api::mcp::serve,
    error::EdgeError,
    request_line::{RequestLine, RequestRoute},
};

impl ConnectionState {
    pub(super) async fn serve(
        &self,
        method: &Method,
        mut headers: HeaderMap,
        body: Option<HeldBody>,
    ) -> Response {
        const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, BOTH);
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let present = self.present();
        // Without one, the connection ends.
        let principal = present.unwrap_or_else(|_| Arc::clone(&self.principal));
        let line = RequestLine {
            route: RequestRoute::Lines,
            trace: self.trace,
        };
        serve(&self.edge, principal, line, method, &headers, body).await
    }

    pub(super) async fn exchange(self: Arc<Self>, mut call: LineCall, cancel: CancellationToken) {
        let ids = call.owed.ids().to_vec();
        let work = async {
            let admitted = self.edge.rates.admit(&self.principal.id, RateClass::Memory);
            if let Err(limited) = admitted {
                for message in call.owed.fail(&limited.into_rpc()) {
                    self.write_line(&message).await;
                }
                return;
            }
            let headers = call.head.headers.clone();
            let body = call.body.take();
            let response = self.serve(&Method::POST, headers, body).await;
            self.forward(response, &mut call).await;
        };
        tokio::select! {
            // First, so that the end of the token ends a call that has an answer for that reason.
            biased;
            () = self.revoked.cancelled() => {}
            () = cancel.cancelled() => {}
            () = work => {}
        }
        let cancelled = self.end_requests(&ids);
        let error = match self.present() {
            Ok(_) => RpcError::internal(),
            Err(AuthError::Forbidden(_)) => {
                let text = "the token may not read any more";
                RpcError::new(ErrorCode::InvalidRequest, text)
            }
            Err(_) => {
                let text = "the token is no longer valid";
                RpcError::new(ErrorCode::InvalidRequest, text)
            }
        };
        let owed = call.owed.ids().iter();
        // Nobody waits for those that were cancelled.
        for id in owed.filter(|id| !cancelled.contains(id)) {
            self.error(Some(id), &error).await;
        }
    }

    /// Turns an answer into lines.
    pub(super) async fn forward(&self, response: Response, call: &mut LineCall) {
        let (parts, body) = response.into_parts();
        let opened = parts.headers.get(headers::SESSION_ID);
        let kind = parts.headers.get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| kind == "text/event-stream") {
            return self.events(body, opened, call).await;
        }
        // Our own answers are bounded, and their content is in memory already.
        let Ok(answer) = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
        else {
            return;
        };
        if parts.status == StatusCode::ACCEPTED || answer.is_empty() {
            return;
        }
        let (answered, line) = answered(&mut call.owed, |owed| owed.register_json(&answer));
        if let Some(line) = line {
            self.remember_answer(call, opened, &line).await;
            self.write_answer(&answered, line).await;
        }
    }

    async fn events(&self, mut body: Body, opened: Option<&HeaderValue>, call: &mut LineCall) {
        let mut parser = SseStreamParser::default();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            let Ok(blocks) = parser.feed(&chunk) else {
                return;
            };
            for block in blocks {
                let SseBlock::Frame(frame) = block else {
                    continue;
                };
                let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
                    continue;
                };
                let message = compact(&data);
                let (answered, _) = answered(&mut call.owed, |owed| owed.register(&message));
                if !answered.is_empty() {
                    self.remember_answer(call, opened, &message).await;
                    self.write_answer(&answered, message).await;
                } else if self.write_message(&message).await.is_err() {
                    // Without its messages the call could wait for an answer to one of them.
                    return self.fail_for_room(call).await;
                }
            }
        }
    }

    /// Remembers the parts of an answer that later lines need, before the client can send those
    /// lines.
    async fn remember_answer(&self, call: &LineCall, opened: Option<&HeaderValue>, answer: &[u8]) {
        match call.head.kind {
            LineKind::Initialize => {
                let Some(session) = LineSession::opened(opened, answer) else {
                    return;
                };
                self.known.lock().set_session(Some(session.clone()));
                let before = self.own.lock().replace(session);
                if let Some(before) = before {
                    self.serve(&Method::DELETE, before.headers(), None).await;
                }
            }
            LineKind::Stateless if call.lists_tools => {
                self.known.lock().learn_tools(answer);
            }
            _ => {}
        }
    }

    pub(super) async fn error(&self, id: Option<&RequestId>, error: &RpcError) {
        self.write_line(&envelope::error(id, error)).await;
    }

    /// Writes an error or a notice. Waits while the client does not read; once the client has gone, the line
    /// is dropped.
    pub(super) async fn write_line(&self, message: &[u8]) {
        self.out.send_notice(line(message).into()).await;
    }

    /// As [`Self::write_line`], for messages of any size.
    ///
    /// # Errors
    /// There is no room for what clients do not read.
    pub(super) async fn write_message(&self, message: &[u8]) -> Result<(), queue::NoLineRoom> {
        self.out.send(line(message).into()).await
    }

    async fn fail_for_room(&self, call: &mut LineCall) {
        let error = RpcError::from(EdgeError::AnswersFull);
        for message in call.owed.fail(&error) {
            self.write_line(&message).await;
        }
    }

    /// Writes the answer to these requests, or an error for each if there is no room in the budget of answers:
    /// the answer waits here as long as the client does not read.
    async fn write_answer(&self, ids: &[RequestId], answer: Bytes) {
        let admitted = self.edge.answers.admit(&self.principal.id, answer.len());
        let written = match admitted.await {
            Ok(permit) => {
                let answer = AnswerBytes::new(answer, permit);
                let sent = self.out.send(answer.map(|answer| line(answer))).await;
                sent.map_err(|_| EdgeError::AnswersFull)
            }
            Err(full) => Err(full),
        };
        if let Err(full) = written {
            let error = RpcError::from(full);
            for id in ids {
                self.error(Some(id), &error).await;
            }
        }
    }
}

/// The requests that a message answers, of which a batch has several, and what its registration gives.
fn answered<T>(
    owed: &mut OpenRequests,
    register: impl FnOnce(&mut OpenRequests) -> T,
) -> (Vec<RequestId>, T) {
    let mut answered = owed.ids().to_vec();
    let registered = register(owed);
    answered.retain(|id| !owed.ids().contains(id));
    (answered, registered)
}

#[cfg(test)]
mod tests {
    use ::mcp::envelope::parse;

    use super::*;

    /// Without room for the message, each of them gets an error: none would be left to get one otherwise.
    #[test]
    fn the_message_of_a_batch_answers_each_of_its_requests() {
        let batch =
            br#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"},
            {"jsonrpc":"2.0","id":3,"method":"ping"}]"#;
        let mut owed = OpenRequests::of(&parse(batch).unwrap());
        let progress = br#"{"jsonrpc":"2.0","method":"notifications/progress"}"#;
        assert!(
            answered(&mut owed, |owed| owed.register(progress))
                .0
                .is_empty()
        );
        let answers =
            br#"[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":3,"result":{}}]"#;
        let (ids, _) = answered(&mut owed, |owed| owed.register(answers));
        assert_eq!(ids, [1, 3].map(RequestId::Integer));
        assert_eq!(owed.ids(), [RequestId::Integer(2)]);
    }
}
