//! Ids are types, not strings: validated where they enter, then trusted.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Maximum length in bytes of an id from outside, unless its kind has a tighter bound. GitHub's node ids
/// stay below 100.
const MAX_ID_BYTES: usize = 256;

/// The reason why an id from outside is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The id has no characters.
    #[error("{kind} is empty")]
    Empty {
        /// The kind of id.
        kind: &'static str,
    },
    /// The id is longer than its kind may be.
    #[error("{kind} is longer than {max_bytes} bytes")]
    TooLong {
        /// The kind of id.
        kind: &'static str,
        /// The maximum length in bytes.
        max_bytes: usize,
    },
    /// The id has a character that this kind of id does not allow.
    #[error("{kind} has a character that is not allowed; use {allowed}")]
    Character {
        /// The kind of id.
        kind: &'static str,
        /// The allowed characters, in words.
        allowed: &'static str,
    },
}

fn check(
    kind: &'static str,
    (allowed, accepts): (&'static str, fn(u8) -> bool),
    max_bytes: usize,
    text: &str,
) -> Result<(), InvalidId> {
    match text.len() {
        0 => Err(InvalidId::Empty { kind }),
        n if n > max_bytes => Err(InvalidId::TooLong { kind, max_bytes }),
        _ if text.bytes().all(accepts) => Ok(()),
        _ => Err(InvalidId::Character { kind, allowed }),
    }
}

fn visible(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// Safe inside a NATS subject token, a Redis key and a URL: no `.`, `*`, `>`, space or brace.
fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

// One shape for all ids; a function cannot define types.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $accepts:ident, $allowed:literal) => {
        id!($(#[$doc])* $name, $kind, $accepts, $allowed, MAX_ID_BYTES);
    };
    ($(#[$doc:meta])* $name:ident, $kind:literal, $accepts:ident, $allowed:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Maximum length of an id of this kind, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Validates an id from outside.
            ///
            /// # Errors
            /// Empty, longer than [`Self::MAX_BYTES`], or with a character that this kind does not allow.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                check($kind, ($allowed, $accepts), Self::MAX_BYTES, text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
    };
}

id!(
    /// An event's id: GitHub's delivery GUID, or `<guid>.<n>` where one delivery yields several, or
    /// `<guid>.<event name>` where the log has an event of another name under the GUID. Consumers dedupe
    /// on it.
    EventId, "event id", visible, "visible ASCII"
);
id!(
    /// GitHub's `X-GitHub-Delivery` GUID; a redelivery repeats it. GitHub's have 36 characters; the bound
    /// leaves room in an event's id for what tells two events of one GUID apart.
    DeliveryId, "X-GitHub-Delivery", token, "letters, digits, '-' and '_'", 128
);
id!(
    /// GitHub's node id of a resource: it is the same in every webhook that mentions the resource.
    ResourceId, "resource id", visible, "visible ASCII"
);
id!(
    /// An MCP session's id. It becomes part of NATS subjects and Redis keys, so its alphabet is narrow.
    SessionId, "session id", token, "letters, digits, '-' and '_'"
);
id!(
    /// The id of a subscription, within one session.
    SubscriptionId, "subscription id", token, "letters, digits, '-' and '_'"
);
id!(
    /// The id of one stream of a session: the answer to one POST, or a stream that a GET opened. It is
    /// unique within the session and part of event ids and keys, so its alphabet is narrow.
    StreamId, "stream id", token, "letters, digits, '-' and '_'"
);
id!(
    /// An MCP task's id. It is unguessable, and the task is bound to its principal as well. It becomes
    /// part of subjects, keys and headers, so its alphabet is narrow and it is short.
    TaskId, "task id", token, "letters, digits, '-' and '_'", 128
);
id!(
    /// The id of a call that was posted beside the stream of a session, unique in the session.
    PostedCallId, "posted call", token, "letters, digits, '-' and '_'"
);
id!(
    /// The id of a stored record, unique in its collection. The longest are those of [`RecordId::scoped`].
    RecordId, "record id", visible, "visible ASCII", 512
);
id!(
    /// The name of a lease, which says what the lease protects.
    LeaseName, "lease name", visible, "visible ASCII"
);
id!(
    /// The account whose quota a budget divides, for instance an installation of a GitHub App.
    BudgetAccount, "budget account", visible, "visible ASCII"
);
id!(
    /// The principal that a request acts for.
    PrincipalId, "principal", visible, "visible ASCII"
);

impl PrincipalId {
    /// The one principal of `auth.mode = "none"`.
    #[must_use]
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }
}

impl RecordId {
    /// The id that sorts before all others.
    #[must_use]
    pub fn first() -> Self {
        Self("!".into())
    }

    /// A text that sorts after every id that begins with this one, and before every other that sorts after it.
    #[must_use]
    pub fn end_of_prefix(&self) -> String {
        let mut end = self.0.to_string();
        // Its last character is visible ASCII, which is never the last one.
        let next = end
            .pop()
            .and_then(|last| char::from_u32(u32::from(last) + 1));
        end.extend(next);
        end
    }

    /// The id of a record that only its owner can find: another owner may use the same name.
    #[must_use]
    pub fn scoped(name: &TaskId, owner: &PrincipalId) -> Self {
        // No name has an `@`, so no two pairs have the same text.
        Self(format!("{name}@{owner}").into())
    }
}

impl DeliveryId {
    /// The id of the `index`-th event of this delivery (from 0).
    #[must_use]
    pub fn event(&self, index: usize) -> EventId {
        match index {
            0 => EventId(self.0.clone()),
            n => EventId(format!("{}.{n}", self.0).into()),
        }
    }
}

// One shape for GitHub's numeric ids; a function cannot define types.
macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

numeric_id! {
    /// GitHub's number of a repository. It stays with the repository through renames and transfers, and is
    /// never given again.
    RepositoryId
}
numeric_id! {
    /// GitHub's number of a user or organization.
    OwnerId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_id_refuses_what_would_change_a_subject() {
        for hostile in ["", "a.b", "a*", ">", "a b", "a\n", "a{b}", "\u{e9}"] {
            assert!(SessionId::new(hostile).is_err(), "{hostile:?}");
        }
        assert!(SessionId::new(&"a".repeat(10_000)).is_err());
        assert!(SessionId::new("0b6c3a52-3c1e-4a60-9d6b-2f9f3c1f7f10").is_ok());
    }

    #[test]
    fn a_stream_id_refuses_what_would_change_a_key() {
        for hostile in ["", "a:b", "a.b", "a b", "a;b", "{a}", "a/b"] {
            assert!(StreamId::new(hostile).is_err(), "{hostile:?}");
        }
        assert!(StreamId::new("get").is_ok() && StreamId::new("post_7-x").is_ok());
    }

    #[test]
    fn a_task_id_is_short_and_fits_a_key() {
        for hostile in ["", "a b", "a.b", "{a}", "a:b", "\u{e9}"] {
            assert!(TaskId::new(hostile).is_err(), "{hostile:?}");
        }
        assert!(TaskId::new(&"t".repeat(TaskId::MAX_BYTES)).is_ok());
        let refused = TaskId::new(&"t".repeat(TaskId::MAX_BYTES + 1)).unwrap_err();
        assert_eq!(refused.to_string(), "task id is longer than 128 bytes");
        assert!(
            LeaseName::new(&"l".repeat(256)).is_ok() && LeaseName::new(&"l".repeat(257)).is_err()
        );
    }

    #[test]
    fn every_task_of_every_owner_has_a_record_id_of_its_own() {
        let longest = (
            TaskId::new(&"t".repeat(TaskId::MAX_BYTES)).unwrap(),
            PrincipalId::new(&"@".repeat(PrincipalId::MAX_BYTES)).unwrap(),
        );
        let id = RecordId::scoped(&longest.0, &longest.1);
        assert_eq!(RecordId::new(id.as_str()).unwrap(), id);
        let of = |task, owner| {
            RecordId::scoped(
                &TaskId::new(task).unwrap(),
                &PrincipalId::new(owner).unwrap(),
            )
        };
        assert_ne!(of("a", "b@c"), of("a", "@b@c"));
        assert_ne!(of("a", "b"), of("b", "a"));
    }

    #[test]
    fn events_of_one_delivery_have_distinct_ids() {
        let delivery = DeliveryId::new("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap();
        assert_eq!(delivery.event(0).as_str(), delivery.as_str());
        assert_eq!(
            delivery.event(2).as_str(),
            "72d3162e-cc78-11e3-81ab-4c9367dc0958.2"
        );
    }
}
