//! Other handles on the backend of a fixture's port.

use std::{any::Any, fmt, future::Future, sync::Arc};

use anyhow::bail;
use futures_util::future::BoxFuture;

/// Opens another handle; create one with [`handle_opener`].
pub type HandleOpener<P> =
    Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<Arc<P>>> + Send + Sync>;
/// Performs an action on the backend; create one with [`backend_hook`].
pub type BackendHook = Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// Creates a [`HandleOpener`] from an async closure.
pub fn handle_opener<P, F, Fut>(open: F) -> HandleOpener<P>
where
    P: ?Sized + 'static,
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<Arc<P>>> + Send + 'static,
{
    Box::new(move || Box::pin(open()))
}

/// Creates a [`BackendHook`] from an async closure.
pub fn backend_hook<F, Fut>(act: F) -> BackendHook
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    Box::new(move || Box::pin(act()))
}

/// A way to put a backend back to an earlier state.
pub struct SetBack<P: ?Sized> {
    /// Remembers the present state of the backend.
    pub save: BackendHook,
    /// Closes every handle, puts the backend back to the remembered state, and opens a new handle. The
    /// backend's clock goes on.
    pub restore: HandleOpener<P>,
}

/// Other handles on the backend of a fixture's port.
pub struct Handles<P: ?Sized> {
    /// Opens a second, independent handle (with its own connection) beside the open ones. `shared`
    /// needs it.
    pub peer: Option<HandleOpener<P>>,
    /// Closes every handle of the fixture, as a clean end of the process would, and opens a new
    /// one. The suite does not use older handles afterwards. `durable` needs it.
    pub reopen: Option<HandleOpener<P>>,
    /// Puts the backend back to an earlier state. `goes_back` needs it.
    pub set_back: Option<SetBack<P>>,
    /// Kept until the case ends: a temporary folder, a server, a prefix that is purged on drop.
    pub guard: Option<Box<dyn Any + Send + Sync>>,
}

impl<P: ?Sized> Default for Handles<P> {
    fn default() -> Self {
        Self {
            peer: None,
            reopen: None,
            set_back: None,
            guard: None,
        }
    }
}

impl<P: ?Sized> fmt::Debug for Handles<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles")
            .field("peer", &self.peer.is_some())
            .field("reopen", &self.reopen.is_some())
            .finish_non_exhaustive()
    }
}

impl<P: ?Sized> Handles<P> {
    pub(crate) async fn peer(&self) -> anyhow::Result<Arc<P>> {
        match &self.peer {
            Some(open) => open().await,
            None => bail!("the adapter says `shared` but its fixture has no peer"),
        }
    }

    pub(crate) fn set_back(&self) -> anyhow::Result<&SetBack<P>> {
        match &self.set_back {
            Some(set_back) => Ok(set_back),
            None => bail!("the adapter says `goes_back` but its fixture has no set_back"),
        }
    }

    pub(crate) async fn reopen(&self) -> anyhow::Result<Arc<P>> {
        match &self.reopen {
            Some(open) => open().await,
            None => bail!("the adapter says `durable` but its fixture has no reopen"),
        }
    }
}

/// Handles with keys of the roles on the backend of a fixture, and a way to see what they refuse.
pub struct KeyedHandles<P: ?Sized> {
    /// A handle with a new key and, behind it, the old one.
    pub new: Arc<P>,
    /// A handle with the old key and, behind it, the new one: both believe each other.
    pub old: Arc<P>,
    /// A handle with a key that neither of them has.
    pub stranger: Arc<P>,
    /// A handle without any key.
    pub unsigned: Arc<P>,
    /// Number of messages or entries that `new` has refused.
    pub refused: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl<P: ?Sized> fmt::Debug for KeyedHandles<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHandles")
    }
}

impl<P: ?Sized + 'static> Handles<P> {
    /// The same handles as another port. The state to which a store is put back stays.
    pub(crate) fn map<Q: ?Sized + 'static>(
        self,
        port: impl Fn(Arc<P>) -> Arc<Q> + Clone + Send + Sync + 'static,
    ) -> Handles<Q> {
        let opener = |open: HandleOpener<P>| -> HandleOpener<Q> {
            let (open, port) = (Arc::new(open), port.clone());
            handle_opener(move || {
                let (open, port) = (Arc::clone(&open), port.clone());
                async move { Ok(port(open().await?)) }
            })
        };
        Handles {
            peer: self.peer.map(opener),
            reopen: self.reopen.map(opener),
            set_back: self.set_back.map(|set_back| SetBack {
                save: set_back.save,
                restore: opener(set_back.restore),
            }),
            guard: self.guard,
        }
    }
}

impl<P: ?Sized> KeyedHandles<P> {
    pub(crate) fn map<Q: ?Sized>(self, port: impl Fn(Arc<P>) -> Arc<Q>) -> KeyedHandles<Q> {
        KeyedHandles {
            new: port(self.new),
            old: port(self.old),
            stranger: port(self.stranger),
            unsigned: port(self.unsigned),
            refused: self.refused,
        }
    }
}
