//! Digests of tokens: tokens themselves are never stored.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Minimum length of a token that is given a digest, in characters. The digest has no salt, so a
/// token has to be too random to be guessed.
const MIN_TOKEN_CHARACTERS: usize = 32;
/// Maximum length of a token that is examined, in characters.
const MAX_TOKEN_CHARACTERS: usize = 512;

/// A text that cannot be a token; the error repeats nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Longer than 512 characters, empty, or with characters that RFC 6750 §2.1 does not allow.
    #[error(
        "a token is 1 to {MAX_TOKEN_CHARACTERS} letters, digits and -._~+/, maybe with = at the end"
    )]
    Form,
    /// Short enough to be guessed from its digest.
    #[error(
        "a token needs at least {MIN_TOKEN_CHARACTERS} random characters, \
         or its digest gives it away"
    )]
    Short,
}

/// The SHA-256 of a token.
///
/// Comparison takes the same time wherever two digests differ. The time of a look-up may still
/// depend on the digest, but an attacker cannot choose tokens by their digest.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a new token.
    ///
    /// # Errors
    /// The text is not a token, or is short enough to be guessed.
    pub fn of_new(token: &str) -> Result<Self, InvalidToken> {
        let digest = Self::of(token)?;
        if token.len() < MIN_TOKEN_CHARACTERS {
            return Err(InvalidToken::Short);
        }
        Ok(digest)
    }

    /// The digest of a token in a request.
    pub fn of(token: &str) -> Result<Self, InvalidToken> {
        let body = token.trim_end_matches('=');
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
        let bounded = token.len() <= MAX_TOKEN_CHARACTERS;
        if !bounded || body.is_empty() || !body.bytes().all(allowed) {
            return Err(InvalidToken::Form);
        }
        Ok(Self(Sha256::digest(token.as_bytes()).into()))
    }

    /// Reads 64 hexadecimal digits.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// 64 hexadecimal digits, for the token file. There is no `Display`, so that no digest gets
    /// into a log by accident.
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write;
        self.0
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                // Writing into a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenDigest {}

impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_digest_is_what_sha256sum_says_and_debug_does_not_tell_it() {
        // FIPS 180-2, appendix B.1.
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = TokenDigest::of("abc").unwrap();
        assert_eq!(digest.to_hex(), hex);
        assert_eq!(TokenDigest::from_hex(&hex.to_uppercase()), Some(digest));
        assert!(!format!("{digest:?}").contains("ba78"));
    }

    #[test]
    fn what_cannot_be_a_token_is_not_looked_up() {
        let long = "a".repeat(MAX_TOKEN_CHARACTERS + 1);
        for bad in ["", "=", "a b", "a,b", "a=b", "\u{e9}", "a\n", long.as_str()] {
            assert_eq!(TokenDigest::of(bad), Err(InvalidToken::Form), "{bad:?}");
        }
        assert_eq!(TokenDigest::of_new("password"), Err(InvalidToken::Short));
        assert!(TokenDigest::of_new(&"a".repeat(32)).is_ok());
    }

    proptest! {
        #[test]
        fn a_digest_survives_its_text(token in "[A-Za-z0-9._~+/-]{1,64}={0,2}") {
            let digest = TokenDigest::of(&token).unwrap();
            prop_assert_eq!(TokenDigest::from_hex(&digest.to_hex()), Some(digest));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = (TokenDigest::of(&text), TokenDigest::from_hex(&text));
        }
    }
}
