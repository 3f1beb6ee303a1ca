//! `X-Hub-Signature-256`: HMAC-SHA256 over the raw body.
//!
//! Source: GitHub, "Validating webhook deliveries". A webhook has one secret, so while it is
//! rotated two secrets are valid: a delivery is accepted if any configured secret signed it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use service_kit::config::Secret;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// Bytes of a signature.
pub(crate) const DIGEST_BYTES: usize = 32;
const PREFIX: &str = "sha256=";

/// The reason why a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is not `sha256=` and 64 hexadecimal digits.
    #[error("X-Hub-Signature-256 is not sha256= and 64 hexadecimal digits")]
    Malformed,
    /// None of the configured secrets made it for this body.
    #[error("none of the configured webhook secrets made this signature for this body")]
    Wrong,
}

/// Parses the header: `sha256=` (in lower case, as GitHub writes it) and exactly 64 hexadecimal
/// digits.
///
/// # Errors
/// [`SignatureError::Malformed`] for anything else.
pub fn parse(header: &str) -> Result<[u8; DIGEST_BYTES], SignatureError> {
    let digits = header
        .strip_prefix(PREFIX)
        .ok_or(SignatureError::Malformed)?;
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != DIGEST_BYTES || !rest.is_empty() {
        return Err(SignatureError::Malformed);
    }
    let mut digest = [0; DIGEST_BYTES];
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = (nibble(*high)? << 4) | nibble(*low)?;
    }
    Ok(digest)
}

/// Prefix of what [`digest_for_readers`] digests, so that no other digest of a signature equals it.
const READERS_CONTEXT: &[u8] = b"forgewire signed body 1\0";

/// A digest of a signature, 32 hexadecimal digits. The signature itself would let whoever reads an event send
/// its body again.
pub(crate) fn digest_for_readers(signature: &[u8; DIGEST_BYTES]) -> String {
    let digest = Sha256::new()
        .chain_update(READERS_CONTEXT)
        .chain_update(signature)
        .finalize();
    let mut text = String::with_capacity(DIGEST_BYTES);
    for byte in &digest[..DIGEST_BYTES / 2] {
        for digit in [byte >> 4, byte & 0xf] {
            text.push(char::from(HEX_DIGITS[usize::from(digit)]));
        }
    }
    text
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

fn nibble(digit: u8) -> Result<u8, SignatureError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(SignatureError::Malformed),
    }
}

/// Checks signatures against all secrets in use.
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<Hmac<Sha256>>,
}

impl Verifier {
    /// Takes the secrets. Without any, every signature is refused.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        let key = |secret: &Secret| {
            Hmac::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length")
        };
        Self {
            keys: secrets.iter().map(key).collect(),
        }
    }

    /// Checks that one of the secrets signed `body`. Takes the same time whichever secret it was,
    /// and wherever a wrong signature differs.
    ///
    /// # Errors
    /// The header is malformed, or the signature is wrong.
    pub fn verify(&self, header: &str, body: &[u8]) -> Result<(), SignatureError> {
        let given = parse(header)?;
        let mut good = Choice::from(0);
        for key in &self.keys {
            let mut mac = key.clone();
            mac.update(body);
            let computed: [u8; DIGEST_BYTES] = mac.finalize().into_bytes().into();
            good |= computed.ct_eq(&given);
        }
        if bool::from(good) {
            Ok(())
        } else {
            Err(SignatureError::Wrong)
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} secrets)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // GitHub's own test vector ("Testing the webhook payload validation").
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verifier(secrets: &[&str]) -> Verifier {
        let secrets: Vec<Secret> = secrets
            .iter()
            .map(|text| serde_json::from_value(serde_json::json!(text)).unwrap())
            .collect();
        Verifier::new(&secrets)
    }

    #[test]
    fn githubs_own_example_is_good() {
        assert_eq!(verifier(&[SECRET]).verify(SIGNATURE, BODY), Ok(()));
        let upper = SIGNATURE.to_uppercase().replace("SHA256", "sha256");
        assert_eq!(verifier(&[SECRET]).verify(&upper, BODY), Ok(()));
    }

    #[test]
    fn any_of_several_secrets_is_good_in_any_place() {
        for secrets in [[SECRET, "b", "c"], ["a", SECRET, "c"], ["a", "b", SECRET]] {
            assert_eq!(verifier(&secrets).verify(SIGNATURE, BODY), Ok(()));
        }
    }

    #[test]
    fn another_secret_another_body_or_none_is_wrong() {
        let wrong = Err(SignatureError::Wrong);
        assert_eq!(verifier(&["other"]).verify(SIGNATURE, BODY), wrong);
        assert_eq!(verifier(&[SECRET]).verify(SIGNATURE, b"Hello"), wrong);
        assert_eq!(verifier(&[]).verify(SIGNATURE, BODY), wrong);
    }

    #[test]
    fn a_header_of_another_shape_is_malformed() {
        let digits = &SIGNATURE["sha256=".len()..];
        for header in [
            "",
            "sha256=",
            digits,
            &format!("sha1={digits}"),
            &format!("SHA256={digits}"),
            &format!("sha256= {digits}"),
            &format!("sha256={digits}0"),
            &format!("sha256={}", &digits[1..]),
            &format!("sha256=+{}", &digits[1..]),
            &format!("sha256={}g", &digits[1..]),
        ] {
            assert_eq!(parse(header), Err(SignatureError::Malformed), "{header}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", verifier(&[SECRET])), "Verifier(1 secrets)");
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(header in "\\PC{0,200}") {
            let _ = parse(&header);
        }

        #[test]
        fn every_digest_survives_its_header(digest: [u8; 32]) {
            let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(parse(&format!("sha256={digits}")), Ok(digest));
        }
    }
}
