//! A case of the suite, and how the files of a port list theirs.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{Abilities, Harness};

/// What an adapter has to be able to do for a case to make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Needs {
    /// Nothing: the clause holds for every adapter.
    Nothing,
    /// [`Abilities::durable`].
    Durable,
    /// [`Abilities::shared`].
    Shared,
    /// [`Abilities::reconnecting`].
    Reconnecting,
    /// [`Abilities::foreign_bytes`].
    ForeignBytes,
}

impl Needs {
    /// Why an adapter with these abilities cannot run the case.
    pub(crate) fn unmet(self, abilities: Abilities) -> Option<&'static str> {
        let (met, reason) = match self {
            Self::Nothing => (true, ""),
            Self::Durable => (abilities.durable, "keeps nothing over a reopen"),
            Self::Shared => (abilities.shared, "has one handle only"),
            Self::Reconnecting => (abilities.reconnecting, "has no connection to lose"),
            Self::ForeignBytes => (abilities.foreign_bytes, "carries no bytes"),
        };
        (!met).then_some(reason)
    }
}

/// What a case does.
pub(crate) type Body = fn(Arc<dyn Harness>) -> BoxFuture<'static, anyhow::Result<()>>;

/// One promise, checked.
pub(crate) struct Case {
    /// The clause, as the port's doc comment numbers it.
    pub(crate) clause: &'static str,
    /// The function's name: what is promised.
    pub(crate) promise: &'static str,
    /// What the adapter must be able to do.
    pub(crate) needs: Needs,
    /// The check.
    pub(crate) body: Body,
}

/// Lists cases: clause, what it needs, and the async function that checks it.
macro_rules! cases {
    ($($clause:literal $needs:ident $function:path;)*) => {
        pub(crate) const CASES: &[$crate::case::Case] = &[$($crate::case::Case {
            clause: $clause,
            promise: stringify!($function),
            needs: $crate::case::Needs::$needs,
            body: |harness| Box::pin($function(harness)),
        }),*];
    };
}
pub(crate) use cases;
