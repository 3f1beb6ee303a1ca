//! Questions to the client of a call, in both eras.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use mcp::{
    ErrorCode, Incoming, RequestId, RpcError,
    client::{ClientRequest, ClientResult},
    envelope::{self, MessageBody},
    mrtr::{Binding, EarlierAnswers, InputRequests, InputRequired, Retry, StateKeys, salient},
    notification::cancelled,
};
use mcp_server::{CallError, Caller, ask::Ask};
use model::{Clock, CursorKeys, IdSource, PrincipalId, Sequence, SessionId, StreamId};
use parking_lot::Mutex;
use ports::MailboxError;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Calls,
    hints::HintReceiver,
    question::{DroppedAnswer, new_question, question_of},
};
use crate::{
    error::EdgeError,
    limits::{ANSWER_POLL, ASK_DEADLINE, CALL_DEADLINE, STATE_LIFETIME},
};

/// Seals the state that clients of the stateless era carry from one attempt to the next.
#[derive(Debug)]
pub(crate) struct RetryKeys {
    pub(crate) keys: StateKeys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}

/// Asks with a result; the client repeats the call with its answers (stateless era).
#[derive(Debug)]
pub(crate) struct AskByRetry {
    keys: Arc<RetryKeys>,
    state: Mutex<RetryState>,
}

/// The state that a client sent with a call of the stateless era.
#[derive(Debug)]
struct RetryState {
    retry: Retry,
    method: String,
    /// What the state is bound to; a call keeps it until it ends.
    params: Option<Box<RawValue>>,
    settled: EarlierAnswers,
}

impl RetryState {
    /// The call to which a state is bound. It needs a digest of all params, so only calls that ask
    /// pay for it.
    fn binding(&self, principal: &PrincipalId) -> Result<Binding, RpcError> {
        Binding::new(principal, &self.method, self.params.as_deref())
    }
}

impl AskByRetry {
    /// For a call of the stateless era. A sealed state has to belong to this principal and this
    /// call.
    ///
    /// # Errors
    /// -32602: `inputResponses` or `requestState` cannot be read, the params are too large, or the state is
    /// not for this call.
    pub(crate) fn new(
        keys: &Arc<RetryKeys>,
        principal: &PrincipalId,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Self, RpcError> {
        let mut state = RetryState {
            retry: Retry::parse(params)?,
            method: method.to_owned(),
            params: params.map(salient).transpose()?,
            settled: EarlierAnswers::default(),
        };
        if let Some(sealed) = state.retry.state() {
            let binding = state.binding(principal)?;
            let opened = keys.keys.open(&binding, sealed, keys.clock.now())?;
            state.settled = EarlierAnswers::decode(&opened)?;
        }
        Ok(Self {
            keys: Arc::clone(keys),
            state: Mutex::new(state),
        })
    }

    fn ask(
        &self,
        caller: &Caller,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let keys: Vec<String> = requests.iter().map(|(key, _)| key.to_owned()).collect();
        let collected = state
            .settled
            .collect(&state.retry, requests)
            .map_err(RpcError::from)?;
        for key in keys {
            state.settled.keep(&key, &state.retry);
        }
        let missing = collected.missing;
        missing
            .check(caller.version, &caller.client().capabilities)
            .map_err(CallError::Refused)?;
        let Some(question) = InputRequired::ask(caller.version, &missing) else {
            return Ok(collected.answers);
        };
        let until = self.keys.clock.now().plus(STATE_LIFETIME);
        let encoded = state.settled.encode();
        let binding = state.binding(&caller.principal.id)?;
        let sealed = self
            .keys
            .keys
            .seal(&binding, &encoded, until, &*self.keys.ids)
            .map_err(|error| EdgeError::Parameter {
                field: "inputResponses".to_owned(),
                reason: error.to_string(),
            })?;
        Err(CallError::InputRequired(Box::new(
            question.with_state(sealed),
        )))
    }
}

#[async_trait]
impl Ask for AskByRetry {
    async fn ask_all(
        &self,
        caller: &Caller,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError> {
        self.ask(caller, requests)
    }

    fn settled(&self) -> EarlierAnswers {
        self.state.lock().settled.clone()
    }
}

/// Asks on the stream of the call; the client POSTs its answers, to any edge (handshake era).
#[derive(Debug)]
pub(crate) struct AskOnStream {
    pub(crate) calls: Arc<Calls>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// Mark the ids of the questions.
    pub(crate) keys: Arc<CursorKeys>,
    pub(crate) session: SessionId,
}

/// A question that was sent.
struct Question {
    key: String,
    request: ClientRequest,
    id: RequestId,
    stream: StreamId,
    hints: HintReceiver,
}

impl AskOnStream {
    /// Sends a question.
    async fn send(&self, caller: &Caller, key: &str, request: &ClientRequest) -> Question {
        let stream = new_question(&self.keys, &self.session, &*self.ids);
        // Before the question is sent, so that an early answer is not missed.
        let hints = self.calls.hints.watch(&self.session, &stream);
        let id = RequestId::Text(stream.as_str().into());
        let message = request.encode(&id, caller.version);
        caller.output.send(message).await;
        Question {
            key: key.to_owned(),
            request: request.clone(),
            id,
            stream,
            hints,
        }
    }

    /// Waits for the answer to a question.
    async fn answer(
        &self,
        caller: &Caller,
        question: &Question,
        until: Instant,
    ) -> Result<ClientResult, CallError> {
        let waiting = answer(
            &self.calls,
            &self.session,
            &question.stream,
            &question.hints,
        );
        let answer = tokio::select! {
            answer = timeout_at(until, waiting) => answer,
            () = caller.output.client_gone() => {
                let reason = "the client disconnected before it answered a question of the call";
                return Err(RpcError::new(ErrorCode::InvalidRequest, reason).into());
            }
        };
        let Ok(answer) = answer else {
            let message = cancelled(&question.id, "no answer in time");
            caller.output.send(message).await;
            let reason = "the client did not answer a question of the call in time";
            return Err(RpcError::new(ErrorCode::Internal, reason).into());
        };
        let result = question.request.read_response(&answer?);
        result.map_err(|error| RpcError::new(ErrorCode::InvalidRequest, error.to_string()).into())
    }
}

#[async_trait]
impl Ask for AskOnStream {
    async fn ask_all(
        &self,
        caller: &Caller,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError> {
        for (_, request) in requests.iter() {
            let possible = request.check(caller.version, &caller.client().capabilities);
            possible
                .map_err(|reason| RpcError::new(ErrorCode::InvalidRequest, reason.to_string()))?;
        }
        let until = Instant::now() + ASK_DEADLINE;
        let mut questions = Vec::new();
        for (key, request) in requests.iter() {
            questions.push(self.send(caller, key, request).await);
        }
        let mut answers = BTreeMap::new();
        for question in questions {
            let answer = self.answer(caller, &question, until).await?;
            answers.insert(question.key, answer);
        }
        Ok(answers)
    }
}

/// Waits until the answer is in the mailbox.
async fn answer(
    calls: &Calls,
    session: &SessionId,
    stream: &StreamId,
    hints: &HintReceiver,
) -> Result<envelope::RpcResponse, EdgeError> {
    loop {
        let read = calls
            .mailbox
            .read_after(session, stream, Sequence::START, 1);
        match timeout(CALL_DEADLINE, read).await {
            Ok(Ok(page)) => {
                if let Some(response) = page.messages.first().and_then(|m| response(&m.item)) {
                    // The answer is read; a stream that cannot be closed now is removed by its age.
                    let _ = calls.close(session, stream).await;
                    return Ok(response);
                }
            }
            Ok(Err(MailboxError::Missing)) => return Err(EdgeError::SessionGone),
            // The store is unavailable for a moment; the question remains open.
            Ok(Err(_)) | Err(_) => {}
        }
        let _ = timeout(ANSWER_POLL, hints.next_hint()).await;
    }
}

fn response(payload: &[u8]) -> Option<envelope::RpcResponse> {
    match envelope::parse(payload) {
        Ok(MessageBody::One(Incoming::Response(response))) => Some(response),
        _ => None,
    }
}

impl Calls {
    /// Refuses an answer whose id is none of a question: nobody waits for it.
    ///
    /// # Errors
    /// It is such an answer.
    pub(crate) fn refuse_unasked(&self, response: &envelope::RpcResponse) -> Result<(), EdgeError> {
        if question_of(response).is_some() {
            return Ok(());
        }
        let dropped = DroppedAnswer::Unknown;
        self.metrics.answer_dropped(dropped);
        dropped.error().map_or(Ok(()), Err)
    }

    /// Stores an answer that a client posted to this edge, for the edge that asked. Returns the
    /// stream of the mailbox that has a new message. An answer that belongs to no question of ours
    /// is dropped, and so is a second one: the question is closed with its first.
    ///
    /// # Errors
    /// The id is one of ours and no edge asked with it in this session, or the answer is too large; or the
    /// mailbox does not store it: then the client has to try again.
    pub(crate) async fn take_answer(
        &self,
        keys: &CursorKeys,
        session: &SessionId,
        response: &envelope::RpcResponse,
    ) -> Result<Option<StreamId>, EdgeError> {
        let Some(stream) = question_of(response) else {
            self.metrics.answer_dropped(DroppedAnswer::Unknown);
            return Ok(None);
        };
        let answer = response.encode();
        let admitted = self.answers.admit(keys, (session, &stream), answer.len());
        let _storing = match admitted {
            Ok(storing) => storing,
            Err(dropped) => {
                self.metrics.answer_dropped(dropped);
                return dropped.error().map_or(Ok(None), Err);
            }
        };
        match self.append(session, &stream, answer).await {
            Ok(_) => {
                // The call that asked closes it too, when it has read the answer.
                let _ = self.close(session, &stream).await;
                Ok(Some(stream))
            }
            // Answered twice, or too late.
            Err(EdgeError::Mailbox(MailboxError::Closed)) => {
                self.metrics.answer_dropped(DroppedAnswer::Repeated);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
