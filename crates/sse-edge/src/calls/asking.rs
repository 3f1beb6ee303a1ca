//! Questions to the client, in the middle of a call.
//!
//! In the handshake era a question is a request on the call's own stream; the client posts its answer to
//! any edge, which puts it into the session's mailbox, where the call finds it. In the stateless era the
//! call ends with the question, and the client calls again with the answer (MCP 2026-07-28, "Multi
//! Round-Trip Requests"): the tool runs from its beginning, so a tool asks before it acts. What was
//! answered in earlier rounds travels sealed in `requestState`.

use std::collections::BTreeMap;

use mcp::{
    ErrorCode, Incoming, RequestId, RpcError,
    client::{ClientRequest, ClientResult},
    envelope::{self, Body},
    mrtr::{Binding, InputRequests, InputRequired, Retry, Settled},
    notification::cancelled,
};
use model::{PrincipalId, Sequence, SessionId, StreamId};
use parking_lot::Mutex;
use ports::MailboxError;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout, timeout_at};

use super::Calls;
use crate::{
    error::EdgeError,
    limits::{ANSWER_POLL, ASK_DEADLINE, CALL_DEADLINE, STATE_LIFETIME},
    protocol::{CallError, Caller},
    service::Edge,
    tasks::TaskAsking,
};

/// What the ids of our questions begin with: an answer to something else is nobody's.
const QUESTION: &str = "ask-";

/// How the client of a call can be asked.
#[derive(Debug)]
pub(crate) enum Asking {
    /// Not at all: the call has no stream, or its method may not ask.
    Never,
    /// On the stream of the call (handshake era).
    OnStream,
    /// By ending the call with the question (stateless era).
    ByRetry(Mutex<Brought>),
    /// In the task that the call has become (tasks extension).
    InTask(TaskAsking),
}

/// What a client brought along to a call of the stateless era.
#[derive(Debug)]
pub(crate) struct Brought {
    retry: Retry,
    method: String,
    params: Option<Box<RawValue>>,
    settled: Settled,
}

impl Brought {
    /// What a state is sealed for. A digest of all params, so only calls that ask pay for it.
    fn binding(&self, principal: &PrincipalId) -> Result<Binding, RpcError> {
        Binding::new(principal, &self.method, self.params.as_deref())
    }
}

impl Asking {
    /// What the client has answered so far in earlier attempts.
    pub(crate) fn settled(&self) -> Settled {
        match self {
            Self::ByRetry(brought) => brought.lock().settled.clone(),
            _ => Settled::default(),
        }
    }

    /// Of a call of the stateless era. What was sealed has to be of this principal and this call.
    ///
    /// # Errors
    /// -32602: `inputResponses` or `requestState` cannot be read, or the state is not for this call.
    pub(crate) fn by_retry(
        edge: &Edge,
        principal: &PrincipalId,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Self, RpcError> {
        let mut brought = Brought {
            retry: Retry::parse(params)?,
            method: method.to_owned(),
            params: params.map(ToOwned::to_owned),
            settled: Settled::default(),
        };
        if let Some(sealed) = brought.retry.state() {
            let binding = brought.binding(principal)?;
            let opened = edge.state_keys.open(&binding, sealed, edge.clock.now())?;
            brought.settled = Settled::decode(&opened)?;
        }
        Ok(Self::ByRetry(Mutex::new(brought)))
    }
}

impl Caller {
    /// Asks the client, and waits for the answer.
    ///
    /// # Errors
    /// The client cannot be asked this, does not answer, or answers something else; in the stateless era
    /// also the question itself, which the caller hands on with `?`.
    pub(crate) async fn ask(
        &self,
        key: &str,
        request: ClientRequest,
    ) -> Result<ClientResult, CallError> {
        let mut answers = self
            .ask_all(InputRequests::new().with(key, request))
            .await?;
        let answer = answers.remove(key);
        Ok(answer.expect("every question has its answer"))
    }

    /// Whether the client can be asked this: it declares it, and there is a way to it.
    pub(crate) fn can_ask(&self, request: &ClientRequest) -> bool {
        !matches!(self.asking, Asking::Never) && request.check(self.version, &self.client).is_ok()
    }

    /// Asks several questions at once.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn ask_all(
        &self,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError> {
        match (&self.asking, &self.session) {
            (Asking::ByRetry(brought), _) => self.ask_by_retry(&mut brought.lock(), requests),
            (Asking::OnStream, Some(session)) => {
                for (_, request) in requests.iter() {
                    let possible = request.check(self.version, &self.client);
                    possible.map_err(|reason| {
                        RpcError::new(ErrorCode::InvalidRequest, reason.to_string())
                    })?;
                }
                self.ask_on_stream(&session.id, requests).await
            }
            (Asking::InTask(task), _) => task.ask(self, requests).await,
            _ => Err(RpcError::new(
                ErrorCode::InvalidRequest,
                "the call has to ask the client, which takes an answer as text/event-stream",
            )
            .into()),
        }
    }

    fn ask_by_retry(
        &self,
        brought: &mut Brought,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError> {
        let keys: Vec<String> = requests.iter().map(|(key, _)| key.to_owned()).collect();
        let collected = brought
            .settled
            .collect(&brought.retry, requests)
            .map_err(RpcError::from)?;
        for key in keys {
            brought.settled.settle(&key, &brought.retry);
        }
        let missing = collected.missing;
        missing
            .check(self.version, &self.client)
            .map_err(CallError::Refused)?;
        let Some(question) = InputRequired::ask(self.version, &missing) else {
            return Ok(collected.answers);
        };
        let edge = &self.edge;
        let until = edge.clock.now().plus(STATE_LIFETIME);
        let state = brought.settled.encode();
        let binding = brought.binding(&self.principal.id)?;
        let sealed = edge
            .state_keys
            .seal(&binding, &state, until, &*edge.ids)
            .map_err(|error| EdgeError::Parameter {
                field: "inputResponses".to_owned(),
                reason: error.to_string(),
            })?;
        Err(CallError::Asks(Box::new(question.with_state(sealed))))
    }

    async fn ask_on_stream(
        &self,
        session: &SessionId,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError> {
        let calls = &self.edge.calls;
        let until = Instant::now() + ASK_DEADLINE;
        let mut asked = Vec::new();
        for (key, request) in requests.iter() {
            let question = format!("{QUESTION}{}", self.edge.ids.uuid());
            let stream = StreamId::new(&question).expect("a UUID fits a stream id");
            // Before the question goes out: an answer cannot come too early.
            let watch = calls.mail.watch(session, &stream);
            let id = RequestId::Text(question.into());
            self.outlet.send(request.encode(&id, self.version)).await;
            asked.push((key.to_owned(), request, id, stream, watch));
        }
        let mut answers = BTreeMap::new();
        for (key, request, id, stream, watch) in asked {
            let answer = tokio::select! {
                answer = timeout_at(until, answer(calls, session, &stream, &watch)) => answer,
                () = self.outlet.unheard() => {
                    let reason = "the client broke off before it answered a question of the call";
                    return Err(RpcError::new(ErrorCode::InvalidRequest, reason).into());
                }
            };
            let Ok(answer) = answer else {
                let reason = "no answer in time";
                self.outlet.send(cancelled(&id, reason)).await;
                return Err(RpcError::new(
                    ErrorCode::Internal,
                    "the client did not answer a question of the call in time",
                )
                .into());
            };
            let result = request
                .read_response(&answer?)
                .map_err(|error| RpcError::new(ErrorCode::InvalidRequest, error.to_string()))?;
            answers.insert(key, result);
        }
        Ok(answers)
    }
}

/// Waits until the answer is in the mailbox.
async fn answer(
    calls: &Calls,
    session: &SessionId,
    stream: &StreamId,
    watch: &super::mail::Watch,
) -> Result<envelope::Response, EdgeError> {
    loop {
        let read = calls
            .mailbox
            .read_after(session, stream, Sequence::START, 1);
        match timeout(CALL_DEADLINE, read).await {
            Ok(Ok(page)) => {
                if let Some(response) = page.messages.first().and_then(|m| response(&m.item)) {
                    // Read; what does not close now goes with its age.
                    let _ = calls.close(session, stream).await;
                    return Ok(response);
                }
            }
            Ok(Err(MailboxError::Missing)) => return Err(EdgeError::SessionGone),
            // The store is away for a moment; the question stands.
            Ok(Err(_)) | Err(_) => {}
        }
        let _ = timeout(ANSWER_POLL, watch.hinted()).await;
    }
}

fn response(payload: &[u8]) -> Option<envelope::Response> {
    match envelope::parse(payload) {
        Ok(Body::One(Incoming::Response(response))) => Some(response),
        _ => None,
    }
}

/// Takes an answer that a client posted to this edge, for whichever edge asked. One that answers no
/// question of ours is dropped.
///
/// # Errors
/// The mailbox does not take it: the client has to try again.
pub(crate) async fn take_answer(
    edge: &Edge,
    session: &SessionId,
    response: &envelope::Response,
) -> Result<(), EdgeError> {
    let Some(RequestId::Text(id)) = &response.id else {
        return Ok(());
    };
    let Some(stream) = Some(id)
        .filter(|id| id.starts_with(QUESTION))
        .and_then(|id| StreamId::new(id).ok())
    else {
        return Ok(());
    };
    match edge.calls.append(session, &stream, response.encode()).await {
        Ok(_) => {}
        // Answered twice, or too late.
        Err(EdgeError::Mailbox(MailboxError::Closed)) => return Ok(()),
        Err(error) => return Err(error),
    }
    edge.sessions.tell_mail(session, &stream).await;
    Ok(())
}
