//! How far the edge has followed the log, and what changed on the way.

use event_flow::follow::Followed;
use model::{Epoch, LogPosition, Sequence};
use parking_lot::RwLock;
use ports::{BusMessage, LogHead, SyncNews};
use tokio::time::Instant;

use crate::{
    changes::{ChangeKeys, ChangeMoment, ChangeTable},
    entries::CacheEntry,
};

/// A place in the log that was followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FollowedTo {
    pub(crate) epoch: Epoch,
    pub(crate) sequence: Sequence,
}

impl FollowedTo {
    /// How far the edge must have followed for an answer from the cache, of a caller at `seen` who found the log's end at
    /// `end` after the edge was here; `None` if the edge follows another state of the log than the present one. If the log
    /// does not answer, `seen` alone decides (RR-03).
    pub(crate) fn target(self, seen: LogPosition, end: Option<LogHead>) -> Option<Self> {
        let sequence = match end {
            Some(end) if end.epoch == self.epoch && end.last >= self.sequence => end.last,
            None if seen.epoch == self.epoch => seen.sequence,
            Some(_) | None => return None,
        };
        Some(Self { sequence, ..self })
    }
}

#[derive(Debug)]
struct FollowedLog {
    /// `None` before the log was found.
    to: Option<FollowedTo>,
    changes: ChangeTable,
}

/// What the edge's follower has brought. The position and the changes up to it are one: whoever sees the position finds the
/// changes.
#[derive(Debug)]
pub(crate) struct FollowedChanges(RwLock<FollowedLog>);

impl FollowedChanges {
    pub(crate) fn new(keys: ChangeKeys) -> Self {
        Self(RwLock::new(FollowedLog {
            to: None,
            changes: ChangeTable::new(keys),
        }))
    }

    /// Takes what the follower passes on. Never blocks.
    pub(crate) fn apply(&self, followed: &Followed) {
        match followed {
            Followed::Started {
                epoch, position, ..
            } => self.restart(|_| {
                Some(FollowedTo {
                    epoch: *epoch,
                    sequence: *position,
                })
            }),
            // The log no longer has what came after that: other events may have its numbers.
            Followed::SetBack { resumes_after, .. } => self.restart(|to| {
                to.map(|to| FollowedTo {
                    sequence: *resumes_after,
                    ..to
                })
            }),
            // Of events that nobody has seen it is not known what they changed.
            Followed::Lost(lost) => self.restart(|to| {
                to.map(|to| FollowedTo {
                    sequence: to.sequence.max(lost.range.resumes_after),
                    ..to
                })
            }),
            Followed::Events(events) => {
                let mut log = self.0.write();
                for event in events {
                    log.changes.event(&event.item.facts);
                }
                if let (Some(last), Some(to)) = (events.last(), &mut log.to) {
                    to.sequence = to.sequence.max(last.sequence);
                }
            }
            Followed::CaughtUp { through } => {
                if let Some(to) = &mut self.0.write().to {
                    to.sequence = to.sequence.max(*through);
                }
            }
            Followed::Other(BusMessage::Sync(SyncNews::Mirrored(states))) => {
                self.0.write().changes.mirrored(states);
            }
            // A hint may be among what was lost.
            Followed::OtherGap => self.0.write().changes.drop_all(),
            Followed::Other(_) | Followed::Stalled | Followed::Recovered => {}
        }
    }

    fn restart(&self, to: impl FnOnce(Option<FollowedTo>) -> Option<FollowedTo>) {
        let mut log = self.0.write();
        log.to = to(log.to);
        log.changes.drop_all();
    }

    /// How far the log was followed, and the last change up to there.
    pub(crate) fn now(&self) -> (Option<FollowedTo>, ChangeMoment) {
        let log = self.0.read();
        (log.to, log.changes.now())
    }

    /// Whether entries can be given to a caller with this target, and then which of them are as new as that.
    pub(crate) fn judge<'e>(
        &self,
        target: Option<FollowedTo>,
        entries: impl Iterator<Item = Option<&'e CacheEntry>>,
    ) -> Option<Vec<EntryJudgement>> {
        let log = self.0.read();
        let is_reached = |target: FollowedTo| {
            log.to
                .is_some_and(|to| to.epoch == target.epoch && to.sequence >= target.sequence)
        };
        if !target.is_none_or(is_reached) {
            return None;
        }
        let now = Instant::now();
        let judge = |entry: Option<&CacheEntry>| match entry {
            None => EntryJudgement::Missing,
            Some(entry) if log.changes.has_changed(entry.began, &entry.dependencies) => {
                EntryJudgement::Changed
            }
            Some(entry) if entry.is_too_old(now) => EntryJudgement::TooOld,
            Some(_) => EntryJudgement::Valid,
        };
        Some(entries.map(judge).collect())
    }
}

/// What an entry is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EntryJudgement {
    Valid,
    Missing,
    /// Something that it depends on may have changed.
    Changed,
    TooOld,
}
