//! The requirements of a call. Tools, prompts and reads of resources declare them;
//! [`Caller::admit`](crate::Caller::admit) checks them.

use access::Permission;

/// The cost of a call; it decides which limit of `edge.rates` applies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RateClass {
    /// Answers from memory; every request counts here.
    Memory,
    /// Reads or writes a store, reads the log, calls the sync role, or opens something that stays.
    Store,
    /// Like [`Self::Store`], and may then wait for an event or for an answer of the client.
    Wait,
}

impl RateClass {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Store, Self::Wait];

    /// The name in errors and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Wait => "wait",
        }
    }

    /// What a principal has done that reaches its limit.
    pub(crate) const fn refusal(self) -> &'static str {
        match self {
            Self::Memory => {
                "too many calls (class memory) for one principal (edge.rates.memory_calls_per_second)"
            }
            Self::Store => {
                "too many calls (class store) for one principal (edge.rates.store_calls_per_second)"
            }
            Self::Wait => {
                "too many calls (class wait) of one principal wait already (edge.rates.waiting_calls): cancel one, or let \
                 one have its answer"
            }
        }
    }
}

/// The requirements of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The permission that the principal must have.
    pub permission: Permission,
    /// The cost.
    pub rate: RateClass,
}

impl Policy {
    /// For every principal that may read, at the given cost.
    #[must_use]
    pub const fn read(rate: RateClass) -> Self {
        Self {
            permission: Permission::Read,
            rate,
        }
    }
}
