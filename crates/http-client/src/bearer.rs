//! Bearer tokens.

use std::fmt;

use http::HeaderValue;
use model::{Classified, ErrorClass};

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// The value of `Authorization` for a bearer token; never shown.
#[derive(Clone)]
pub struct BearerToken(HeaderValue);

/// The text cannot be a token. It is not repeated, because it may be a secret all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token has 1 to {MAX_TOKEN_BYTES} visible characters of ASCII")]
pub struct BearerError;

impl Classified for BearerError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

impl BearerToken {
    /// Takes a token; white space around it is ignored.
    ///
    /// # Errors
    /// It is empty, longer than 4,096 bytes, or has other characters than visible ASCII.
    pub fn new(token: &str) -> Result<Self, BearerError> {
        let token = token.trim();
        let fits = (1..=MAX_TOKEN_BYTES).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(BearerError);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| BearerError)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The value of the header.
    #[must_use]
    pub const fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_never_shown_and_what_is_none_is_refused() {
        let token = BearerToken::new(" fw_secret\n").unwrap();
        assert_eq!(token.header(), "Bearer fw_secret");
        assert!(!format!("{token:?}{:?}", token.header()).contains("fw_secret"));
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        for none in ["", " \n", "a b", "ä", &long] {
            assert_eq!(BearerToken::new(none).map(drop), Err(BearerError));
        }
    }
}
