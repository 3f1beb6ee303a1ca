//! Determines the principal of a request.

use std::{fmt, path::Path, sync::Arc, time::Duration};

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
    Denied, Principal, bearer,
    table::{TokenFileError, TokenTable, check_tokens},
    token_file::{self, TokenFile},
};

/// Interval at which the token file is checked, and at which expired tokens end the sessions and
/// streams opened under them.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Time that one check of the token file may take; if a disk takes longer, the file is checked
/// again later.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);

/// Determines the principal of a request; see the folder's description.
#[derive(Debug)]
pub struct Authenticator(Mode);

#[derive(Debug)]
enum Mode {
    None {
        everybody: Arc<Principal>,
        revoked: watch::Sender<u64>,
    },
    Tokens(Arc<Tokens>),
}

impl Authenticator {
    /// `auth.mode = "none"`: every request has the same principal, which reads everything.
    #[must_use]
    pub fn none() -> Self {
        let everybody = Arc::new(Principal::anonymous());
        Self(Mode::None {
            everybody,
            revoked: watch::Sender::new(0),
        })
    }

    /// `auth.mode = "tokens"`: reads the token file, and checks it again while the edge runs.
    /// Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or is not a valid token file.
    pub fn tokens(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, TokenFileError> {
        let (file, table) = TokenFile::open(path)?;
        tell(&table, path);
        Ok(Self(Mode::Tokens(Arc::new(Tokens {
            table: RwLock::new(table),
            file: Mutex::new(file),
            clock,
            revoked: watch::Sender::new(0),
        }))))
    }

    /// Validates a token file as the edge does when it starts. Blocks.
    ///
    /// # Errors
    /// As [`Authenticator::tokens`].
    pub fn check_file(path: &Path) -> Result<(), TokenFileError> {
        check_tokens(&token_file::read(path)?)
    }

    /// The principal of the request.
    ///
    /// # Errors
    /// No token, or none that is good now.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Principal>, Denied> {
        match &self.0 {
            Mode::None { everybody, .. } => Ok(Arc::clone(everybody)),
            Mode::Tokens(tokens) => {
                let token = bearer::token(headers)?;
                tokens.table.read().find(&token, tokens.clock.now())
            }
        }
    }

    /// Changes whenever some principal lost its token: then what is open under a principal that does
    /// not [stand](Principal::stands) any more has to end.
    // Used as soon as streams end with their token.
    pub fn revoked(&self) -> watch::Receiver<u64> {
        match &self.0 {
            Mode::None { revoked, .. } => revoked.subscribe(),
            Mode::Tokens(tokens) => tokens.revoked.subscribe(),
        }
    }

    /// Starts looking at the file, until `stop`; nothing to do without tokens.
    pub fn spawn(&self, lifecycle: &Lifecycle, stop: CancellationToken) {
        if let Mode::Tokens(tokens) = &self.0 {
            let watching = watch_file(Arc::clone(tokens), stop);
            // Without it a revoked token would stay valid.
            lifecycle.spawn("edge-tokens", OnExit::EndsProcess, watching);
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
}

impl Tokens {
    /// Reads the file if it changed. Blocks.
    fn look(&self) {
        let Some(mut file) = self.file.try_lock() else {
            return;
        };
        match file.look() {
            Ok(None) => {}
            Ok(Some(mut table)) => {
                tell(&table, file.path());
                let mut current = self.table.write();
                let fallen = table.succeed(&current);
                *current = table;
                drop(current);
                self.fell(&fallen, "revoked or changed");
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
        let fallen = self.table.read().expire(self.clock.now());
        self.fell(&fallen, "expired");
    }

    fn fell(&self, tokens: &[Box<str>], why: &'static str) {
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

fn tell(table: &TokenTable, path: &Path) {
    let (tokens, path) = (table.len(), path.display());
    if tokens == 0 {
        warn!(%path, "the token file holds no tokens: every request is refused");
    } else {
        info!(%path, tokens, "tokens read");
    }
}

async fn watch_file(tokens: Arc<Tokens>, stop: CancellationToken) {
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        tokens.expire();
        let looking = Arc::clone(&tokens);
        let look = timeout(LOOK_DEADLINE, spawn_blocking(move || looking.look()));
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
