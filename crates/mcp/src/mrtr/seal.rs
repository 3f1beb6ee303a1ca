//! `requestState`: the server's state, kept by the client and sealed so that the client can neither
//! read it, nor change it, nor use it elsewhere.
//!
//! A sealed state is the base64url of: format (1 byte), key id (4), salt (24), ciphertext, tag
//! (16). The cipher is ChaCha20-Poly1305 under a key that HKDF-SHA256 derives from the shared key
//! and the salt. Edges can therefore seal with one key indefinitely and without a counter: only the
//! salt of 192 random bits has to be unique. The plaintext is the expiry (8 bytes, milliseconds
//! since 1970) and the state. The associated data are format, key id and [`Binding`].
//!
//! Sealing does not guarantee single use: an action that must happen only once needs a record on
//! the server.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::{IdSource, Timestamp};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use serde_json::json;

use super::Binding;
use crate::{
    envelope::RpcError,
    limits::{MAX_REQUEST_STATE_BYTES, MAX_STATE_BYTES},
};

/// The format that this crate writes, and the only one that it reads.
const FORMAT: u8 = 1;
/// The purpose of the derived keys.
const PURPOSE: &[u8] = b"mcp requestState 1";
const SALT_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + 4 + SALT_BYTES;
const EXPIRY_BYTES: usize = 8;

/// A key that all edges share.
#[derive(Clone, PartialEq, Eq)]
pub struct StateKey {
    /// The id of the key in sealed states; not secret.
    pub id: u32,
    /// 32 random bytes.
    pub secret: [u8; 32],
}

/// Never shows the secret.
impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateKey({})", self.id)
    }
}

/// The reason why a set of keys is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no key to seal with.
    #[error("there is no key for requestState")]
    None,
    /// Two keys have this id.
    #[error("two keys for requestState have the id {0}")]
    DuplicateId(u32),
}

impl model::Classified for KeyError {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// The reason why a state cannot be sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// More than 16 KiB.
    #[error("the state of a request has {0} bytes, more than {MAX_STATE_BYTES}")]
    TooLarge(usize),
    /// The cipher failed, which is not expected to happen.
    #[error("sealing the state of a request")]
    Cipher,
}

impl model::Classified for SealError {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// A `requestState` that this server did not issue, or that belongs to another principal or another
/// request, has expired, or was sealed with a key that is gone. One error for all cases: the
/// distinction would help only an attacker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("requestState does not fit this request, or has expired; start again without it")]
pub struct InvalidRequestState;

impl model::Classified for InvalidRequestState {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Caller
    }
}

impl From<InvalidRequestState> for RpcError {
    fn from(bad: InvalidRequestState) -> Self {
        Self::invalid_params(bad.to_string()).with_data(json!({"reason": "requestState"}))
    }
}

/// Seals with the first key and opens with any. To rotate: add the new key at the end everywhere,
/// then put it first everywhere, then drop the old one after its last state has expired.
#[derive(Clone)]
pub struct StateKeys {
    keys: Vec<StateKey>,
}

/// Shows only the ids.
impl fmt::Debug for StateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

impl StateKeys {
    /// Accepts the keys, the sealing one first.
    ///
    /// # Errors
    /// There are no keys, or two have the same id.
    pub fn new(keys: Vec<StateKey>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.id == key.id) {
                return Err(KeyError::DuplicateId(key.id));
            }
        }
        Ok(Self { keys })
    }

    /// Seals a state until `expires_at`, for this binding only. `ids` must be unguessable.
    ///
    /// # Errors
    /// The state has more than 16 KiB.
    pub fn seal(
        &self,
        binding: &Binding,
        state: &[u8],
        expires_at: Timestamp,
        ids: &dyn IdSource,
    ) -> Result<String, SealError> {
        if state.len() > MAX_STATE_BYTES {
            return Err(SealError::TooLarge(state.len()));
        }
        let key = &self.keys[0];
        let mut sealed = Vec::with_capacity(HEAD_BYTES + EXPIRY_BYTES + state.len() + 16);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&key.id.to_be_bytes());
        for _ in 0..SALT_BYTES / 8 {
            sealed.extend_from_slice(&ids.random_u64().to_be_bytes());
        }
        let mut body = Vec::with_capacity(EXPIRY_BYTES + state.len() + 16);
        body.extend_from_slice(&expires_at.unix_millis().to_be_bytes());
        body.extend_from_slice(state);
        let cipher = cipher(key, &sealed[5..]).ok_or(SealError::Cipher)?;
        cipher
            .seal_in_place_append_tag(nonce(), associated(&sealed[..5], binding), &mut body)
            .map_err(|_| SealError::Cipher)?;
        sealed.extend_from_slice(&body);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a state that the client returned.
    ///
    /// # Errors
    /// It was not sealed by one of these keys for this binding, or `now` is not before its expiry.
    pub fn open(
        &self,
        binding: &Binding,
        sealed: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, InvalidRequestState> {
        if sealed.len() > MAX_REQUEST_STATE_BYTES {
            return Err(InvalidRequestState);
        }
        let mut sealed = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| InvalidRequestState)?;
        let (head, body) = sealed
            .split_at_mut_checked(HEAD_BYTES)
            .ok_or(InvalidRequestState)?;
        let id = head[1..5].try_into().map(u32::from_be_bytes);
        let id = id.map_err(|_| InvalidRequestState)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or(InvalidRequestState)?;
        if head[0] != FORMAT {
            return Err(InvalidRequestState);
        }
        let cipher = cipher(key, &head[5..]).ok_or(InvalidRequestState)?;
        let opened = cipher
            .open_in_place(nonce(), associated(&head[..5], binding), body)
            .map_err(|_| InvalidRequestState)?;
        let (expiry, state) = opened
            .split_first_chunk::<EXPIRY_BYTES>()
            .ok_or(InvalidRequestState)?;
        if now >= Timestamp::from_unix_millis(i64::from_be_bytes(*expiry)) {
            return Err(InvalidRequestState);
        }
        Ok(state.to_vec())
    }
}

/// The cipher for one sealed state.
fn cipher(key: &StateKey, salt: &[u8]) -> Option<LessSafeKey> {
    let pseudo_random = Salt::new(HKDF_SHA256, salt).extract(&key.secret);
    let derived = pseudo_random.expand(&[PURPOSE], &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(derived)))
}

/// Always the same, because every key seals a single state.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn associated(head: &[u8], binding: &Binding) -> Aad<Vec<u8>> {
    Aad::from([head, binding.as_bytes()].concat())
}

#[cfg(test)]
mod tests;
