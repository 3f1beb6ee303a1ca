//! What a call needs before it may run: a permission, and room under a rate limit. Tools, prompts and
//! reads of resources declare it, [`Caller::admit`] is where it is checked.

mod rates;

pub(crate) use rates::{Admitted, Limited, Rates};

use crate::protocol::{CallError, Caller};
use access::Permission;

/// What a call costs, and by that which limit of `edge.rates` it is under.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum RateClass {
    /// Answers from memory.
    Memory,
    /// Reads or writes a store, or asks the sync role.
    Store,
    /// As [`Self::Store`], and may then wait: for an event, or for the client's answer.
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

/// What a call needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Policy {
    /// What the principal has to be allowed.
    pub(crate) permission: Permission,
    /// What it costs.
    pub(crate) rate: RateClass,
}

impl Policy {
    /// For whoever may read, at this cost.
    pub(crate) const fn read(rate: RateClass) -> Self {
        Self {
            permission: Permission::Read,
            rate,
        }
    }
}

impl Caller {
    /// Lets a call in, for as long as what is given back lives.
    ///
    /// # Errors
    /// The principal lacks the permission, or has used up what it may; the error says when to try again.
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
