//! Stores what an edge learns of names, and what it knows if the store has lost it.

use std::collections::BTreeSet;

use access::{NameChange, PinnedNames, ShownPlace, limits::SHOWN_PARTS};
use edge_records::{StoredBook, VersionedNames};
use model::{LogPosition, PrincipalId};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{NameKeeper, NamesError};
use crate::limits::{
    CALL_DEADLINE, NAME_CHECK_INTERVAL, NAME_CHECKPOINT_INTERVAL, NAME_RETRY_PAUSE,
};

impl NameKeeper {
    /// Stores what this edge learns, until `stop`.
    pub(crate) async fn keep(mut self, stop: CancellationToken) {
        let mut checkpoints = interval(NAME_CHECKPOINT_INTERVAL);
        let mut checks = interval(NAME_CHECK_INTERVAL);
        let endless = async {
            loop {
                let done = tokio::select! {
                    biased;
                    _ = checks.tick() => self.check().await,
                    _ = checkpoints.tick() => self.store_all().await,
                    () = self.names.has_news() => self.store_news().await,
                };
                if let Err(error) = done {
                    warn!(%error, "names cannot be stored now, trying again");
                    sleep(NAME_RETRY_PAUSE).await;
                    self.names.try_again();
                }
            }
        };
        stop.run_until_cancelled(endless).await;
    }

    /// Everything up to here is in the directory.
    fn position(&self) -> Option<LogPosition> {
        self.hub.started_position().ok().or(self.read_through)
    }

    /// Stores pins and changes that only this edge has.
    async fn store_news(&mut self) -> Result<(), NamesError> {
        let granted = self.names.principals();
        self.loaded.retain(|principal| granted.contains(principal));
        let unstored = self.names.unstored_pins();
        let new = granted.difference(&self.loaded).cloned();
        let due: BTreeSet<_> = unstored.into_iter().chain(new).collect();
        for principal in due {
            self.load_pins(&principal).await?;
            self.loaded.insert(principal);
        }
        if self.names.has_unstored_changes() {
            self.store_book(None).await?;
        }
        Ok(())
    }

    /// Stores everything that only this edge has, and how far it has followed the log.
    pub(super) async fn store_all(&mut self) -> Result<(), NamesError> {
        // First: everything up to here is in the directory.
        let through = self.position();
        self.store_news().await?;
        // The changes stand in the book before the names that follow from them, and the position comes last: an edge
        // that starts in between reads again what it lacks.
        for part in self.names.unstored_places() {
            self.store_places(part).await?;
        }
        self.store_book(through).await
    }

    /// Looks whether the stored names are still there, and stores what is lost. Another edge that put something right
    /// leaves another mark.
    async fn check(&mut self) -> Result<(), NamesError> {
        let stored = timeout(CALL_DEADLINE, self.records.load_mark()).await??;
        let mark = stored.as_ref().map(|stored| stored.names);
        if mark.is_some() && mark == self.mark {
            return Ok(());
        }
        let has_restored = self.compare().await?;
        if has_restored && self.mark.is_some() {
            warn!("the store had lost names: this edge has stored again what it knows");
        }
        if mark.is_some() && !has_restored {
            self.mark = mark;
            return Ok(());
        }
        let number = self.hub.new_mark();
        let store = self.records.store_mark(number, stored.as_ref());
        // If another edge was first, the next check compares with what that one stored.
        if timeout(CALL_DEADLINE, store).await?? {
            self.mark = Some(number);
        }
        Ok(())
    }

    /// Compares everything that is stored with what is known here; returns whether something was missing or wrong.
    async fn compare(&mut self) -> Result<bool, NamesError> {
        self.load_all_pins().await?;
        let unstored = self.names.unstored_pins();
        for principal in &unstored {
            self.load_pins(principal).await?;
        }
        let is_lost = self.stored_book().await?.is_none();
        for part in 0..SHOWN_PARTS {
            self.names.keep_places(part);
        }
        self.store_all().await?;
        Ok(is_lost || !unstored.is_empty())
    }

    /// Takes the stored pins of a principal, and stores those that only this edge has.
    async fn load_pins(&self, principal: &PrincipalId) -> Result<(), NamesError> {
        loop {
            let load = self.records.load_pins::<PinnedNames>(principal);
            let stored = timeout(CALL_DEADLINE, load).await??;
            let pins = stored.as_ref().map(|stored| stored.names.clone());
            let merged = self.names.merge_pins(principal, &pins.unwrap_or_default());
            let Some(merged) = merged else {
                return Ok(());
            };
            let store = self.records.store_pins(principal, &merged, stored.as_ref());
            let is_stored = match timeout(CALL_DEADLINE, store).await {
                Ok(Ok(is_stored)) => is_stored,
                failed => {
                    self.names.keep_pins(principal.clone());
                    failed??
                }
            };
            if is_stored {
                return Ok(());
            }
            // Another edge was first: what it stored counts.
        }
    }

    /// Takes a stored part of the names under which places were shown, and stores what only this edge has.
    async fn store_places(&self, part: usize) -> Result<(), NamesError> {
        loop {
            let load = self.records.load_places::<ShownPlace>(part);
            let stored = timeout(CALL_DEADLINE, load).await??;
            let known = stored.as_ref().map(|stored| stored.names.clone());
            let Some(places) = self.names.merge_places(part, known.unwrap_or_default()) else {
                return Ok(());
            };
            let store = self.records.store_places(part, &places, stored.as_ref());
            match timeout(CALL_DEADLINE, store).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => {}
                failed => {
                    self.names.keep_places(part);
                    failed??;
                }
            }
        }
    }

    pub(super) async fn stored_book(
        &self,
    ) -> Result<Option<VersionedNames<StoredBook<NameChange>>>, NamesError> {
        Ok(timeout(CALL_DEADLINE, self.records.load_book()).await??)
    }

    /// Stores the changes that only this edge has, and how far it has followed the log, if that is given. Says once
    /// which names changed: on the edge that stores it.
    async fn store_book(&self, reached: Option<LogPosition>) -> Result<(), NamesError> {
        loop {
            let stored = self.stored_book().await?;
            let before = stored.as_ref().map(|stored| &stored.names);
            let Some(through) = before.map(|before| before.through).or(reached) else {
                // The first book begins where the edge has read everything: with the next checkpoint.
                return Ok(());
            };
            let known = before
                .map(|before| before.changes.clone())
                .unwrap_or_default();
            let (changes, has_more) = self.names.merge_changes(known.clone());
            let is_ahead = |of: LogPosition| {
                before.is_some() && through.epoch == of.epoch && through.sequence >= of.sequence
            };
            let reached = reached.filter(|reached| !is_ahead(*reached));
            if !has_more && reached.is_none() {
                return Ok(());
            }
            let new: Vec<_> = changes
                .iter()
                .filter(|change| !known.contains(change))
                .cloned()
                .collect();
            let through = reached.unwrap_or(through);
            let book = StoredBook { through, changes };
            let store = self.records.store_book(&book, stored.as_ref());
            let is_stored = match timeout(CALL_DEADLINE, store).await {
                Ok(Ok(is_stored)) => is_stored,
                failed => {
                    self.names.keep_changes();
                    failed??
                }
            };
            if is_stored {
                for change in new {
                    info!("{change}");
                }
                return Ok(());
            }
        }
    }
}
