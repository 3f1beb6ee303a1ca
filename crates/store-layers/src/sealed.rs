//! Bodies are sealed: whoever reads the store cannot read them, and whoever writes to it cannot make one up, change
//! one, or move one to another place.
//!
//! A sealed body is a tag (1 byte), key id (4), salt (24), ciphertext, authentication code (16). The cipher is
//! ChaCha20-Poly1305 under a key that HKDF-SHA256 derives from the operator's key and the salt, as for
//! `requestState` (`mcp::mrtr`): one key seals any number of bodies, because only the salt of 192 random bits has
//! to be unique. The associated data are tag, key id and place.
//!
//! The place of an entry is the digest of its id: a store knows no position before it has stored an entry, and
//! entries may be copied into another log. The place of a record is its collection and id. Not protected: an
//! older state of a record that is put back in its place, an entry that is removed, lengths and times.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use model::{IdSource, SharedKey};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
};

use crate::body_layer::{BodyLayer, BodyPlace, LayerError, LayerTags, TaggedBody};

const TAGS: LayerTags = LayerTags {
    changed: 0xc3,
    plain: 0xc2,
};
/// The purpose of the derived keys.
const PURPOSE: &[u8] = b"forgewire body 1";
const ID_BYTES: usize = 1 + 4;
const SALT_BYTES: usize = 24;
const HEAD_BYTES: usize = ID_BYTES + SALT_BYTES;
const CODE_BYTES: usize = 16;

/// Seals bodies with the first key and opens them with any. To rotate: add the new key at the end everywhere, then
/// put it first everywhere, and remove the old one when nothing that it sealed is kept any more.
///
/// Without a key it seals nothing, and says of sealed bodies which key they need.
#[derive(Clone)]
pub struct Sealed {
    keys: Arc<[SharedKey]>,
    ids: Arc<dyn IdSource>,
    takes_unsealed: bool,
}

/// Shows only the ids of keys.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("keys", &self.keys)
            .field("takes_unsealed", &self.takes_unsealed)
            .finish_non_exhaustive()
    }
}

impl Sealed {
    /// Seals with these keys, the sealing one first; `ids` gives salts. `takes_unsealed` says whether bodies are
    /// read that are not sealed: those from before there was a key, and what anybody else puts into the store.
    #[must_use]
    pub fn new(
        keys: impl IntoIterator<Item = SharedKey>,
        ids: Arc<dyn IdSource>,
        takes_unsealed: bool,
    ) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            ids,
            takes_unsealed,
        }
    }

    fn salt(&self) -> [u8; SALT_BYTES] {
        let mut salt = [0; SALT_BYTES];
        for part in salt.chunks_exact_mut(8) {
            part.copy_from_slice(&self.ids.random_u64().to_be_bytes());
        }
        salt
    }

    fn open(&self, place: BodyPlace<'_>, sealed: Bytes) -> Result<Bytes, LayerError> {
        if sealed.len() < HEAD_BYTES + CODE_BYTES {
            return Err(LayerError::new("a sealed body ends within its head"));
        }
        let id = u32::from_be_bytes([sealed[1], sealed[2], sealed[3], sealed[4]]);
        let key = self.keys.iter().find(|key| key.id() == id);
        let key = key.ok_or_else(|| {
            LayerError::new(format!(
                "the body is sealed with the key {id:08x}, which layers.seal_keys and layers.seal_key_files do not \
                 have; add that key at the end"
            ))
        })?;
        let cipher = cipher(key, &sealed[ID_BYTES..HEAD_BYTES])?;
        let associated = associated(&sealed[..ID_BYTES], place)?;
        // In place, if nothing else holds these bytes.
        let mut sealed = sealed
            .try_into_mut()
            .unwrap_or_else(|it| BytesMut::from(&it[..]));
        let mut body = sealed.split_off(HEAD_BYTES);
        let opened = cipher.open_in_place(nonce(), Aad::from(associated), &mut body);
        let length = match opened {
            Ok(opened) => opened.len(),
            Err(_) => {
                return Err(LayerError::new(format!(
                    "the body is not what the key {id:08x} sealed for this place"
                )));
            }
        };
        body.truncate(length);
        Ok(body.freeze())
    }
}

impl BodyLayer for Sealed {
    fn added_bytes(&self) -> usize {
        match self.keys.is_empty() {
            true => LayerTags::BYTES,
            false => HEAD_BYTES + CODE_BYTES,
        }
    }

    fn write(&self, place: BodyPlace<'_>, body: Bytes) -> Result<Bytes, LayerError> {
        let Some(key) = self.keys.first() else {
            return Ok(TAGS.unchanged(body));
        };
        let mut sealed = BytesMut::with_capacity(HEAD_BYTES + body.len() + CODE_BYTES);
        sealed.extend_from_slice(&[TAGS.changed]);
        sealed.extend_from_slice(&key.id().to_be_bytes());
        sealed.extend_from_slice(&self.salt());
        let cipher = cipher(key, &sealed[ID_BYTES..])?;
        let associated = associated(&sealed[..ID_BYTES], place)?;
        sealed.extend_from_slice(&body);
        let code = cipher
            .seal_in_place_separate_tag(nonce(), Aad::from(associated), &mut sealed[HEAD_BYTES..])
            .map_err(|_| LayerError::new("the cipher does not seal the body"))?;
        sealed.extend_from_slice(code.as_ref());
        Ok(sealed.freeze())
    }

    fn read(&self, place: BodyPlace<'_>, stored: Bytes) -> Result<Bytes, LayerError> {
        match TAGS.read(stored) {
            TaggedBody::Changed(sealed) => self.open(place, sealed),
            TaggedBody::Plain(body) if self.takes_unsealed || self.keys.is_empty() => Ok(body),
            TaggedBody::Plain(_) => Err(LayerError::new(
                "the body is not sealed; layers.accept_unsealed = true reads those from before there was a key",
            )),
        }
    }
}

/// The cipher for one salt.
fn cipher(key: &SharedKey, salt: &[u8]) -> Result<LessSafeKey, LayerError> {
    let derived: Prk = Salt::new(HKDF_SHA256, salt).extract(key.secret());
    let failed = |_| LayerError::new("the key of a body cannot be derived");
    let key = derived.expand(&[PURPOSE], &CHACHA20_POLY1305);
    Ok(LessSafeKey::new(UnboundKey::from(key.map_err(failed)?)))
}

/// Each salt has a key of its own, so one nonce is enough.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Tag, key id and place, so that no two of them read the same.
fn associated(head: &[u8], place: BodyPlace<'_>) -> Result<Vec<u8>, LayerError> {
    let mut associated = Vec::with_capacity(head.len() + 64);
    associated.extend_from_slice(head);
    match place {
        BodyPlace::Entry(name) => {
            let digest = name.digest();
            let digest =
                digest.ok_or_else(|| LayerError::new("the place of the body is unknown"))?;
            associated.push(b'e');
            associated.extend_from_slice(&digest.bytes());
        }
        BodyPlace::Record { collection, id } => {
            associated.push(b'r');
            // Names of collections have small letters and `-`.
            associated.extend_from_slice(collection.name().as_bytes());
            associated.push(b'/');
            associated.extend_from_slice(id.as_str().as_bytes());
        }
    }
    Ok(associated)
}
