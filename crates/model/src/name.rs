//! Names that stay open: a node reads, keeps and passes on names that a newer node wrote (ADR 001).

use std::sync::Arc;

/// Maximum length in bytes of a name that is kept. The longest of GitHub's own event names has 40.
const MAX_NAME_BYTES: usize = 64;
/// Replaces a name that no build of Forgewire can have written.
const UNREADABLE: &&str = &"other";

/// A name in lower case. A name that this build knows is never in `Other`, so comparing values compares
/// names. Thin pointers, because the filter of every stream has three names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Name {
    /// A name that this build knows.
    Known(&'static &'static str),
    /// A name of another build.
    Other(Arc<String>),
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Other(name) => name,
        }
    }

    /// Reads a name that another node wrote. Never fails, so that one unreadable name cannot stop a reader.
    pub(crate) fn open(known: &'static [&'static str], name: &str) -> Self {
        if let Some(known) = find(known, name) {
            return Self::Known(known);
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(fits) {
            return Self::Known(UNREADABLE);
        }
        match name.to_ascii_lowercase() {
            name if name == *UNREADABLE => Self::Known(UNREADABLE),
            name => Self::Other(Arc::new(name)),
        }
    }
}

/// The known name that equals `name` in any case.
pub(crate) fn find(known: &'static [&'static str], name: &str) -> Option<&'static &'static str> {
    let mut known = known.iter();
    known.find(|known| known.eq_ignore_ascii_case(name))
}

// Defines the type of an open name; a function cannot define types.
macro_rules! open_name {
    (
        $(#[$doc:meta])* $type:ident {
            $($(#[$constant_doc:meta])* $constant:ident = $name:literal,)+
        }
    ) => {
        $(#[$doc])*
        ///
        /// Lower case on the wire. Other builds may know more names than this one: [`Self::open`] reads all
        /// of them, [`Self::parse`] only the names that this build knows.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type($crate::name::Name);

        impl $type {
            $($(#[$constant_doc])* pub const $constant: Self = Self($crate::name::Name::Known(&$name));)+

            /// All names that this build knows, in the order in which they are listed to users.
            pub const KNOWN: &'static [Self] = &[$(Self::$constant),+];

            const NAMES: &'static [&'static str] = &[$($name),+];

            /// Reads a name that another node wrote, known here or not. Never fails: a name that no node
            /// can have written becomes `other`.
            #[must_use]
            pub fn open(name: &str) -> Self {
                Self($crate::name::Name::open(Self::NAMES, name))
            }

            /// Reads a name that a user gave, in any case; `None` for one that this build does not know.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                $crate::name::find(Self::NAMES, name).map(|name| Self($crate::name::Name::Known(name)))
            }

            /// Reads a name that a user gave, in any case, known here or not; `None` for one that no event has.
            #[must_use]
            pub fn read(name: &str) -> Option<Self> {
                let read = Self::open(name);
                read.as_str().eq_ignore_ascii_case(name).then_some(read)
            }

            /// Whether this build knows the name.
            #[must_use]
            pub fn is_known(&self) -> bool {
                Self::NAMES.contains(&self.as_str())
            }

            /// The name on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// All names that this build knows, as a list for people.
            #[must_use]
            pub fn known_names() -> String {
                Self::NAMES.join(", ")
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self.as_str())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(|name| Self::open(&name))
            }
        }
    };
}
pub(crate) use open_name;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{EventOrigin, EventType, ResourceType};

    proptest! {
        #[test]
        fn any_name_is_read_and_a_readable_one_is_kept(name in "[a-z][a-z0-9_.-]{0,63}", noise in any::<String>()) {
            let kind = ResourceType::open(&name);
            prop_assert_eq!(kind.as_str(), name.as_str());
            prop_assert_eq!(ResourceType::open(&name.to_uppercase()), kind);
            let read = EventType::open(&noise);
            prop_assert_eq!(EventType::open(read.as_str()), read);
        }
    }

    #[test]
    fn a_known_name_is_one_value_however_it_was_read() {
        for kind in ResourceType::KNOWN {
            let shouted = kind.as_str().to_ascii_uppercase();
            assert_eq!(ResourceType::open(&shouted), *kind);
            assert_eq!(ResourceType::parse(&shouted).as_ref(), Some(kind));
            assert!(kind.is_known());
        }
        assert!(ResourceType::parse("wiki_page").is_none());
        assert!(!ResourceType::open("wiki_page").is_known());
        assert!(!ResourceType::open("").is_known());
    }

    #[test]
    fn a_name_that_no_node_writes_is_read_as_other() {
        let long = "x".repeat(65);
        for unreadable in ["", "two words", "line\nbreak", "ünïcode", &long] {
            assert_eq!(
                EventOrigin::open(unreadable).as_str(),
                "other",
                "{unreadable:?}"
            );
        }
        assert_eq!(EventOrigin::open("OTHER"), EventOrigin::open("\n"));
    }

    #[test]
    fn json_keeps_a_name_of_another_build() {
        let json = r#""wiki_page""#;
        let kind: ResourceType = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&kind).unwrap(), json);
        assert_eq!(
            serde_json::from_str::<ResourceType>(r#""ISSUE""#).unwrap(),
            ResourceType::ISSUE
        );
    }
}
