//! Who asks: tokens of users, the app's signed claims, tokens of installations.

use std::{collections::BTreeMap, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use model::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

use crate::keys::AccountKey;

/// The longest life of the app's claims.
const CLAIMS_LIVE: i64 = 600;
/// How far the app's clock may be ahead.
const CLOCK_AHEAD: i64 = 60;
/// Life of an installation's token.
pub const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// Length of the middle part of an installation's token: with the others it has some 520 characters.
const TOKEN_MIDDLE: usize = 430;

/// The private key of the app, as GitHub hands it out. It protects nothing.
pub const APP_PRIVATE_KEY: &str = include_str!("../fixtures/app-key.pem");

/// The app.
#[derive(Debug, Clone)]
pub struct FakeApp {
    /// Its id.
    pub id: u64,
    /// Its name in URLs.
    pub slug: String,
    /// Its other id.
    pub client_id: String,
    /// Who owns it.
    pub owner: AccountKey,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FakeCaller {
    /// Nobody: without a token.
    Anonymous,
    /// A user.
    User(AccountKey),
    /// An installation of the app.
    Installation(u64),
    /// The app itself.
    App,
}

#[derive(Debug, Clone, Copy)]
struct IssuedToken {
    caller: FakeCaller,
    expires_at: Option<Timestamp>,
}

/// All tokens. Their text is in no `Debug`.
pub(crate) struct TokenBook {
    pub(crate) app: FakeApp,
    public_key: Vec<u8>,
    tokens: BTreeMap<String, IssuedToken>,
    rng: StdRng,
}

impl std::fmt::Debug for TokenBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenBook({} tokens)", self.tokens.len())
    }
}

impl TokenBook {
    pub(crate) fn new(app: FakeApp, seed: u64) -> Self {
        let body: String = APP_PRIVATE_KEY
            .lines()
            .filter(|it| !it.starts_with('-'))
            .collect();
        let der = STANDARD.decode(body).expect("the fixture is PEM");
        let pair = RsaKeyPair::from_der(&der).expect("the fixture is an RSA key");
        Self {
            app,
            public_key: pair.public_key().as_ref().to_vec(),
            tokens: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed ^ 0x5eed),
        }
    }

    /// Makes a user's token known.
    pub(crate) fn admit(&mut self, token: &str, user: AccountKey) {
        let issued = IssuedToken {
            caller: FakeCaller::User(user),
            expires_at: None,
        };
        self.tokens.insert(token.to_owned(), issued);
    }

    /// Forgets a token.
    pub(crate) fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// A new token of an installation, and when it ends.
    pub(crate) fn issue(&mut self, installation: u64, now: Timestamp) -> (String, Timestamp) {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
        let mut part = |length: usize| -> String {
            let digits = (0..length).map(|_| DIGITS[self.rng.random_range(0..DIGITS.len())]);
            digits.map(char::from).collect()
        };
        let token = format!("ghs_{}.{}.{}", part(40), part(TOKEN_MIDDLE), part(43));
        let expires_at = now.plus(TOKEN_LIFE);
        let issued = IssuedToken {
            caller: FakeCaller::Installation(installation),
            expires_at: Some(expires_at),
        };
        self.tokens.insert(token.clone(), issued);
        (token, expires_at)
    }

    /// Who asks with this `Authorization`; an error is the message of a 401.
    pub(crate) fn caller(
        &self,
        header: Option<&str>,
        now: Timestamp,
    ) -> Result<FakeCaller, String> {
        let Some(header) = header else {
            return Ok(FakeCaller::Anonymous);
        };
        let token = header
            .split_once(' ')
            .filter(|(scheme, _)| {
                scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")
            })
            .map(|(_, token)| token.trim());
        let bad = || "Bad credentials".to_owned();
        let token = token.ok_or_else(bad)?;
        if let Some(issued) = self.tokens.get(token) {
            let is_over = issued.expires_at.is_some_and(|end| end <= now);
            return if is_over {
                Err(bad())
            } else {
                Ok(issued.caller)
            };
        }
        if !token.starts_with("gh") && token.split('.').count() == 3 {
            return self.app_of(token, now).map(|()| FakeCaller::App);
        }
        Err(bad())
    }

    /// Checks the app's claims (a JSON Web Token, RS256).
    fn app_of(&self, token: &str, now: Timestamp) -> Result<(), String> {
        let undecodable = || "A JSON web token could not be decoded".to_owned();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(undecodable)?;
        let (header, claims) = signed.split_once('.').ok_or_else(undecodable)?;
        let read = |text: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
        };
        let header = read(header).ok_or_else(undecodable)?;
        let claims = read(claims).ok_or_else(undecodable)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| undecodable())?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        if header["alg"] != "RS256" || key.verify(signed.as_bytes(), &signature).is_err() {
            return Err(undecodable());
        }
        let issuer = match &claims["iss"] {
            Value::Number(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        if issuer != self.app.id.to_string() && issuer != self.app.client_id {
            return Err("'Issuer' claim ('iss') must be an Integer".to_owned());
        }
        let seconds = now.unix_millis() / 1000;
        let iat = claims["iat"]
            .as_i64()
            .filter(|iat| *iat <= seconds + CLOCK_AHEAD);
        let exp = claims["exp"].as_i64().filter(|exp| *exp > seconds);
        let Some(iat) = iat else {
            return Err("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was \
                        issued"
                .to_owned());
        };
        let Some(exp) = exp else {
            return Err("'Expiration time' claim ('exp') must be a numeric value representing the future time at \
                        which the assertion expires"
                .to_owned());
        };
        if exp - iat.max(seconds) > CLAIMS_LIVE {
            return Err("'Expiration time' claim ('exp') is too far in the future".to_owned());
        }
        Ok(())
    }
}
