//! Error classes: the seven ways in which a caller can react to an error.

/// The class of an error: it maps once to HTTP, once to gRPC, once to a metric label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorClass {
    /// The input is wrong; the same input stays wrong.
    Caller,
    /// The caller is not authenticated, or not permitted.
    Unauthorized,
    /// It does not exist, or not for this caller.
    Missing,
    /// Another caller changed it first.
    Conflict,
    /// A limit is reached; waiting helps.
    Overloaded,
    /// A required component does not answer now; retrying helps.
    Transient,
    /// Retrying does not help; an operator has to intervene.
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

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Overloaded | Self::Transient)
    }

    /// Whether a component of ours failed, of which a client reads no details.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Transient | Self::Permanent)
    }

    /// What a client reads of the failure of a component, whichever it is.
    #[must_use]
    pub const fn failure_text(self) -> &'static str {
        match self {
            Self::Overloaded => "a store of the server has no room for this now; try again later",
            Self::Permanent => {
                "a part of the server is out of order; trying again does not help until its operator has mended it"
            }
            _ => "a part of the server does not answer now; try again in a moment",
        }
    }
}

/// An error that knows its class.
pub trait Classified: std::error::Error {
    /// The class.
    fn class(&self) -> ErrorClass;
}

/// An error that a client may read.
pub trait PublicError: Classified {
    /// The stable code, for programs.
    fn code(&self) -> &'static str;

    /// What the user reads: the caller's mistakes, what does not exist and bounds in full, troubles of ours
    /// in a sentence, which says whether another try helps.
    fn public_text(&self) -> String {
        match self.class() {
            class if class.is_ours() => class.failure_text().to_owned(),
            _ => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("private")]
    struct Failure(ErrorClass);

    impl Classified for Failure {
        fn class(&self) -> ErrorClass {
            self.0
        }
    }

    impl PublicError for Failure {
        fn code(&self) -> &'static str {
            "failure"
        }
    }

    #[test]
    fn only_an_error_that_another_try_may_mend_asks_for_one() {
        for class in [ErrorClass::Transient, ErrorClass::Permanent] {
            let text = Failure(class).public_text();
            assert_eq!(text.contains("; try again"), class.is_retryable(), "{text}");
            assert!(!text.contains("private"), "{text}");
        }
    }
}
