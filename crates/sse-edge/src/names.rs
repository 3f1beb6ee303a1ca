//! Keeps the directory of names: loads what is stored and reads what the log has had since, before the edge
//! follows it, and stores what this edge learns. See `access`, ADR 002.

mod mirrored;
mod storing;

use std::{collections::BTreeSet, fmt, sync::Arc};

use access::{Authenticator, NameDirectory, PinnedNames, limits::SHOWN_PARTS};
use edge_records::{NameRecords, NameRecordsError};
use fanout::hub::Hub;
use model::{LogPosition, PrincipalId, Sequence};
use ports::{EventLog, EventLogError, LogHead};
use tokio::time::{error::Elapsed, sleep, timeout};
use tracing::warn;

pub(crate) use mirrored::MirroredNames;

use crate::limits::{
    CALL_DEADLINE, MAX_NAME_CATCH_UP_EVENTS, NAME_CATCH_UP_PAGE_EVENTS, NAME_PRINCIPALS_PER_READ,
    NAME_RETRY_PAUSE,
};

/// A failure to load or to store names.
#[derive(Debug, thiserror::Error)]
enum NamesError {
    #[error(transparent)]
    Records(#[from] NameRecordsError),
    #[error(transparent)]
    Log(#[from] EventLogError),
    #[error("the store did not answer in time")]
    Timeout(#[from] Elapsed),
}

/// Loads and stores the names of one edge.
pub(crate) struct NameKeeper {
    hub: Arc<Hub>,
    names: Arc<NameDirectory>,
    records: NameRecords,
    log: Arc<dyn EventLog>,
    auth: Arc<Authenticator>,
    /// Everything up to here was in the directory when the edge began to follow the log.
    read_through: Option<LogPosition>,
    /// The principals whose stored pins are known.
    loaded: BTreeSet<PrincipalId>,
    /// The mark of what is stored and has been compared with what is known here.
    mark: Option<u64>,
}

impl fmt::Debug for NameKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameKeeper").finish_non_exhaustive()
    }
}

impl NameKeeper {
    pub(crate) fn new(
        hub: Arc<Hub>,
        records: NameRecords,
        log: Arc<dyn EventLog>,
        auth: Arc<Authenticator>,
    ) -> Self {
        Self {
            names: Arc::clone(hub.names()),
            hub,
            records,
            log,
            auth,
            read_through: None,
            loaded: BTreeSet::new(),
            mark: None,
        }
    }

    /// Loads the names, and reads the log after the position up to which they are stored. Returns the position
    /// after which the edge follows. Repeats until it succeeds: without the pins, a token might show what it
    /// must not.
    pub(crate) async fn load(&mut self) -> LogPosition {
        loop {
            match self.find_head().await {
                Ok(head) => match self.try_load(head).await {
                    Ok(position) => return position,
                    // No token is limited to names: streams need not wait for what filters mean.
                    Err(error)
                        if !matches!(error, NamesError::Log(_)) && !self.auth.names_places() =>
                    {
                        warn!(%error, "renames before this start are unknown until names can be loaded");
                        self.auth.follow_ids(&self.names);
                        self.names.end_loading();
                        return at(head, head.last);
                    }
                    Err(error) => warn!(%error, "names cannot be loaded yet, trying again"),
                },
                Err(error) => warn!(%error, "event log cannot be read yet, trying again"),
            }
            sleep(NAME_RETRY_PAUSE).await;
        }
    }

    async fn find_head(&self) -> Result<LogHead, NamesError> {
        Ok(timeout(CALL_DEADLINE, self.log.head()).await??)
    }

    async fn try_load(&mut self, head: LogHead) -> Result<LogPosition, NamesError> {
        let stored = self.stored_book().await?;
        let is_lost = stored.is_none() && head.last > head.trimmed_through;
        if is_lost {
            warn!(
                oldest = %head.trimmed_through,
                "no names are stored, though the log has events: what tokens name is found anew, by the earliest \
                 events that the log still has"
            );
            self.names.begin_recovery(at(head, head.trimmed_through));
        } else {
            self.names.begin_loading(at(head, head.last));
        }
        let through = stored.map(|stored| {
            // What is not stored is stored with the next checkpoint.
            let _ = self.names.merge_changes(stored.names.changes);
            stored.names.through
        });
        self.load_places().await?;
        self.auth.follow_ids(&self.names);
        self.load_all_pins().await?;
        let begin = through.unwrap_or_else(|| at(head, head.trimmed_through));
        let position = self.catch_up(begin, head, !is_lost).await?;
        self.names.end_loading();
        self.read_through = Some(position);
        if let Err(error) = self.store_all().await {
            warn!(%error, "names cannot be stored now, trying again");
        }
        Ok(position)
    }

    /// Takes the stored names under which places were shown.
    async fn load_places(&self) -> Result<(), NamesError> {
        for part in 0..SHOWN_PARTS {
            let stored = timeout(CALL_DEADLINE, self.records.load_places(part)).await??;
            let stored = stored.map(|stored| stored.names).unwrap_or_default();
            if self.names.merge_places(part, stored).is_some() {
                self.names.keep_places(part);
            }
        }
        Ok(())
    }

    /// Takes the stored pins of all principals, before anything is shown to one. What is missing there is stored
    /// next.
    async fn load_all_pins(&mut self) -> Result<(), NamesError> {
        let principals: Vec<_> = self.names.principals().into_iter().collect();
        for some in principals.chunks(NAME_PRINCIPALS_PER_READ) {
            let load = self.records.load_pins_of::<PinnedNames>(some);
            let stored = timeout(CALL_DEADLINE, load).await??;
            for (principal, stored) in some.iter().zip(stored) {
                let pins = stored.map(|stored| stored.names).unwrap_or_default();
                if self.names.merge_pins(principal, &pins).is_some() {
                    self.names.keep_pins(principal.clone());
                }
                self.loaded.insert(principal.clone());
            }
        }
        Ok(())
    }

    /// Reads what the log has had since names were stored.
    async fn catch_up(
        &self,
        through: LogPosition,
        head: LogHead,
        counts: bool,
    ) -> Result<LogPosition, NamesError> {
        let is_here = through.epoch == head.epoch && through.sequence <= head.last;
        let from = if is_here {
            through.sequence
        } else {
            Sequence::START
        };
        let (mut after, mut read) = (from.max(head.trimmed_through), 0);
        if is_here && after > from {
            warn!(%from, resumes_after = %after, "renames may be unknown: the log has lost what came after names were stored");
        }
        while after < head.last {
            if read >= MAX_NAME_CATCH_UP_EVENTS {
                warn!(%after, head = %head.last, "renames may be unknown: too much has happened since names were stored");
                after = head.last;
                break;
            }
            let page = self.log.read_after(after, NAME_CATCH_UP_PAGE_EVENTS);
            let page = timeout(CALL_DEADLINE, page).await??;
            for event in &page.events {
                let position = at(head, event.sequence);
                let observed = self.names.observe(position, &event.item.facts);
                if counts {
                    self.hub.count_renames(&observed.renamed);
                }
            }
            read += page.events.len() + page.undecodable.len();
            after = page.through.max(after);
            if page.at_head {
                break;
            }
        }
        Ok(at(head, after))
    }
}

const fn at(head: LogHead, sequence: Sequence) -> LogPosition {
    LogPosition {
        epoch: head.epoch,
        sequence,
        tag: None,
    }
}
