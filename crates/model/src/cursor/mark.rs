//! Marks of names that an edge gives out: no one but an edge can make one, and each holds for one session.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use super::{
    keys::{NONCE_BYTES, SealingKey},
    sealed::CursorKeys,
};
use crate::SessionId;

/// First byte of what a mark covers; no cursor begins with it.
const MARK: u8 = 9;
/// Key id and code.
const MARK_BYTES: usize = 4 + NONCE_BYTES;

impl CursorKeys {
    /// Length of a mark: letters, digits, `-` and `_`.
    pub const MARK_LENGTH: usize = (MARK_BYTES * 4).div_ceil(3);

    /// The mark of a name within a session.
    #[must_use]
    pub fn mark(&self, session: &SessionId, name: &str) -> String {
        let key = self.keys.first().unwrap_or(&self.log);
        let mut mark = [0; MARK_BYTES];
        mark[..4].copy_from_slice(&key.id().to_be_bytes());
        mark[4..].copy_from_slice(&code(key, session, name));
        URL_SAFE_NO_PAD.encode(mark)
    }

    /// Whether an edge with one of these keys has marked the name within this session. The key of the log
    /// counts as for a cursor: without keys of the operator, or while older cursors are read.
    #[must_use]
    pub fn has_marked(&self, session: &SessionId, name: &str, mark: &str) -> bool {
        let mut bytes = [0; MARK_BYTES];
        if URL_SAFE_NO_PAD.decode_slice(mark, &mut bytes) != Ok(MARK_BYTES) {
            return false;
        }
        let (id, sent) = bytes.split_at(4);
        let of_log = (self.keys.is_empty() || self.takes_older).then_some(&self.log);
        let mut keys = self.keys.iter().chain(of_log);
        keys.find(|key| key.id().to_be_bytes() == id)
            .is_some_and(|key| code(key, session, name).ct_eq(sent).into())
    }
}

fn code(key: &SealingKey, session: &SessionId, name: &str) -> [u8; NONCE_BYTES] {
    let mut head = [MARK, 0, 0, 0, 0];
    head[1..].copy_from_slice(&key.id().to_be_bytes());
    let session = session.as_str().as_bytes();
    let length = (session.len() as u64).to_be_bytes();
    key.code(&head, &[&length, session, name.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, SharedKey};

    const NAME: &str = "8c6a8c7e-9a5c-4c53-9f0b-0d1e6a1f2b3c";

    fn keys(texts: &[&str], epoch: u64, takes_older: bool) -> CursorKeys {
        let keys: Vec<_> = texts.iter().map(|text| SharedKey::of_text(text)).collect();
        CursorKeys::new(&keys, Epoch(epoch), takes_older)
    }

    fn session(name: &str) -> SessionId {
        SessionId::new(name).unwrap()
    }

    #[test]
    fn a_mark_holds_for_its_name_and_session_alone() {
        for keys in [keys(&["one"], 7, false), keys(&[], 7, false)] {
            let mark = keys.mark(&session("a"), NAME);
            assert_eq!(mark.len(), CursorKeys::MARK_LENGTH);
            assert!(keys.has_marked(&session("a"), NAME, &mark));
            assert!(!keys.has_marked(&session("b"), NAME, &mark));
            assert!(!keys.has_marked(&session("a"), &NAME[1..], &mark));
            assert!(!keys.has_marked(&session(&format!("a{NAME}")), "", &mark));
            for wrong in ["", "x", &mark[1..], &format!("{mark}A"), &"A".repeat(22)] {
                assert!(!keys.has_marked(&session("a"), NAME, wrong), "{wrong}");
            }
        }
    }

    #[test]
    fn a_mark_survives_the_rotation_of_its_key_and_no_longer() {
        let mark = keys(&["one"], 7, false).mark(&session("a"), NAME);
        let holds = |texts: &[&str]| keys(texts, 8, false).has_marked(&session("a"), NAME, &mark);
        assert!(holds(&["one", "two"]) && holds(&["two", "one"]));
        assert!(!holds(&["two"]) && !holds(&[]));
    }

    #[test]
    fn the_first_key_of_the_operator_does_not_end_what_was_marked_without_one() {
        let mark = keys(&[], 7, false).mark(&session("a"), NAME);
        let holds = |takes_older, epoch| {
            let keys = keys(&["one"], epoch, takes_older);
            keys.has_marked(&session("a"), NAME, &mark)
        };
        assert!(holds(true, 7) && !holds(false, 7) && !holds(true, 8));
    }
}
