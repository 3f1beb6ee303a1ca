//! The ways in which a store as a whole fails, the same for every port.

use model::{Classified, ErrorClass};

use crate::BoxError;

/// A failure of the store itself, whatever was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// The store does not answer, or answers too late. The outcome of a change is unknown.
    #[error("the store cannot {op} now")]
    Unavailable {
        /// The operation that failed.
        op: &'static str,
        /// The driver's error.
        #[source]
        source: BoxError,
    },
    /// A limit is reached: nothing was changed, and waiting or removing something helps.
    #[error("the store has no room: {what}")]
    Overloaded {
        /// The limit that was reached.
        what: &'static str,
        /// The driver's error, if the driver told it.
        #[source]
        source: Option<BoxError>,
    },
    /// The stored data is not what was written.
    #[error("the store is damaged and cannot {op}")]
    Corrupt {
        /// The operation that failed.
        op: &'static str,
        /// The reason why it cannot be read.
        #[source]
        source: BoxError,
    },
}

impl StoreFailure {
    /// The store does not answer, or answers too late.
    pub fn unavailable(op: &'static str, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Self::Unavailable { op, source }
    }

    /// A limit is reached that this process itself keeps.
    #[must_use]
    pub const fn full(what: &'static str) -> Self {
        let source = None;
        Self::Overloaded { what, source }
    }

    /// The stored data is not what was written.
    pub fn corrupt(op: &'static str, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Self::Corrupt { op, source }
    }
}

impl Classified for StoreFailure {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::Overloaded { .. } => ErrorClass::Overloaded,
            Self::Corrupt { .. } => ErrorClass::Permanent,
        }
    }
}
