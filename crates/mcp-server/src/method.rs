//! Methods outside the core of MCP, such as those of an extension.

use async_trait::async_trait;
use bytes::Bytes;
use mcp::{HttpRefusal, RequestId};
use serde_json::value::RawValue;

use crate::{
    caller::Caller,
    policy::{Policy, RateClass},
};

/// A method of an extension. Its name also has to be declared to the dispatcher of the crate `mcp`.
#[async_trait]
pub trait ExtensionMethod: Send + Sync {
    /// The name, such as `tasks/get`.
    fn name(&self) -> &'static str;

    /// What the method requires; it is checked before the call. By default: to read, at the cost of a store.
    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    /// The encoded answer. What it waits for need not keep the params: it takes out of them what it needs.
    ///
    /// # Errors
    /// The JSON-RPC error to answer with, and its HTTP status if no stream has begun.
    async fn call(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<Box<RawValue>>,
    ) -> Result<Bytes, HttpRefusal>;
}
