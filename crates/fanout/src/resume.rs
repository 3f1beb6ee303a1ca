//! The positions from which readers continue, and the cursors that they get for that.

use std::{cmp::Reverse, sync::Arc};

use event_flow::query::QueryPage;
use model::{
    Cursor, CursorError, CursorScope, CursorText, EntryTag, LogPosition, PrincipalId, Sequence,
};
use ports::EventLogError;
use tokio::time::timeout;

use crate::{
    error::HubError,
    format::StreamReader,
    hub::{Hub, StreamStart},
    limits::{CALL_DEADLINE, MAX_COMPARED_POSITIONS, RESUME_WAIT},
    metrics::GapReason,
    pages::PageResult,
    ring::RingTag,
    timeline::PositionComparison,
};

impl Hub {
    /// The reader's cursor after a position, at which there is an entry with this tag. It differs from all
    /// earlier ones also if the position is the same.
    pub fn cursor_at(
        &self,
        reader: &StreamReader,
        position: Sequence,
        tag: Option<EntryTag>,
    ) -> CursorText {
        let salt = (self.random() >> 32) as u32;
        let cursor = Cursor {
            told: reader.told,
            ..reader.cursor(position, tag)
        };
        reader.keys.seal_salted(&cursor, salt)
    }

    /// The reader's cursor after a page. Where nothing comes after the position from which the page was asked
    /// for, it names the entry there, as the cursor did with which the reader asked.
    pub fn cursor_after(&self, reader: &StreamReader, page: &QueryPage) -> CursorText {
        let tag = page.through_tag;
        let tag = tag.or_else(|| self.ring.known_tag(page.through));
        self.cursor_at(reader, page.through, tag)
    }

    /// The reader's cursor after a position up to which this edge has examined the log.
    pub fn cursor_through(&self, reader: &StreamReader, position: Sequence) -> CursorText {
        self.cursor_at(reader, position, self.ring.known_tag(position))
    }

    /// The reader's cursor at which a page of the newest events ended, for a page of what is before it;
    /// `None` if nothing is.
    pub fn cursor_before(&self, reader: &StreamReader, page: &QueryPage) -> Option<CursorText> {
        let older = page.older?;
        let oldest = page.events.last().filter(|event| event.sequence == older);
        let tag = oldest.map(|event| EntryTag::of(&event.item.facts.id));
        let tag = tag.or_else(|| self.ring.known_tag(older));
        Some(self.cursor_at(reader, older, tag))
    }

    /// Opens the cursor of a reader. The inner error: it is damaged, was not issued by this server, or belongs
    /// to another reader.
    ///
    /// # Errors
    /// [`HubError::NotReady`] on an edge that has just started: without keys of the operator, those of cursors
    /// are the log's, which it does not know yet. It would take every cursor for one of another log.
    pub fn open_cursor(
        &self,
        text: &str,
        scope: CursorScope,
    ) -> Result<Result<Cursor, CursorError>, HubError> {
        Ok(self.started_keys()?.open(text, scope))
    }

    /// The position at which a reader begins that gets all that comes after it, and whether events are gone: also those that
    /// the log lost after the position, though that itself is kept, and of which the reader has not been told.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub async fn resolve_start(
        &self,
        begin: StreamStart,
        principal: &PrincipalId,
    ) -> Result<(Sequence, bool), HubError> {
        let is_position = matches!(begin, StreamStart::After(_) | StreamStart::Position(_));
        let told = match &begin {
            StreamStart::After(cursor) => cursor.told,
            _ => None,
        };
        let (position, gone) = self.resolve(begin, principal).await?;
        let has_gap = is_position && !gone && self.timeline().has_gap_after(position, told);
        if has_gap {
            self.metrics.gap(GapReason::LogSetBack);
        }
        Ok((position, gone || has_gap))
    }

    /// Whether retention has removed entries after a position. A stream that begins there finds that itself.
    ///
    /// # Errors
    /// The log does not answer in time.
    pub async fn is_trimmed_after(&self, position: Sequence) -> Result<bool, HubError> {
        let head = timeout(CALL_DEADLINE, self.log_end.head(&*self.log)).await??;
        Ok(head.trimmed_through > position)
    }

    /// The position at which to begin, and whether it is another than the requested one.
    ///
    /// # Errors
    /// The cursor is ahead of this edge, which does not reach it in time; or it is older than the edge's
    /// memory, and the log cannot tell now whether it still has the entry of the cursor. It is a time, and the
    /// principal has searched the log for so many that this one is not found in time.
    pub async fn resolve(
        &self,
        begin: StreamStart,
        principal: &PrincipalId,
    ) -> Result<(Sequence, bool), HubError> {
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
            StreamStart::After(cursor) if !cursor.is_sealed => {
                return self.resolve_claim(cursor, principal).await;
            }
            StreamStart::After(cursor) => (cursor.sequence, cursor.tag),
            // It was compared when it was read from its record.
            StreamStart::Position(position) if self.timeline().is_kept(position) => {
                return Ok((position, false));
            }
            StreamStart::Position(position) => (position, None),
            StreamStart::AfterLoss(position) => return Ok((position.min(head), true)),
            StreamStart::Since(time) => {
                let reader = self.log_turns.pace_of(principal);
                let start = timeout(CALL_DEADLINE, reader.seek(time)).await??;
                if start.truncated {
                    self.metrics.gap(GapReason::Trimmed);
                    return Ok((start.position, true));
                }
                let lost = self.lost_times.reason(time, None);
                if let Some(reason) = lost {
                    self.metrics.gap(reason);
                }
                return Ok((start.position, lost.is_some()));
            }
        };
        self.resolve_at(position, tag, principal).await
    }

    /// Where the reader of a cursor continues that no seal vouches for, and whether events are gone: at the
    /// position if the log has the entry there that the tag names. The answer to any other is that to a cursor
    /// of another log, whatever its position: a different one would tell a reader where the log ends, and so
    /// count the events that it may not see.
    async fn resolve_claim(
        &self,
        cursor: Cursor,
        principal: &PrincipalId,
    ) -> Result<(Sequence, bool), HubError> {
        let position = cursor.sequence;
        let is_proven = match cursor.tag {
            Some(tag) => self.has_entry(position, tag, principal).await?,
            None => false,
        };
        if is_proven {
            return Ok((position, false));
        }
        self.metrics.gap(GapReason::UnknownCursor);
        Ok((Sequence::START, true))
    }

    /// Whether the log has an entry with this tag at this position. One that was trimmed is not there.
    async fn has_entry(
        &self,
        position: Sequence,
        tag: EntryTag,
        principal: &PrincipalId,
    ) -> Result<bool, HubError> {
        if position > self.ring.head() {
            let last = timeout(CALL_DEADLINE, self.log.head()).await??.last;
            if position > last {
                return Ok(false);
            }
        }
        match self.has_reached(position, RESUME_WAIT).await {
            true => {
                let found = self.entry_at(position, principal).await?;
                Ok(found == RingTag::Known(tag))
            }
            false => Err(HubError::NotReady),
        }
    }

    /// Where a reader continues whose position is at the entry with this tag, and whether events are gone.
    async fn resolve_at(
        &self,
        position: Sequence,
        tag: Option<EntryTag>,
        principal: &PrincipalId,
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
        if self.is_lost(position, tag, principal).await? {
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
        principal: &PrincipalId,
    ) -> Result<(Option<Sequence>, bool), HubError> {
        let (position, gone) = self.resolve(StreamStart::After(cursor), principal).await?;
        Ok(((!gone).then_some(position), gone))
    }

    /// Compares positions of this log that were stored with the log as it is. Those of a part that was lost
    /// before this edge began are then resolved to the start ([`Self::timeline`]); returns the position from
    /// which a stream has all that took their numbers and all that came after the others, if there are any. An
    /// older position may be lost where a newer one, stored since, is not; but beyond
    /// [`MAX_COMPARED_POSITIONS`] that are kept, the older ones count as kept too. All of the log comes after a
    /// position of another log.
    ///
    /// # Errors
    /// As [`Self::resolve`] for a cursor: a stream that begins without the comparison could take new events
    /// for older ones.
    pub async fn learn_of_losses(
        &self,
        stored: impl IntoIterator<Item = LogPosition>,
        principal: &PrincipalId,
    ) -> Result<Option<Sequence>, HubError> {
        let epoch = self.epoch();
        let (mut stored, elsewhere): (Vec<_>, Vec<_>) =
            stored.into_iter().partition(|stored| stored.epoch == epoch);
        if !elsewhere.is_empty() {
            self.metrics.gap(GapReason::LogReplaced);
            return Ok(Some(Sequence::START));
        }
        stored.sort_unstable_by_key(|stored| Reverse(stored.sequence));
        stored.dedup();
        let (mut resumes_after, mut kept) = (None, 0);
        for position in &stored {
            let Some(tag) = position.tag else {
                continue;
            };
            // A set-back that this edge saw needs no comparison, unless the entry was lost before that.
            let timeline = self.timeline();
            let has_moved = timeline.moved(position.sequence) < position.sequence;
            if has_moved && !timeline.is_of_earlier_part(*position) {
                continue;
            }
            let comparison = |is_lost| PositionComparison {
                position: position.sequence,
                tag,
                is_lost,
            };
            let (resumes, is_lost) = self
                .resolve_at(position.sequence, Some(tag), principal)
                .await?;
            if !is_lost {
                if has_moved {
                    // It was reached since.
                    self.learn(comparison(false));
                }
                kept += 1;
                if kept == MAX_COMPARED_POSITIONS {
                    break;
                }
                continue;
            }
            if self.timeline().resolve(*position) != Sequence::START {
                self.learn(comparison(true));
            }
            resumes_after =
                Some(resumes_after.map_or(resumes, |known: Sequence| known.min(resumes)));
        }
        let timeline = self.timeline();
        let there = stored.iter().map(|stored| timeline.resolve(*stored));
        let there = there.filter(|position| *position > Sequence::START).min();
        Ok(resumes_after.map(|resumes| there.map_or(resumes, |there| there.min(resumes))))
    }

    /// Whether a reader's position, at the entry with this tag, may be in a part that the log lost: nothing
    /// shows that the entry is still there. One that was trimmed cannot be compared, and counts as kept.
    async fn is_lost(
        &self,
        position: Sequence,
        tag: Option<EntryTag>,
        principal: &PrincipalId,
    ) -> Result<bool, HubError> {
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
        Ok(match self.entry_at(position, principal).await? {
            RingTag::Known(known) => known != tag,
            RingTag::Absent => true,
            RingTag::Outside => false,
        })
    }

    /// The tag of the entry at a position that the client did not name: from memory, or from the page that the
    /// stream then reads. If the log does not answer, the stream finds that itself.
    pub(crate) async fn look_up(
        &self,
        position: Sequence,
        principal: &PrincipalId,
    ) -> Option<EntryTag> {
        let is_behind = position > Sequence::START && position < self.ring.head();
        match self.ring.tag_at(position) {
            RingTag::Outside if is_behind => {
                let page = self.page_in_time(position.previous(), principal).await;
                page.ok()?.tag_at(position).known()
            }
            found => found.known(),
        }
    }

    /// The entry at a position that this edge has reached, from memory or the log.
    async fn entry_at(
        &self,
        position: Sequence,
        principal: &PrincipalId,
    ) -> Result<RingTag, HubError> {
        let here = self.ring.tag_at(position);
        if here != RingTag::Outside {
            return Ok(here);
        }
        // The readers that come back together share this page, and then read on in it.
        let page = self.page_in_time(position.previous(), principal).await;
        Ok(page.map_err(HubError::Page)?.tag_at(position))
    }

    /// The page after a position, for a request that waits for its answer.
    async fn page_in_time(&self, position: Sequence, principal: &PrincipalId) -> PageResult {
        let page = self.page_after(position, principal);
        let page = timeout(CALL_DEADLINE, page).await;
        page.unwrap_or_else(|elapsed| {
            let (op, source) = ("read", elapsed.into());
            Err(Arc::new(EventLogError::Unavailable { op, source }))
        })
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
