//! The secrets of the ingest: signatures are made with the first, and checked with all.

use std::fmt::{self, Write};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const PREFIX: &str = "sha256=";

/// The secrets; never shown.
#[derive(Clone)]
pub(crate) struct RelaySecrets {
    keys: Vec<Hmac<Sha256>>,
}

impl fmt::Debug for RelaySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelaySecrets({})", self.keys.len())
    }
}

impl RelaySecrets {
    /// Keys of these secrets; `None` if there is none, or an empty one.
    pub(crate) fn new(secrets: &[&str]) -> Option<Self> {
        let usable = !secrets.is_empty() && secrets.iter().all(|secret| !secret.trim().is_empty());
        let key = |secret: &&str| {
            Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")
        };
        usable.then(|| Self {
            keys: secrets.iter().map(key).collect(),
        })
    }

    /// The value of `X-Hub-Signature-256` for a body, by the first secret.
    pub(crate) fn sign(&self, body: &[u8]) -> String {
        let mut mac = self.keys[0].clone();
        mac.update(body);
        let digest = mac.finalize().into_bytes();
        digest.iter().fold(PREFIX.to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("text grows without an error");
            text
        })
    }

    /// Whether one of the secrets made this signature for this body.
    pub(crate) fn verify(&self, signature: &str, body: &[u8]) -> bool {
        let Some(digest) = digest(signature) else {
            return false;
        };
        self.keys.iter().any(|key| {
            let mut mac = key.clone();
            mac.update(body);
            mac.verify_slice(&digest).is_ok()
        })
    }
}

/// The bytes of a signature: `sha256=` and 64 hexadecimal digits.
fn digest(signature: &str) -> Option<[u8; 32]> {
    let digits = signature.strip_prefix(PREFIX)?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_its_body_and_any_of_the_secrets() {
        // GitHub's own example ("Validating webhook deliveries").
        let github = RelaySecrets::new(&["It's a Secret to Everybody"]).unwrap();
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(github.sign(b"Hello, World!"), signature);
        let rotated = RelaySecrets::new(&["new", "It's a Secret to Everybody"]).unwrap();
        assert!(rotated.verify(signature, b"Hello, World!"));
        assert!(!rotated.verify(signature, b"Hello, World"));
        assert!(
            !RelaySecrets::new(&["new"])
                .unwrap()
                .verify(signature, b"Hello, World!")
        );
        for wrong in [
            "",
            "sha256=",
            "sha256=00",
            &signature[7..],
            &signature[..70],
        ] {
            assert!(!github.verify(wrong, b"Hello, World!"), "{wrong}");
        }
        assert!(RelaySecrets::new(&[]).is_none() && RelaySecrets::new(&["a", " "]).is_none());
        assert!(!format!("{rotated:?}").contains("new"));
    }
}
