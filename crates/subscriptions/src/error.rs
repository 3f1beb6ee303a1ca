//! Errors of calls on subscriptions.

use model::{Classified, ErrorClass};
use ports::{BoxError, RecordBound, RecordsError, StoreFailure};

use crate::limits::MAX_RECORD_BYTES;

/// Errors of a call on subscriptions.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionRecordsError {
    /// The owner has no such subscription: there is none, it has expired or was deleted, or it is another's.
    #[error("no such subscription")]
    Missing,
    /// The id is taken, possibly by a subscription that has ended.
    #[error("the subscription exists already")]
    Exists,
    /// Its id is not one of its client's ([`ClientKey`](crate::ClientKey)): nobody would find it by the name.
    #[error("the id of the subscription is not one of its client's")]
    Misnamed,
    /// Its end has passed.
    #[error("the end of the subscription has passed")]
    Over,
    /// Nothing delivers the events of this transport.
    #[error(
        "webhook is not supported yet: no event would be posted, because delivery to an endpoint comes with a \
         later version; use sse"
    )]
    Undeliverable,
    /// A newer delivery holds the lease of the subscription.
    #[error("another delivery of the subscription has taken over, with fencing number {newest}")]
    Fenced {
        /// The number of the newest delivery.
        newest: u64,
    },
    /// It is changed by too many callers at once.
    #[error("the subscription is being changed by too many callers at once")]
    Busy,
    /// The subscription is longer than [`MAX_RECORD_BYTES`] in its stored form.
    #[error(
        "a subscription takes at most {MAX_RECORD_BYTES} bytes, and this one {bytes}; use fewer filters and tags"
    )]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A limit is reached; nothing was changed.
    #[error("no room for the subscription: {bound} has reached its limit")]
    NoRoom {
        /// The limit.
        bound: RecordBound,
    },
    /// The record of this subscription cannot be read: it is damaged, or another build wrote it. Others are not
    /// affected.
    #[error("the record of the subscription cannot be read")]
    Unreadable {
        /// The reason why it cannot be read.
        #[source]
        source: BoxError,
    },
    /// The store failed; the outcome of a change is unknown unless it is `Overloaded`.
    #[error(transparent)]
    Failed(#[from] StoreFailure),
}

impl From<RecordsError> for SubscriptionRecordsError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Missing => Self::Missing,
            RecordsError::Conflict { .. } => Self::Busy,
            RecordsError::TooLarge { bytes } => Self::TooLarge { bytes },
            RecordsError::NoRoom { bound } => Self::NoRoom { bound },
            RecordsError::Unreadable { source } => Self::Unreadable { source },
            RecordsError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl Classified for SubscriptionRecordsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Missing => ErrorClass::Missing,
            Self::Exists | Self::Fenced { .. } => ErrorClass::Conflict,
            Self::Over | Self::Undeliverable | Self::TooLarge { .. } => ErrorClass::Caller,
            // Waiting does not help an owner: it has to delete one.
            Self::NoRoom {
                bound: RecordBound::RecordsOfOwner | RecordBound::BytesOfOwner,
            } => ErrorClass::Conflict,
            Self::NoRoom { .. } | Self::Busy => ErrorClass::Overloaded,
            Self::Misnamed | Self::Unreadable { .. } => ErrorClass::Permanent,
            Self::Failed(failure) => failure.class(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_an_owner_is_told_as_a_conflict_and_that_of_all_as_overload() {
        let class = |bound| SubscriptionRecordsError::NoRoom { bound }.class();
        for bound in [RecordBound::RecordsOfOwner, RecordBound::BytesOfOwner] {
            assert_eq!(class(bound), ErrorClass::Conflict);
        }
        for bound in [RecordBound::Records, RecordBound::Bytes] {
            assert_eq!(class(bound), ErrorClass::Overloaded);
        }
    }
}
