//! The keys: read, checked, and made ready for each channel.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{
    channel::StampedChannel,
    limits::{MAX_KEY_CHARACTERS, MAX_KEY_FILE_BYTES, MAX_KEYS, MIN_KEY_CHARACTERS},
};

/// Bytes of a derived secret: a digest of SHA-256.
pub const SECRET_BYTES: usize = 32;

/// A keyed digest, with the key already in it.
pub(crate) type KeyedDigest = Hmac<Sha256>;

/// The reason why keys are refused. It names the place of a key and repeats nothing of its text.
#[derive(Debug, thiserror::Error)]
pub enum RoleKeyError {
    /// A text of the configuration is too short or too long for a key.
    #[error(
        "roles.keys[{index}] has {characters} characters; a key has {MIN_KEY_CHARACTERS} to \
         {MAX_KEY_CHARACTERS}: make one with `openssl rand -base64 32`"
    )]
    Length {
        /// The place in the list.
        index: usize,
        /// Its length.
        characters: usize,
    },
    /// The text of a file is too short or too long for a key.
    #[error(
        "roles.key_files: {} has {characters} characters; a key has {MIN_KEY_CHARACTERS} to \
         {MAX_KEY_CHARACTERS}: make one with `openssl rand -base64 32`", path.display()
    )]
    FileLength {
        /// The file.
        path: PathBuf,
        /// The length of its text.
        characters: usize,
    },
    /// A file cannot be read.
    #[error("roles.key_files: {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// There are more keys than a rotation needs.
    #[error("roles.keys and roles.key_files have {count} keys; use up to {MAX_KEYS}")]
    TooMany {
        /// The number of keys.
        count: usize,
    },
    /// The same key is given twice.
    #[error("roles.keys and roles.key_files have the same key twice; leave one of them out")]
    Repeated,
}

impl model::Classified for RoleKeyError {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// One key, derived for each channel, so that a stamp of one channel means nothing on another.
#[derive(Clone)]
pub(crate) struct RoleKey {
    /// Names the key in stamps; not secret.
    pub(crate) id: u32,
    digests: [KeyedDigest; StampedChannel::ALL.len()],
    /// For what the edges seal.
    sealing: [u8; SECRET_BYTES],
}

impl RoleKey {
    fn new(text: &str) -> Self {
        let secret = Sha256::digest(text.as_bytes());
        let named = derived(&secret, b"forgewire roles: name of the key");
        Self {
            id: u32::from_be_bytes([named[0], named[1], named[2], named[3]]),
            digests: StampedChannel::ALL.map(|channel| keyed(&derived(&secret, channel.purpose()))),
            sealing: derived(&secret, b"forgewire roles: what edges seal"),
        }
    }

    /// A fresh digest with the key for a channel.
    pub(crate) fn digest(&self, channel: StampedChannel) -> KeyedDigest {
        self.digests[channel as usize].clone()
    }
}

fn keyed(key: &[u8]) -> KeyedDigest {
    KeyedDigest::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn derived(secret: &[u8], purpose: &[u8]) -> [u8; SECRET_BYTES] {
    keyed(secret)
        .chain_update(purpose)
        .finalize()
        .into_bytes()
        .into()
}

/// The keys of an installation, one or more: the first one stamps, all of them verify. To rotate: add the
/// new key at the end everywhere, then put it first everywhere, then drop the old one.
#[derive(Clone)]
pub struct RoleKeys {
    keys: Vec<RoleKey>,
}

/// Shows only the ids.
impl fmt::Debug for RoleKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|key| format!("{:08x}", key.id));
        f.debug_list().entries(ids).finish()
    }
}

impl RoleKeys {
    /// Takes the keys of the configuration, then those of the files, one per file; `None` if there is none.
    ///
    /// # Errors
    /// A file cannot be read, a key has a length that no key has, or there are too many or equal ones.
    pub fn read<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        files: &[PathBuf],
    ) -> Result<Option<Self>, RoleKeyError> {
        let mut keys = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            let length = |characters| RoleKeyError::Length { index, characters };
            keys.push(key(text).map_err(length)?);
        }
        for path in files {
            let text = read_file(path)?;
            let length = |characters| RoleKeyError::FileLength {
                path: path.clone(),
                characters,
            };
            keys.push(key(&text).map_err(length)?);
        }
        if keys.len() > MAX_KEYS {
            return Err(RoleKeyError::TooMany { count: keys.len() });
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.id == key.id) {
                return Err(RoleKeyError::Repeated);
            }
        }
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }

    /// Secrets for what the edges seal, one per key and in the same order. They are derived, so that neither a
    /// stamp nor a seal helps with the other.
    #[must_use]
    pub fn sealing_secrets(&self) -> Vec<[u8; SECRET_BYTES]> {
        self.keys.iter().map(|key| key.sealing).collect()
    }

    /// The key that stamps.
    pub(crate) fn first(&self) -> &RoleKey {
        &self.keys[0]
    }

    /// The key of an id.
    pub(crate) fn find(&self, id: u32) -> Option<&RoleKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

/// The key of a text, or the length that is none of a key.
fn key(text: &str) -> Result<RoleKey, usize> {
    let text = text.trim();
    if (MIN_KEY_CHARACTERS..=MAX_KEY_CHARACTERS).contains(&text.len()) {
        Ok(RoleKey::new(text))
    } else {
        Err(text.len())
    }
}

fn read_file(path: &Path) -> Result<String, RoleKeyError> {
    let unreadable = |source| RoleKeyError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(MAX_KEY_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const KEY: &str = "a key that is as long as a key has to be";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn keys_of_files_come_after_those_of_the_configuration() {
        let (new, old) = (file(&format!("  {KEY}, new\r\n")), file(KEY));
        let files = [new.path().to_owned(), old.path().to_owned()];
        let first = format!("{KEY}, first");
        let keys = RoleKeys::read([first.as_str()], &files).unwrap().unwrap();
        let expected = [first, format!("{KEY}, new"), KEY.to_owned()];
        let ids: Vec<_> = keys.keys.iter().map(|key| key.id).collect();
        assert_eq!(ids, expected.map(|text| RoleKey::new(&text).id));
        assert!(RoleKeys::read([], &[]).unwrap().is_none());
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_place_and_not_repeated() {
        let short = "hunter2".to_owned();
        let refusal = |texts: &[&str], files: &[PathBuf]| {
            let refused = RoleKeys::read(texts.iter().copied(), files).unwrap_err();
            refused.to_string()
        };
        let text = refusal(&[KEY, &short], &[]);
        assert!(
            text.contains("roles.keys[1]") && text.contains("openssl"),
            "{text}"
        );
        assert!(!text.contains(&short), "{text}");
        let long = file(&"k".repeat(MAX_KEY_CHARACTERS + 1));
        let text = refusal(&[], &[long.path().to_owned()]);
        assert!(
            text.contains("roles.key_files") && text.contains("1025"),
            "{text}"
        );
        let text = refusal(&[], &["/nonexistent/key".into()]);
        assert!(text.contains("/nonexistent/key"), "{text}");
        let many: Vec<_> = (0..=MAX_KEYS).map(|n| format!("{KEY} {n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(refusal(&many, &[]).contains("up to 4"));
        assert!(refusal(&[KEY, &format!(" {KEY}\n")], &[]).contains("twice"));
    }

    #[test]
    fn each_key_has_a_secret_of_its_own_for_seals_which_is_not_that_of_stamps() {
        let (first, second) = (format!("{KEY}, first"), format!("{KEY}, second"));
        let keys = RoleKeys::read([first.as_str(), second.as_str()], &[]).unwrap();
        let secrets = keys.unwrap().sealing_secrets();
        assert_eq!(
            secrets,
            [&first, &second].map(|key| RoleKey::new(key).sealing)
        );
        assert_ne!(secrets[0], secrets[1]);
        let text = Sha256::digest(first.as_bytes());
        for channel in StampedChannel::ALL {
            assert_ne!(secrets[0], derived(&text, channel.purpose()));
        }
        assert_ne!(secrets[0][..], text[..]);
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", RoleKeys::read([KEY], &[]).unwrap());
        assert!(!shown.contains("long") && shown.len() < 32, "{shown}");
    }
}
