//! The requirements of a call: a permission, and room under a rate limit. Tools, prompts and reads
//! of resources declare them; [`Caller::admit`] checks them.

mod rates;

pub(crate) use rates::{Admitted, Limited, Rates};

use crate::protocol::{CallError, Caller};
use access::Permission;

/// The cost of a call, which determines the limit of `edge.rates` that applies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum RateClass {
    /// Answers from memory.
    Memory,
    /// Reads or writes a store, or asks the sync role.
    Store,
    /// As [`Self::Store`], and may then wait for an event or for the client's answer.
    Wait,
}

impl RateClass {
    /// All classes.
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Store, Self::Wait];

    /// The name in errors and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Wait => "wait",
        }
    }
}

/// The requirements of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Policy {
    /// The permission that the principal needs.
    pub(crate) permission: Permission,
    /// The cost of the call.
    pub(crate) rate: RateClass,
}

impl Policy {
    /// For principals that may read, at this cost.
    pub(crate) const fn read(rate: RateClass) -> Self {
        Self {
            permission: Permission::Read,
            rate,
        }
    }
}

impl Caller {
    /// Admits a call; it holds its place as long as the returned guard lives.
    ///
    /// # Errors
    /// The principal lacks the permission, or has reached its limit; the error states when to try
    /// again.
    pub(crate) fn admit(&self, policy: Policy) -> Result<Admitted, CallError> {
        self.principal.require(policy.permission)?;
        Ok(self.edge.rates.admit(&self.principal.id, policy.rate)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::EdgeError, protocol::rpc_error};
    use access::Principal;

    #[test]
    fn a_permission_that_is_missing_is_named_to_models_and_programs() {
        let denied = Principal::anonymous().require(Permission::Admin);
        let error = EdgeError::from(denied.unwrap_err());
        assert!(error.public_text().contains("\"admin\""));
        let error = rpc_error(&error);
        assert!(error.message.contains("\"admin\""), "{error}");
        assert_eq!(error.data.unwrap()["code"], "permission-missing");
    }
}
