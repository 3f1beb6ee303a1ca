//! The reasons why something is not believed.

/// The reason why a message, call or entry is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StampRefusal {
    /// It has no stamp.
    #[error(
        "it has no stamp: its sender has no key of the roles (roles.keys, roles.key_files), or it was stored \
         before there was one (roles.unsigned_until)"
    )]
    Unsigned,
    /// Its stamp is none.
    #[error("its stamp cannot be read")]
    Malformed,
    /// Its stamp names a key that this process does not have.
    #[error("its stamp is of a key that this process does not have (roles.keys, roles.key_files)")]
    UnknownKey,
    /// Its stamp belongs to something else.
    #[error("its stamp does not belong to it: it was changed, or made up")]
    Wrong,
    /// Its stamp is too old, or from the future.
    #[error("its stamp is of another time: it is repeated, or the clocks of the machines differ")]
    Stale,
    /// Its stamp was used before.
    #[error("its stamp was used before: it is repeated")]
    Repeated,
}

impl StampRefusal {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unsigned,
        Self::Malformed,
        Self::UnknownKey,
        Self::Wrong,
        Self::Stale,
        Self::Repeated,
    ];

    /// Whether it comes of keys that differ, and not of what a stranger or a network does.
    #[must_use]
    pub const fn is_of_keys(self) -> bool {
        matches!(self, Self::Unsigned | Self::UnknownKey)
    }

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::Wrong => "wrong",
            Self::Stale => "stale",
            Self::Repeated => "repeated",
        }
    }
}

impl model::Classified for StampRefusal {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Unauthorized
    }
}
