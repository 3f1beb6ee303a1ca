//! The secrets that all edges share, and the two keys that a seal needs.

use std::fmt;

use ring::hmac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Epoch;

/// Purposes of the derived keys.
const MAC: &[u8] = b"forgewire cursor 6: mac";
const STREAM: &[u8] = b"forgewire cursor 6: stream";
const LOG: &[u8] = b"forgewire cursor 7: key of a log";

/// Bytes of a synthetic nonce. With 96 bits, two of 2^32 cursors have the same with a probability of 1 in
/// 2^33, and a guess is right with one of 1 in 2^96.
pub(super) const NONCE_BYTES: usize = 12;
/// Bytes of one block of the key stream.
const BLOCK_BYTES: usize = 32;

/// A secret that all edges share.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedKey {
    id: u32,
    secret: [u8; 32],
}

/// Never shows the secret.
impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedKey({})", self.id)
    }
}

impl SharedKey {
    /// The key with this text, which an operator chose at random. Its id is derived from the text, so that
    /// operators need not number keys.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self::of_secret(Sha256::digest(text.as_bytes()).into())
    }

    /// A key for the cursors of one log, for edges without a key of their own. It keeps a position from
    /// being read off; it is as secret as the identity of the log.
    pub(super) fn of_log(epoch: Epoch) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, LOG);
        let tag = hmac::sign(&key, &epoch.0.to_be_bytes());
        let mut secret = [0; 32];
        secret.copy_from_slice(tag.as_ref());
        Self::of_secret(secret)
    }

    /// The key with this secret, which is the digest of something that strangers do not know.
    #[must_use]
    pub fn of_secret(secret: [u8; 32]) -> Self {
        let name = Sha256::digest(secret);
        let id = u32::from_be_bytes([name[0], name[1], name[2], name[3]]);
        Self { id, secret }
    }

    /// The id of the key in what it seals; not secret.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The secret itself.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// Seals short texts: deterministic authenticated encryption from one pseudorandom function, HMAC-SHA256
/// (the construction of SIV, RFC 5297). The nonce is the MAC of the head and the plain text; the plain text
/// is hidden by the key stream that belongs to the nonce. Deterministic, because all streams of a reader
/// share a frame, and because a random nonce would need as many bytes again.
#[derive(Clone)]
pub(super) struct SealingKey {
    id: u32,
    mac: hmac::Key,
    stream: hmac::Key,
}

/// Shows only the id.
impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

impl SealingKey {
    pub(super) fn new(key: &SharedKey) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &key.secret);
        let derived = |purpose| {
            let secret = hmac::sign(&root, purpose);
            hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref())
        };
        Self {
            id: key.id,
            mac: derived(MAC),
            stream: derived(STREAM),
        }
    }

    pub(super) const fn id(&self) -> u32 {
        self.id
    }

    /// Hides `body` in place; returns the nonce.
    pub(super) fn seal(&self, head: &[u8], body: &mut [u8]) -> [u8; NONCE_BYTES] {
        let nonce = self.code(head, body);
        self.apply_stream(nonce, body);
        nonce
    }

    /// Reveals `body` in place; returns whether it was sealed with this key and this head.
    pub(super) fn open(&self, head: &[u8], nonce: [u8; NONCE_BYTES], body: &mut [u8]) -> bool {
        self.apply_stream(nonce, body);
        self.code(head, body).ct_eq(&nonce).into()
    }

    /// The authentication code of `body` under a head; it is the nonce of what is sealed.
    pub(super) fn code(&self, head: &[u8], body: &[u8]) -> [u8; NONCE_BYTES] {
        let mut mac = hmac::Context::with_key(&self.mac);
        mac.update(head);
        mac.update(body);
        let tag = mac.sign();
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&tag.as_ref()[..NONCE_BYTES]);
        nonce
    }

    fn apply_stream(&self, nonce: [u8; NONCE_BYTES], body: &mut [u8]) {
        let mut input = [0; NONCE_BYTES + 1];
        input[..NONCE_BYTES].copy_from_slice(&nonce);
        for block in body.chunks_mut(BLOCK_BYTES) {
            let stream = hmac::sign(&self.stream, &input);
            let hide = |(byte, with): (&mut u8, &u8)| *byte ^= with;
            block.iter_mut().zip(stream.as_ref()).for_each(hide);
            // At most 34 blocks: the longest body has the place in a list.
            input[NONCE_BYTES] += 1;
        }
    }
}
