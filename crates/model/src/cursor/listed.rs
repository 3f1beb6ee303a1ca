//! The text of a place in a list that another role reads: base64url of version (1 byte), key id (4), nonce (12) and the
//! hidden part. What the place says is the other role's own; nobody but an edge can read it, compare two of them or make
//! one up.
//!
//! Hidden are a salt, the reader, the length of the place, the place, and zeros up to whole blocks: neither two texts of
//! one place nor the lengths of texts tell anything.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    CursorError, CursorScope, first_u64,
    keys::SealingKey,
    sealed::{CursorKeys, HEAD_BYTES, ID_BYTES, key_id, open},
};

/// First byte of the text; no other cursor begins with it.
const LISTED: u8 = 10;
/// Salt, scope, and length of the place, before the place.
const FIXED_BYTES: usize = 4 + 8 + 2;
/// The hidden part has whole blocks, in bytes: digits more or less of a hidden number are not seen.
const BLOCK_BYTES: usize = 32;
/// Longest text that is read, in bytes.
const MAX_TEXT_BYTES: usize =
    (HEAD_BYTES + FIXED_BYTES + CursorKeys::MAX_PLACE_BYTES + BLOCK_BYTES) * 4 / 3;

impl CursorKeys {
    /// Longest place in a list that is sealed, in bytes: names of GitHub and some numbers have a quarter of it.
    pub const MAX_PLACE_BYTES: usize = 1024;

    /// The text of a place in a list, for this reader. The salt is random, so that two texts of one place differ: equal
    /// ones would tell that nothing has happened in between. `None` if the place is longer than
    /// [`Self::MAX_PLACE_BYTES`].
    #[must_use]
    pub fn seal_place(&self, place: &str, scope: CursorScope, salt: u32) -> Option<String> {
        let length = u16::try_from(place.len()).ok()?;
        if place.len() > Self::MAX_PLACE_BYTES {
            return None;
        }
        let key = self.keys.first().unwrap_or(&self.log);
        let mut bytes = Vec::with_capacity(MAX_TEXT_BYTES);
        bytes.push(LISTED);
        bytes.extend(key.id().to_be_bytes());
        bytes.resize(HEAD_BYTES, 0);
        bytes.extend(salt.to_be_bytes());
        bytes.extend(scope.0.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(place.as_bytes());
        let hidden = (FIXED_BYTES + place.len()).next_multiple_of(BLOCK_BYTES);
        bytes.resize(HEAD_BYTES + hidden, 0);
        let (head, body) = bytes.split_at_mut(HEAD_BYTES);
        let nonce = key.seal(&head[..ID_BYTES], body);
        head[ID_BYTES..].copy_from_slice(&nonce);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens the text of a place in a list, and checks that it was given to this reader. The key of the log counts as
    /// for other cursors: without keys of the operator, or while older cursors are read.
    ///
    /// # Errors
    /// [`CursorError::Malformed`] for any other text, or a key that is gone; [`CursorError::Foreign`] for another
    /// reader's.
    pub fn open_place(&self, text: &str, scope: CursorScope) -> Result<String, CursorError> {
        let text = text.trim();
        if text.len() > MAX_TEXT_BYTES {
            return Err(CursorError::Malformed);
        }
        let decoded = URL_SAFE_NO_PAD.decode(text);
        let mut bytes = decoded.map_err(|_| CursorError::Malformed)?;
        if bytes.first() != Some(&LISTED) || bytes.len() < HEAD_BYTES + FIXED_BYTES {
            return Err(CursorError::Malformed);
        }
        let body = open(self.key_of_place(key_id(&bytes))?, &mut bytes)?;
        let (fixed, rest) = body.split_at(FIXED_BYTES);
        if CursorScope(first_u64(&fixed[4..])) != scope {
            return Err(CursorError::Foreign);
        }
        let length = usize::from(u16::from_be_bytes([fixed[12], fixed[13]]));
        let place = rest.get(..length).ok_or(CursorError::Malformed)?;
        let place = std::str::from_utf8(place).map_err(|_| CursorError::Malformed)?;
        Ok(place.to_owned())
    }

    fn key_of_place(&self, id: u32) -> Result<&SealingKey, CursorError> {
        let of_log = (self.keys.is_empty() || self.takes_older).then_some(&self.log);
        let mut keys = self.keys.iter().chain(of_log);
        keys.find(|key| key.id() == id)
            .ok_or(CursorError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Epoch, PrincipalId, SharedKey};

    const PLACE: &str = r#"["list",7,12,{"at":{"number":3,"place":{"known":{"repository":1}}}}]"#;

    fn keys(texts: &[&str], epoch: u64, takes_older: bool) -> CursorKeys {
        let keys: Vec<_> = texts.iter().map(|text| SharedKey::of_text(text)).collect();
        CursorKeys::new(&keys, Epoch(epoch), takes_older)
    }

    fn edges() -> [CursorKeys; 2] {
        [keys(&["one"], 7, false), keys(&[], 7, false)]
    }

    fn reader(name: &str) -> CursorScope {
        CursorScope::lists(&PrincipalId::new(name).unwrap())
    }

    #[test]
    fn the_text_shows_nothing_of_the_place_and_never_repeats() {
        for keys in edges() {
            let one = keys.seal_place(PLACE, reader("a"), 1).unwrap();
            let other = keys.seal_place(PLACE, reader("a"), 2).unwrap();
            let bytes = URL_SAFE_NO_PAD.decode(&one).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for part in ["list", "at", "number", "place", "known", "{", "\""] {
                assert!(!text.contains(part) || part.len() == 1, "{part}: {text:?}");
            }
            assert!(
                !bytes
                    .windows(4)
                    .any(|window| PLACE.as_bytes().windows(4).any(|w| w == window))
            );
            let after_id = |text: &str| text[8..].to_owned();
            assert_ne!(after_id(&one), after_id(&other));
        }
    }

    #[test]
    fn the_length_of_the_text_does_not_tell_how_many_digits_a_number_has() {
        let [keys, _] = edges();
        let length = |number: u64| {
            let place = format!(r#"["list",{number}]"#);
            keys.seal_place(&place, reader("a"), 0).unwrap().len()
        };
        assert_eq!(length(1), length(999_999));
    }

    #[test]
    fn a_place_is_opened_by_its_reader_alone_on_any_edge_with_the_key() {
        for keys in edges() {
            let text = keys.seal_place(PLACE, reader("a"), 9).unwrap();
            let other_edge = keys.clone();
            assert_eq!(other_edge.open_place(&text, reader("a")).unwrap(), PLACE);
            let foreign = other_edge.open_place(&text, reader("b"));
            assert_eq!(foreign, Err(CursorError::Foreign));
            // An event's cursor of the same reader is another one.
            let events = CursorScope::events(&PrincipalId::new("a").unwrap());
            assert!(keys.open_place(&text, events).is_err() && keys.open(&text, events).is_err());
        }
    }

    #[test]
    fn a_place_survives_the_rotation_of_its_key_and_no_longer() {
        let text = keys(&["one"], 7, false)
            .seal_place(PLACE, reader("a"), 0)
            .unwrap();
        let opens = |texts: &[&str]| keys(texts, 8, false).open_place(&text, reader("a")).is_ok();
        assert!(opens(&["one", "two"]) && opens(&["two", "one"]));
        assert!(!opens(&["two"]) && !opens(&[]));
        // The first key of the operator.
        let text = keys(&[], 7, false)
            .seal_place(PLACE, reader("a"), 0)
            .unwrap();
        let opens = |takes_older, epoch| {
            keys(&["one"], epoch, takes_older)
                .open_place(&text, reader("a"))
                .is_ok()
        };
        assert!(opens(true, 7) && !opens(false, 7) && !opens(true, 8));
    }

    #[test]
    fn a_place_beyond_the_bound_is_not_sealed() {
        let [keys, _] = edges();
        let longest = "x".repeat(CursorKeys::MAX_PLACE_BYTES);
        let text = keys.seal_place(&longest, reader("a"), 0).unwrap();
        assert!(text.len() <= MAX_TEXT_BYTES);
        assert_eq!(keys.open_place(&text, reader("a")).unwrap(), longest);
        assert_eq!(
            keys.seal_place(&format!("{longest}x"), reader("a"), 0),
            None
        );
        let long = "A".repeat(MAX_TEXT_BYTES + 1);
        assert!(keys.open_place(&long, reader("a")).is_err());
    }

    proptest! {
        /// Whatever is sealed is opened as it was.
        #[test]
        fn every_place_comes_back(place in "\\PC{0,200}", salt in any::<u32>()) {
            for keys in edges() {
                let text = keys.seal_place(&place, reader("a"), salt).unwrap();
                prop_assert_eq!(keys.open_place(&text, reader("a")).unwrap(), place.as_str());
            }
        }

        /// A changed text is refused, and so is any other text.
        #[test]
        fn a_mangled_text_is_refused(at in any::<prop::sample::Index>(), with in 1_u8..=255, cut in 0_usize..300,
            other in "\\PC{0,300}") {
            for keys in edges() {
                let text = keys.seal_place(PLACE, reader("a"), 5).unwrap();
                let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
                let at = at.index(bytes.len());
                bytes[at] ^= with;
                let changed = URL_SAFE_NO_PAD.encode(&bytes);
                for wrong in [changed, text[..cut.min(text.len() - 1)].to_owned(), format!("{text}A"), other.clone()] {
                    prop_assert_eq!(keys.open_place(&wrong, reader("a")), Err(CursorError::Malformed));
                }
            }
        }
    }
}
