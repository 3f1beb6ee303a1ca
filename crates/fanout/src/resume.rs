//! The positions from which readers continue, and the cursors that they get for that.

use std::cmp::Reverse;

use event_flow::query::QueryPage;
use model::{Cursor, CursorError, CursorScope, CursorText, EntryTag, LogPosition, Sequence};
use tokio::time::timeout;

use crate::{
    error::HubError,
    format::StreamReader,
    hub::{Hub, StreamStart},
    limits::{CALL_DEADLINE, RESUME_WAIT},
    metrics::GapReason,
    ring::RingTag,
};

impl Hub {
    /// The reader's cursor after a position. It names the entry there, if this edge has it in memory.
    pub fn cursor(&self, reader: &StreamReader, position: Sequence) -> CursorText {
        self.cursor_at(reader, position, self.ring.known_tag(position))
    }

    /// The reader's cursor after a position, at which there is an entry with this tag. It differs from all
    /// earlier ones also if the position is the same.
    pub fn cursor_at(
        &self,
        reader: &StreamReader,
        position: Sequence,
        tag: Option<EntryTag>,
    ) -> CursorText {
        let salt = (self.random() >> 32) as u32;
        let cursor = reader.cursor(position, tag);
        reader.keys.seal_salted(&cursor, salt)
    }

    /// The reader's cursor at which a page of the newest events ended, for a page of what is before it;
    /// `None` if nothing is.
    pub fn cursor_before(&self, reader: &StreamReader, page: &QueryPage) -> Option<CursorText> {
        let older = page.older?;
        let oldest = page.events.last().filter(|event| event.sequence == older);
        let tag = oldest.map(|event| EntryTag::of(&event.item.facts.id));
        Some(self.cursor_at(reader, older, tag))
    }

    /// Whether cursors can be opened: without keys of the operator, theirs is that of the log, which an edge
    /// that has just started does not know yet. It would take every cursor for one of another log.
    ///
    /// # Errors
    /// [`HubError::NotReady`].
    pub fn check_started(&self) -> Result<(), HubError> {
        match self.has_started() {
            true => Ok(()),
            false => Err(HubError::NotReady),
        }
    }

    /// Opens the cursor of a reader, on an edge that has started ([`Self::check_started`]).
    ///
    /// # Errors
    /// It is damaged, was not issued by this server, or belongs to another reader.
    pub fn open_cursor(&self, text: &str, scope: CursorScope) -> Result<Cursor, CursorError> {
        self.cursor_keys().open(text, scope)
    }

    /// The position at which to begin, and whether requested events are gone.
    ///
    /// # Errors
    /// The cursor is ahead of this edge, which does not reach it in time; or it is older than the edge's
    /// memory, and the log cannot tell now whether it still has the entry of the cursor.
    pub async fn resolve(&self, begin: StreamStart) -> Result<(Sequence, bool), HubError> {
        let head = self.ring.head();
        let (position, tag) = match begin {
            StreamStart::Head => return Ok((head, false)),
            StreamStart::UnknownCursor => {
                self.metrics.gap(GapReason::UnknownCursor);
                return Ok((head, true));
            }
            StreamStart::After(cursor) if cursor.epoch != self.epoch() => {
                self.metrics.gap(GapReason::LogReplaced);
                return Ok((Sequence::START, true));
            }
            StreamStart::After(cursor) => (cursor.sequence, cursor.tag),
            StreamStart::Position(position) => (position, None),
            StreamStart::AfterLoss(position) => return Ok((position.min(head), true)),
            StreamStart::Since(time) => {
                let start = timeout(CALL_DEADLINE, self.log.seek(time)).await??;
                if start.truncated {
                    self.metrics.gap(GapReason::Trimmed);
                }
                return Ok((start.position, start.truncated));
            }
        };
        self.resolve_at(position, tag).await
    }

    /// Where a reader continues whose position is at the entry with this tag, and whether events are gone.
    async fn resolve_at(
        &self,
        position: Sequence,
        tag: Option<EntryTag>,
    ) -> Result<(Sequence, bool), HubError> {
        if position > self.ring.head() {
            // A cursor ahead of this edge is normal for a moment; one ahead of the log means that the
            // log lost events.
            let last = timeout(CALL_DEADLINE, self.log.head()).await??.last;
            if position > last {
                self.metrics.gap(GapReason::AheadOfLog);
                return Ok((self.unseen_after(position).min(last), true));
            }
        }
        if self.is_lost(position, tag).await? {
            self.metrics.gap(GapReason::LogSetBack);
            return Ok((self.unseen_after(position), true));
        }
        Ok((position, false))
    }

    /// The position before which a page of older events ends, and whether requested events are gone: if the
    /// log lost the cursor's position, the page begins with its newest event.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub async fn resolve_before(
        &self,
        cursor: Cursor,
    ) -> Result<(Option<Sequence>, bool), HubError> {
        let (position, gone) = self.resolve(StreamStart::After(cursor)).await?;
        Ok(((!gone).then_some(position), gone))
    }

    /// Compares positions of this log that were stored with the log as it is. Those of a part that was lost
    /// before this edge began are then resolved to the start ([`Self::timeline`]); returns the position from
    /// which a stream has all that took their numbers and all that came after the others, if there are any. Where the newest position still has
    /// its entry, the older ones do too.
    ///
    /// # Errors
    /// As [`Self::resolve`] for a cursor: a stream that begins without the comparison could take new events
    /// for older ones.
    pub async fn learn_of_losses(
        &self,
        stored: impl IntoIterator<Item = LogPosition>,
    ) -> Result<Option<Sequence>, HubError> {
        let epoch = self.epoch();
        let stored = stored.into_iter();
        let mut stored: Vec<_> = stored.filter(|stored| stored.epoch == epoch).collect();
        stored.sort_unstable_by_key(|stored| Reverse(stored.sequence));
        let mut resumes_after = None;
        for position in &stored {
            // A set-back that this edge saw needs no comparison.
            let Some(tag) = position.tag else {
                continue;
            };
            if self.timeline().moved(position.sequence) < position.sequence {
                continue;
            }
            let (resumes, is_lost) = self.resolve_at(position.sequence, Some(tag)).await?;
            if !is_lost {
                break;
            }
            if self.timeline().resolve(*position) != Sequence::START {
                self.learn_loss(position.sequence, tag);
            }
            resumes_after =
                Some(resumes_after.map_or(resumes, |known: Sequence| known.min(resumes)));
        }
        let timeline = self.timeline();
        let there = stored.iter().map(|stored| timeline.resolve(*stored));
        let there = there.filter(|position| *position > Sequence::START).min();
        Ok(resumes_after.map(|resumes| there.map_or(resumes, |there| there.min(resumes))))
    }

    /// Whether a reader's position, at the entry with this tag, is in a part that the log lost. An entry
    /// that was trimmed cannot be compared.
    async fn is_lost(&self, position: Sequence, tag: Option<EntryTag>) -> Result<bool, HubError> {
        // Not compared, and lost if the number was lost: that repeats events, and misses none.
        let is_lost_number = || self.timeline().moved(position) < position;
        let Some(tag) = tag else {
            return Ok(is_lost_number());
        };
        if !self.has_reached(position, RESUME_WAIT).await {
            // A stream must not be ahead of its edge: the edge would not notice a set-back in between.
            return match is_lost_number() {
                true => Ok(true),
                false => Err(HubError::NotReady),
            };
        }
        match self.ring.tag_at(position) {
            RingTag::Known(known) => Ok(known != tag),
            RingTag::Absent => Ok(true),
            RingTag::Outside => {
                // The readers that come back together share this page, and then read on in it.
                let page = self.page_after(position.previous()).await;
                let page = page.map_err(HubError::Page)?;
                Ok(page.tag_at(position).is_some_and(|known| known != tag))
            }
        }
    }

    /// Where a position of an earlier generation continues; `None` if the log was not put back since.
    pub fn moved_since(&self, generation: u32, position: Sequence) -> Option<Sequence> {
        (self.generation() != generation).then(|| self.timeline().moved_since(generation, position))
    }

    /// The position after which this edge has everything that a reader of the lost part of the log cannot
    /// have: where the log was put back, or, if that happened before this edge began, the oldest position
    /// in its memory.
    fn unseen_after(&self, lost: Sequence) -> Sequence {
        let moved = self.timeline().moved(lost);
        if moved < lost {
            return moved;
        }
        lost.previous().min(self.ring.base())
    }
}
