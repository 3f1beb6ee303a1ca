//! A case of the suite, and the macro with which the files of a port list theirs.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{Abilities, Harness};

/// The ability that an adapter must have for a case to make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RequiredAbility {
    /// None: the clause holds for every adapter.
    Nothing,
    /// [`Abilities::durable`].
    Durable,
    /// [`Abilities::shared`].
    Shared,
    /// [`Abilities::goes_back`].
    GoesBack,
    /// [`Abilities::restorable`].
    Restorable,
    /// [`Abilities::reconnecting`].
    Reconnecting,
    /// [`Abilities::foreign_bytes`].
    ForeignBytes,
    /// [`Abilities::authenticating`].
    Authenticating,
}

impl RequiredAbility {
    /// The reason why an adapter with these abilities cannot run the case.
    pub(crate) fn unmet(self, abilities: Abilities) -> Option<&'static str> {
        let (met, reason) = match self {
            Self::Nothing => (true, ""),
            Self::Durable => (abilities.durable, "keeps no data across a reopen"),
            Self::Shared => (abilities.shared, "has only one handle"),
            Self::GoesBack => (abilities.goes_back, "keeps no state that could go back"),
            Self::Restorable => (
                abilities.restorable,
                "cannot be put back under an open handle",
            ),
            Self::Reconnecting => (abilities.reconnecting, "has no connection to lose"),
            Self::ForeignBytes => (abilities.foreign_bytes, "carries no bytes"),
            Self::Authenticating => (
                abilities.authenticating,
                "cannot be written by another process",
            ),
        };
        (!met).then_some(reason)
    }
}

/// The function that checks a case.
pub(crate) type CaseFn = fn(Arc<dyn Harness>) -> BoxFuture<'static, anyhow::Result<()>>;

/// One clause of a port and the function that checks it.
pub(crate) struct Case {
    /// The number of the clause in the port's doc comment.
    pub(crate) clause: &'static str,
    /// The function's name, which states the promise.
    pub(crate) promise: &'static str,
    /// The ability that the case requires of the adapter.
    pub(crate) needs: RequiredAbility,
    /// The function that checks the promise.
    pub(crate) body: CaseFn,
}

/// Lists cases: the clause, the required ability, and the async function that checks it.
macro_rules! cases {
    ($($clause:literal $needs:ident $function:path;)*) => {
        pub(crate) const CASES: &[$crate::case::Case] = &[$($crate::case::Case {
            clause: $clause,
            promise: stringify!($function),
            needs: $crate::case::RequiredAbility::$needs,
            body: |harness| Box::pin($function(harness)),
        }),*];
    };
}
pub(crate) use cases;
