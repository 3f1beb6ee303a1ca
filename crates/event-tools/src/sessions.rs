//! Changes of the caller's session, made by the server that stores it.

use std::fmt;

use async_trait::async_trait;
use mcp_server::{CallError, Caller};
use model::{PrincipalId, Session, SessionId};

/// A change of a session. It may run several times, because another edge may change the session at
/// the same time.
pub type SessionChange<'c> = &'c mut (dyn FnMut(&mut Session) + Send);

/// Changes sessions of the handshake era.
#[async_trait]
pub trait SessionEditor: fmt::Debug + Send + Sync {
    /// Changes a session of `owner`, durably and for every edge; returns whether the session still
    /// exists.
    ///
    /// # Errors
    /// The store does not answer, or too many requests change the session at once.
    async fn edit(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        change: SessionChange<'_>,
    ) -> Result<bool, CallError>;
}

/// Changes the caller's session; returns what the last run of `change` returned.
///
/// # Errors
/// The session has ended, or its store does not answer.
pub(crate) async fn change_session<T: Send>(
    sessions: &dyn SessionEditor,
    caller: &Caller,
    mut change: impl FnMut(&mut Session) -> T + Send,
) -> Result<T, CallError> {
    let session = caller.session().ok_or(CallError::SessionGone)?;
    let mut answer = None;
    let mut keep = |session: &mut Session| answer = Some(change(session));
    let lives = sessions
        .edit(&session.id, &caller.principal.id, &mut keep)
        .await?;
    answer.filter(|_| lives).ok_or(CallError::SessionGone)
}
