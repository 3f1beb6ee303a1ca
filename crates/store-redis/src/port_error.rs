//! What an error of the driver becomes in each of the ports.

use ports::{LockError, MailboxError, SessionStoreError, Source, TaskStoreError};

const FULL: &str = "the Redis server has no memory left";

/// An error enum of a port.
pub(crate) trait PortError: Sized {
    /// No answer, or none that we can use now.
    fn unavailable(op: &'static str, source: Source) -> Self;
    /// Something that we did not write.
    fn corrupt(op: &'static str, source: Source) -> Self;
    /// The server is at its bound of memory.
    fn full(op: &'static str, source: Source) -> Self;
    /// The source, if it is [`Self::unavailable`].
    fn unavailability(&self) -> Option<&Source>;
}

impl PortError for SessionStoreError {
    fn unavailable(op: &'static str, source: Source) -> Self {
        Self::Unavailable { op, source }
    }

    fn corrupt(_op: &'static str, source: Source) -> Self {
        Self::Corrupt { source }
    }

    fn full(op: &'static str, source: Source) -> Self {
        Self::Unavailable { op, source }
    }

    fn unavailability(&self) -> Option<&Source> {
        match self {
            Self::Unavailable { source, .. } => Some(source),
            _ => None,
        }
    }
}

// Three enums with the same variants; a function cannot name them.
macro_rules! port_error {
    ($($error:ty),+) => {$(
        impl PortError for $error {
            fn unavailable(op: &'static str, source: Source) -> Self {
                Self::Unavailable { op, source }
            }

            fn corrupt(op: &'static str, source: Source) -> Self {
                Self::Corrupt { op, source }
            }

            fn full(_op: &'static str, _source: Source) -> Self {
                Self::Overloaded { what: FULL }
            }

            fn unavailability(&self) -> Option<&Source> {
                match self {
                    Self::Unavailable { source, .. } => Some(source),
                    _ => None,
                }
            }
        }
    )+};
}

port_error!(MailboxError, LockError, TaskStoreError);
