//! The ids of the subscriptions of one client, which begin alike.

use model::{PrincipalId, RecordId, SubscriptionId};
use sha2::{Digest, Sha256};
use uuid::{Uuid, fmt::Hyphenated};

use crate::client_id::ClientId;

/// Bytes of a client's digest in the ids of its subscriptions. Two clients of one owner that share it, which is
/// one case in many billions, cost each other the reading of the other's records, and nothing else.
const DIGEST_BYTES: usize = 8;

/// How the ids of one client's subscriptions begin: because the records of an owner are ordered by id, those of a
/// client are together, and listing them reads no others. It says nothing about the client's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(Box<str>);

impl ClientKey {
    /// The key of a client among the subscriptions of an owner.
    #[must_use]
    pub fn new(owner: &PrincipalId, client: &ClientId) -> Self {
        let mut digest = Sha256::new();
        digest.update(owner.as_str());
        // No owner has a NUL, so no two pairs have the same text.
        digest.update([0]);
        digest.update(client.as_str());
        let digest = digest.finalize();
        let hex = digest.iter().take(DIGEST_BYTES);
        let hex: String = hex.map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{hex}-").into())
    }

    /// The id of a new subscription of the client.
    ///
    /// # Panics
    /// Never for a UUID: other texts have to be letters, digits, '-' and '_', and short enough for an id.
    #[must_use]
    pub fn id(&self, unique: &str) -> SubscriptionId {
        SubscriptionId::new(&format!("{}{unique}", self.0)).expect("a short token")
    }

    /// Whether a subscription may be the client's.
    #[must_use]
    pub fn is_of(&self, id: &SubscriptionId) -> bool {
        id.as_str().starts_with(&*self.0)
    }

    /// Whether an id has the form of those that servers give out: a UUID, after the digest of a client or not.
    #[must_use]
    pub fn is_issued(id: &SubscriptionId) -> bool {
        let text = id.as_str();
        let is_hex = |digit: u8| digit.is_ascii_hexdigit();
        let uuid = match text.split_once('-') {
            Some((digest, uuid)) if digest.len() == 2 * DIGEST_BYTES => {
                digest.bytes().all(is_hex).then_some(uuid)
            }
            _ => Some(text),
        };
        // Other forms of a UUID have other lengths.
        uuid.is_some_and(|uuid| uuid.len() == Hyphenated::LENGTH && Uuid::try_parse(uuid).is_ok())
    }

    pub(crate) fn prefix(&self) -> RecordId {
        RecordId::new(&self.0).expect("visible ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_client_begin_alike_and_those_of_others_do_not() {
        let [ann, bob] = ["ann", "bob"].map(|name| PrincipalId::new(name).unwrap());
        let [one, other] = ["planner \u{e9}", "planner"].map(|name| ClientId::new(name).unwrap());
        let key = ClientKey::new(&ann, &one);
        let id = key.id("9953bec1-aec5-40ff-b145-02d4e1d29882");
        assert!(key.is_of(&id) && id.as_str().ends_with("-02d4e1d29882"));
        assert_eq!(id.as_str().len(), 16 + 1 + 36);
        for another in [ClientKey::new(&bob, &one), ClientKey::new(&ann, &other)] {
            assert!(!another.is_of(&id), "{another:?}");
        }
        assert!(ClientKey::is_issued(&id));
        // One without a client is nobody's: a UUID has its first dash earlier.
        let bare = SubscriptionId::new("9953bec1-aec5-40ff-b145-02d4e1d29882").unwrap();
        assert!(!key.is_of(&bare) && ClientKey::is_issued(&bare));
    }

    #[test]
    fn what_no_server_gives_out_is_told_by_its_form() {
        for text in [
            "zzz",
            "9953bec1",
            "9953bec1-aec5-40ff-b145-02d4e1d2988",
            "9953bec1-aec5-40ff-b145-02d4e1d29882-",
            "x-9953bec1-aec5-40ff-b145-02d4e1d29882",
            "9953bec1_aec5_40ff_b145_02d4e1d29882",
            "9953bec1-aec5-40ff-b145-02d4e1d2988z",
        ] {
            assert!(
                !ClientKey::is_issued(&SubscriptionId::new(text).unwrap()),
                "{text}"
            );
        }
    }
}
