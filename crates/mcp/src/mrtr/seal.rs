//! `requestState`: the server's state in the client's hands, sealed so that the client can neither
//! read it nor change it nor use it elsewhere.
//!
//! A sealed state is the base64url of: format (1 byte), key id (4), salt (24), ciphertext, tag
//! (16). The cipher is ChaCha20-Poly1305 under a key that HKDF-SHA256 derives from the shared key
//! and the salt, so that edges can seal with one key for as long as they like without counting:
//! what has to be unique is the salt of 192 random bits. The plaintext is the expiry (8 bytes,
//! milliseconds since 1970) and the state. The associated data are format, key id and [`Binding`].
//!
//! Sealing does not give single use: what must happen once needs a record of the server's.

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

/// The format that we write, and the only one that we read.
const FORMAT: u8 = 1;
/// What the derived keys are for.
const PURPOSE: &[u8] = b"mcp requestState 1";
const SALT_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + 4 + SALT_BYTES;
const EXPIRY_BYTES: usize = 8;

/// A key that all edges share.
#[derive(Clone, PartialEq, Eq)]
pub struct StateKey {
    /// Names the key in sealed states; not secret.
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

/// Keys that are no keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none to seal with.
    #[error("there is no key for requestState")]
    None,
    /// Two have this id.
    #[error("two keys for requestState have the id {0}")]
    Twice(u32),
}

impl model::Classified for KeyError {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// A state that cannot be sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// More than 16 KiB.
    #[error("the state of a request has {0} bytes, more than {MAX_STATE_BYTES}")]
    TooLarge(usize),
    /// The cipher failed; it does not.
    #[error("sealing the state of a request")]
    Cipher,
}

impl model::Classified for SealError {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// A `requestState` that is not ours, not this principal's, not for this request, expired, or of a
/// key that is gone. One answer for all: which it is helps only who tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("requestState does not fit this request, or has expired; start again without it")]
pub struct BadState;

impl model::Classified for BadState {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Caller
    }
}

impl From<BadState> for RpcError {
    fn from(bad: BadState) -> Self {
        Self::invalid_params(bad.to_string()).with_data(json!({"reason": "requestState"}))
    }
}

/// Seals with the first key and opens with any. To rotate: add the new key at the end everywhere,
/// then put it first everywhere, then drop the old one when its last state has expired.
#[derive(Clone)]
pub struct StateKeys {
    keys: Vec<StateKey>,
}

/// Only the ids.
impl fmt::Debug for StateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

impl StateKeys {
    /// Takes the keys, the sealing one first.
    ///
    /// # Errors
    /// There is none, or two have the same id.
    pub fn new(keys: Vec<StateKey>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.id == key.id) {
                return Err(KeyError::Twice(key.id));
            }
        }
        Ok(Self { keys })
    }

    /// Seals a state until `expires_at`, for this binding alone. `ids` has to be unguessable.
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

    /// Opens a state that came back.
    ///
    /// # Errors
    /// It is not one of ours for this binding, or `now` is not before its expiry.
    pub fn open(
        &self,
        binding: &Binding,
        sealed: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, BadState> {
        if sealed.len() > MAX_REQUEST_STATE_BYTES {
            return Err(BadState);
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| BadState)?;
        let (head, body) = sealed.split_at_mut_checked(HEAD_BYTES).ok_or(BadState)?;
        let id = head[1..5].try_into().map(u32::from_be_bytes);
        let id = id.map_err(|_| BadState)?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or(BadState)?;
        if head[0] != FORMAT {
            return Err(BadState);
        }
        let cipher = cipher(key, &head[5..]).ok_or(BadState)?;
        let opened = cipher
            .open_in_place(nonce(), associated(&head[..5], binding), body)
            .map_err(|_| BadState)?;
        let (expiry, state) = opened.split_first_chunk::<EXPIRY_BYTES>().ok_or(BadState)?;
        if now >= Timestamp::from_unix_millis(i64::from_be_bytes(*expiry)) {
            return Err(BadState);
        }
        Ok(state.to_vec())
    }
}

/// The key of one sealed state.
fn cipher(key: &StateKey, salt: &[u8]) -> Option<LessSafeKey> {
    let pseudo_random = Salt::new(HKDF_SHA256, salt).extract(&key.secret);
    let derived = pseudo_random.expand(&[PURPOSE], &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(derived)))
}

/// Always the same: every key is used for one state.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn associated(head: &[u8], binding: &Binding) -> Aad<Vec<u8>> {
    Aad::from([head, binding.as_bytes()].concat())
}

#[cfg(test)]
mod tests;
