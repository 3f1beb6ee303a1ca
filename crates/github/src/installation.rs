//! The token of an installation: renewed ahead of its end, by one caller, while the others use the old one.

use std::fmt;

use http_client::BearerToken;
use model::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::{
    error::GithubError,
    limits::{RENEW_BEFORE, USABLE_BEFORE},
};

/// A token as GitHub gives it. Its form is GitHub's own affair, and has changed before: it has 40 characters or 520, with
/// or without dots.
#[derive(Deserialize)]
pub(crate) struct WrittenToken {
    token: String,
    expires_at: String,
}

/// A token with the end of its life.
#[derive(Clone)]
pub(crate) struct IssuedToken {
    pub(crate) token: BearerToken,
    expires_at: Timestamp,
}

impl WrittenToken {
    /// The token, if it is one.
    pub(crate) fn issued(&self) -> Option<IssuedToken> {
        Some(IssuedToken {
            token: BearerToken::new(&self.token).ok()?,
            expires_at: Timestamp::parse(&self.expires_at)?,
        })
    }
}

/// The token of one installation.
#[derive(Default)]
pub(crate) struct InstallationToken {
    current: Mutex<Option<IssuedToken>>,
    /// Held by the caller that renews it.
    renewing: tokio::sync::Mutex<()>,
}

impl fmt::Debug for InstallationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationToken(…)")
    }
}

impl InstallationToken {
    /// The token, if it lives for longer than this.
    fn living(&self, now: Timestamp, margin: std::time::Duration) -> Option<BearerToken> {
        let current = self.current.lock();
        let living = current
            .as_ref()
            .filter(|token| token.expires_at > now.plus(margin));
        living.map(|token| token.token.clone())
    }

    /// The token. Of all callers at once, one calls `mint`; the others wait for it, or use the old token while it lives.
    ///
    /// # Errors
    /// There is no token, and `mint` failed.
    pub(crate) async fn get<F>(
        &self,
        now: Timestamp,
        mint: impl FnOnce() -> F,
    ) -> Result<BearerToken, GithubError>
    where
        F: Future<Output = Result<IssuedToken, GithubError>>,
    {
        if let Some(token) = self.living(now, RENEW_BEFORE) {
            return Ok(token);
        }
        let old = self.living(now, USABLE_BEFORE);
        let renewing = match (self.renewing.try_lock(), &old) {
            (Ok(renewing), _) => renewing,
            (Err(_), Some(old)) => return Ok(old.clone()),
            (Err(_), None) => self.renewing.lock().await,
        };
        if let Some(token) = self.living(now, RENEW_BEFORE) {
            return Ok(token);
        }
        let minted = mint().await;
        drop(renewing);
        match (minted, old) {
            (Ok(issued), _) => {
                let token = issued.token.clone();
                *self.current.lock() = Some(issued);
                Ok(token)
            }
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "the token of an installation cannot be renewed yet");
                Ok(old)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// GitHub has refused this token: the next caller gets another one.
    pub(crate) fn forget(&self, refused: &BearerToken) {
        let mut current = self.current.lock();
        if current
            .as_ref()
            .is_some_and(|token| token.token.header() == refused.header())
        {
            *current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use futures_util::future::join_all;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(seconds * 1000)
    }

    /// A token of an hour.
    fn issued(name: &str, now: Timestamp) -> IssuedToken {
        IssuedToken {
            token: BearerToken::new(name).unwrap(),
            expires_at: now.plus(Duration::from_secs(3600)),
        }
    }

    fn failure() -> GithubError {
        GithubError::NotFound { what: "x".into() }
    }

    #[tokio::test]
    async fn a_hundred_callers_at_once_make_one_token() {
        let (cell, minted) = (InstallationToken::default(), AtomicU32::new(0));
        let mint = || async {
            minted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(issued("first", at(0)))
        };
        let tokens = join_all((0..100).map(|_| cell.get(at(0), mint))).await;
        assert_eq!(minted.load(Ordering::Relaxed), 1);
        assert!(
            tokens
                .iter()
                .all(|token| token.as_ref().unwrap().header() == "Bearer first")
        );
    }

    #[tokio::test]
    async fn a_token_is_renewed_ahead_of_its_end_while_the_old_one_serves() {
        let cell = InstallationToken::default();
        let mint = |name: &'static str, now| async move { Ok(issued(name, now)) };
        let header = |token: Result<BearerToken, GithubError>| token.unwrap().header().clone();
        assert_eq!(
            header(cell.get(at(0), || mint("first", at(0))).await),
            "Bearer first"
        );
        let early = at(3600 - 601);
        assert_eq!(
            header(cell.get(early, || mint("none", early)).await),
            "Bearer first"
        );
        // One caller renews it, and GitHub takes its time: the others do not wait.
        let due = at(3600 - 599);
        let (answer, answered) = tokio::sync::oneshot::channel();
        let slow = cell.get(due, || async { answered.await.unwrap() });
        let other = async {
            tokio::task::yield_now().await;
            let token = header(cell.get(due, || mint("none", due)).await);
            answer
                .send(Ok(issued("second", due)))
                .map_err(drop)
                .unwrap();
            token
        };
        let (slow, other) = tokio::join!(slow, other);
        assert_eq!(
            (header(slow), other),
            (
                "Bearer second".parse().unwrap(),
                "Bearer first".parse().unwrap()
            )
        );
    }

    #[tokio::test]
    async fn a_failed_renewal_is_no_failure_while_the_old_token_lives() {
        let cell = InstallationToken::default();
        let fail = || async { Err(failure()) };
        assert!(cell.get(at(0), fail).await.is_err());
        let token = cell
            .get(at(0), || async { Ok(issued("first", at(0))) })
            .await
            .unwrap();
        assert!(cell.get(at(3600 - 300), fail).await.is_ok());
        assert!(
            cell.get(at(3600 - 60), fail).await.is_err(),
            "too close to its end"
        );
        cell.forget(&BearerToken::new("another").unwrap());
        assert!(cell.get(at(0), fail).await.is_ok());
        cell.forget(&token);
        assert!(cell.get(at(0), fail).await.is_err());
    }
}
