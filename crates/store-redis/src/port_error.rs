//! Conversion of driver errors to the errors of each port.

use ports::{BoxError, LockError, MailboxError, SessionStoreError, TaskStoreError};

const FULL: &str = "the Redis server has no memory left";

/// The error enum of a port.
pub(crate) trait PortError: Sized {
    /// There was no answer, or none that is usable now.
    fn unavailable(op: &'static str, source: BoxError) -> Self;
    /// The value was not written by this crate.
    fn corrupt(op: &'static str, source: BoxError) -> Self;
    /// The server has reached its memory limit.
    fn full(op: &'static str, source: BoxError) -> Self;
    /// Returns the source if the error is [`Self::unavailable`].
    fn unavailability(&self) -> Option<&BoxError>;
}

impl PortError for SessionStoreError {
    fn unavailable(op: &'static str, source: BoxError) -> Self {
        Self::Unavailable { op, source }
    }

    fn corrupt(_op: &'static str, source: BoxError) -> Self {
        Self::Corrupt { source }
    }

    fn full(op: &'static str, source: BoxError) -> Self {
        Self::Unavailable { op, source }
    }

    fn unavailability(&self) -> Option<&BoxError> {
        match self {
            Self::Unavailable { source, .. } => Some(source),
            _ => None,
        }
    }
}

// Three enums with the same variants; a generic function cannot name these variants.
macro_rules! port_error {
    ($($error:ty),+) => {$(
        impl PortError for $error {
            fn unavailable(op: &'static str, source: BoxError) -> Self {
                Self::Unavailable { op, source }
            }

            fn corrupt(op: &'static str, source: BoxError) -> Self {
                Self::Corrupt { op, source }
            }

            fn full(_op: &'static str, _source: BoxError) -> Self {
                Self::Overloaded { what: FULL }
            }

            fn unavailability(&self) -> Option<&BoxError> {
                match self {
                    Self::Unavailable { source, .. } => Some(source),
                    _ => None,
                }
            }
        }
    )+};
}

port_error!(MailboxError, LockError, TaskStoreError);
