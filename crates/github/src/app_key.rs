//! The key of a GitHub App, and the tokens (JWT, RS256) that it signs for the App itself.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_client::BearerToken;
use model::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

use crate::limits::{JWT_LEEWAY, JWT_LIFE};

/// `{"alg":"RS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";

/// The private key of an App.
pub(crate) struct AppKey {
    pair: RsaKeyPair,
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey(…)")
    }
}

impl AppKey {
    /// Reads a key in PEM: GitHub gives `RSA PRIVATE KEY` (PKCS#1); other tools write `PRIVATE KEY` (PKCS#8).
    ///
    /// # Errors
    /// It is no RSA key of 2,048 to 4,096 bits; the text repeats nothing of it.
    pub(crate) fn from_pem(text: &str) -> Result<Self, String> {
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(
            |_| "holds no private key in PEM; use the file that GitHub gives for the App",
        )?;
        let pair = match &key {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err("holds a key that is not RSA; GitHub Apps have RSA keys".to_owned()),
        };
        let pair =
            pair.map_err(|rejected| format!("holds a key that cannot be used ({rejected})"))?;
        Ok(Self { pair })
    }

    /// A token for the App, from a minute before `now`, against clocks that differ, for nine minutes.
    pub(crate) fn token(&self, app: u64, now: Timestamp) -> BearerToken {
        let seconds = |time: Timestamp| time.unix_millis() / 1000;
        let (begins, ends) = (seconds(now.minus(JWT_LEEWAY)), seconds(now.plus(JWT_LIFE)));
        let claims = format!(r#"{{"iat":{begins},"exp":{ends},"iss":"{app}"}}"#);
        let signed = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let random = SystemRandom::new();
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .expect("the signature has the length of the modulus");
        let signature = URL_SAFE_NO_PAD.encode(signature);
        BearerToken::new(&format!("{signed}.{signature}"))
            .expect("base64url is visible ASCII, and a key has at most 4,096 bits")
    }
}
