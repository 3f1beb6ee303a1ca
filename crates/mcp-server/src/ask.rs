//! Questions to the client of a call.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use mcp::{
    ErrorCode, RpcError,
    client::{ClientRequest, ClientResult},
    mrtr::{EarlierAnswers, InputRequests},
};

use crate::{call_error::CallError, caller::Caller};

/// A way to ask the client of a call; each era has its own.
#[async_trait]
pub trait Ask: fmt::Debug + Send + Sync {
    /// Asks several questions at once, and waits for the answers.
    ///
    /// # Errors
    /// The client cannot be asked this, does not answer, or gives an invalid answer; in the
    /// stateless era also the question itself, which the tool passes on with `?`.
    async fn ask_all(
        &self,
        caller: &Caller,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError>;

    /// The client's answers from earlier attempts (stateless era).
    fn settled(&self) -> EarlierAnswers {
        EarlierAnswers::default()
    }
}

impl Caller {
    /// Asks the client one question, and waits for the answer.
    ///
    /// # Errors
    /// As [`Ask::ask_all`].
    pub async fn ask(&self, key: &str, request: ClientRequest) -> Result<ClientResult, CallError> {
        let mut answers = self
            .ask_all(InputRequests::new().with(key, request))
            .await?;
        let answer = answers.remove(key);
        Ok(answer.expect("every question has its answer"))
    }

    /// Asks several questions at once.
    ///
    /// # Errors
    /// As [`Ask::ask_all`].
    pub async fn ask_all(
        &self,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError> {
        match self.client().asking.clone() {
            Some(asking) => asking.ask_all(self, requests).await,
            None => Err(RpcError::new(
                ErrorCode::InvalidRequest,
                "the call has to ask the client a question, which needs Accept: text/event-stream",
            )
            .into()),
        }
    }

    /// Whether the client can be asked this: it declares the capability and can be reached.
    #[must_use]
    pub fn can_ask(&self, request: &ClientRequest) -> bool {
        let client = self.client();
        client.asking.is_some() && request.check(self.version, &client.capabilities).is_ok()
    }
}
