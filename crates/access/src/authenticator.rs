//! Determines the principal of a request.

use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::HeaderMap;
use model::Clock;
use parking_lot::{Mutex, RwLock};
use service_kit::lifecycle::{Lifecycle, OnExit};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    AuthError, NameDirectory, Principal, bearer,
    table::{TokenFileError, TokenTable, check_tokens},
    token_file::{self, TokenFile},
};

/// Interval at which the token file is checked, and at which expired tokens end the sessions and
/// streams opened under them.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Time that one check of the token file may take; if a disk takes longer, the file is checked
/// again later.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);

/// Determines the principal of a request; see the folder's description.
#[derive(Debug)]
pub struct Authenticator(Mode);

#[derive(Debug)]
enum Mode {
    None {
        anonymous: Arc<Principal>,
        revoked: watch::Sender<u64>,
    },
    Tokens(Arc<Tokens>),
}

impl Authenticator {
    /// `auth.mode = "none"`: every request has the same principal, which reads everything.
    #[must_use]
    pub fn none() -> Self {
        let anonymous = Arc::new(Principal::anonymous());
        Self(Mode::None {
            anonymous,
            revoked: watch::Sender::new(0),
        })
    }

    /// Whether a request needs a token.
    #[must_use]
    pub const fn needs_tokens(&self) -> bool {
        matches!(self.0, Mode::Tokens(_))
    }

    /// `auth.mode = "tokens"`: reads the token file, and checks it again while the edge runs.
    /// Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or is not a valid token file.
    pub fn tokens(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, TokenFileError> {
        let (file, table) = TokenFile::open(path)?;
        log_tokens(&table, path);
        Ok(Self(Mode::Tokens(Arc::new(Tokens {
            table: RwLock::new(table),
            file: Mutex::new(file),
            clock,
            revoked: watch::Sender::new(0),
            names: OnceLock::new(),
        }))))
    }

    /// Whether some token sees only what it names.
    #[must_use]
    pub fn names_places(&self) -> bool {
        match &self.0 {
            Mode::None { .. } => false,
            Mode::Tokens(tokens) => tokens.table.read().names_places(),
        }
    }

    /// From now on, what tokens see is decided by the ids that the names of their owners and repositories mean
    /// (ADR 002). A second directory changes nothing.
    pub fn follow_ids(&self, names: &Arc<NameDirectory>) {
        if let Mode::Tokens(tokens) = &self.0 {
            // Set while no other table can come in between.
            let table = tokens.table.write();
            let _ = tokens.names.set(Arc::clone(names));
            table.follow_ids(names);
        }
    }

    /// Validates a token file as the edge does when it starts. Blocks.
    ///
    /// # Errors
    /// As [`Authenticator::tokens`].
    pub fn check_file(path: &Path) -> Result<(), TokenFileError> {
        check_tokens(&token_file::read(path)?)
    }

    /// No token, or an invalid one.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Principal>, AuthError> {
        match &self.0 {
            Mode::None { anonymous, .. } => Ok(Arc::clone(anonymous)),
            Mode::Tokens(tokens) => {
                let token = bearer::token(headers)?;
                tokens.table.read().find(&token, tokens.clock.now())
            }
        }
    }

    /// Changes whenever a token is revoked. Then everything has to end that was opened with a
    /// principal that is no longer [valid](Principal::is_valid).
    pub fn revoked(&self) -> watch::Receiver<u64> {
        match &self.0 {
            Mode::None { revoked, .. } => revoked.subscribe(),
            Mode::Tokens(tokens) => tokens.revoked.subscribe(),
        }
    }

    /// Starts checking the token file, until `stop`; does nothing without tokens.
    pub fn spawn(&self, lifecycle: &Lifecycle, stop: CancellationToken) {
        if let Mode::Tokens(tokens) = &self.0 {
            let watching = watch_file(Arc::clone(tokens), stop);
            // Without it a revoked token would stay valid.
            lifecycle.spawn_until_closed("edge-tokens", OnExit::EndsProcess, watching);
        }
    }
}

struct Tokens {
    table: RwLock<TokenTable>,
    /// Held during a check: while a disk hangs, a second check returns at once.
    file: Mutex<TokenFile>,
    clock: Arc<dyn Clock>,
    /// Number of revocations so far.
    revoked: watch::Sender<u64>,
    names: OnceLock<Arc<NameDirectory>>,
}

impl Tokens {
    /// Reads the file if it changed. Blocks.
    fn reload(&self) {
        let Some(mut file) = self.file.try_lock() else {
            return;
        };
        match file.reload_if_changed() {
            Ok(None) => {}
            Ok(Some(mut table)) => {
                log_tokens(&table, file.path());
                let mut current = self.table.write();
                let revoked = table.replace(&current);
                if let Some(names) = self.names.get() {
                    table.follow_ids(names);
                }
                *current = table;
                drop(current);
                if let Some(names) = self.names.get() {
                    names.sweep();
                }
                self.announce_revoked(&revoked, "revoked or changed");
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let path = file.path().display();
                error!(%path, %error, source, "the previous tokens stay in force");
            }
        }
    }

    /// Ends the sessions and streams opened under expired tokens.
    fn expire(&self) {
        let revoked = self.table.read().expire(self.clock.now());
        self.announce_revoked(&revoked, "expired");
    }

    fn announce_revoked(&self, tokens: &[Box<str>], why: &'static str) {
        if tokens.is_empty() {
            return;
        }
        info!(?tokens, why, "tokens ended");
        self.revoked.send_modify(|count| *count += 1);
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

fn log_tokens(table: &TokenTable, path: &Path) {
    let (tokens, path) = (table.len(), path.display());
    if tokens == 0 {
        warn!(%path, "the token file holds no tokens: every request is refused");
    } else {
        info!(%path, tokens, "tokens read");
    }
}

async fn watch_file(tokens: Arc<Tokens>, stop: CancellationToken) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        tokens.expire();
        let looking = Arc::clone(&tokens);
        let look = timeout(CHECK_DEADLINE, spawn_blocking(move || looking.reload()));
        match stop.run_until_cancelled(look).await {
            None => return,
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => error!(%error, "the check of the token file panicked"),
            Some(Err(_)) => warn!("the token file could not be checked in time"),
        }
    }
}

#[cfg(test)]
mod tests;
