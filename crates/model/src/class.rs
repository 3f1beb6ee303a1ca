//! What went wrong, in the seven ways in which a caller can react.

/// The class of an error: maps once to HTTP, once to gRPC, once to a metric label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorClass {
    /// The input is wrong; the same input stays wrong.
    Caller,
    /// Nobody proved who they are, or they may not.
    Unauthorized,
    /// It is not there, or not for this caller.
    Missing,
    /// Somebody else changed it first.
    Conflict,
    /// A bound is reached; waiting helps.
    Overloaded,
    /// A part that we need does not answer now; trying again helps.
    Transient,
    /// Trying again does not help; an operator has to look.
    Permanent,
}

impl ErrorClass {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Unauthorized => "unauthorized",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
            Self::Overloaded => "overloaded",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
        }
    }

    /// Whether the same call may work a moment later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Overloaded | Self::Transient)
    }
}

/// An error that knows its class.
pub trait Classified: std::error::Error {
    /// The class.
    fn class(&self) -> ErrorClass;
}
