//! Errors as text for logs and operators.

use std::error::Error;

/// An error with its causes on one line, outermost first. Our errors never repeat their source in their own
/// text, so without its causes an error does not say what failed.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the store cannot append now")]
    struct Broken(#[source] Reset);

    #[derive(Debug, thiserror::Error)]
    #[error("the connection was reset")]
    struct Reset(#[source] io::Error);

    #[test]
    fn every_cause_is_named_once_and_in_order() {
        let error = Broken(Reset(io::Error::other("10.0.0.7:6379 refused")));
        let text = "the store cannot append now: the connection was reset: 10.0.0.7:6379 refused";
        assert_eq!(error_chain(&error), text);
        assert_eq!(error_chain(&io::Error::other("alone")), "alone");
    }
}
