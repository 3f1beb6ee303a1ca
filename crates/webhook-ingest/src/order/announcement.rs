//! What the other ingests were told of a delivery, and whether they still wait for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{ANNOUNCED_PERIOD, ECHO_PATIENCE, LATE_WAKE, MAX_ANNOUNCEMENTS};

/// A notice to the other ingests.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeliveryAnnouncement {
    /// The last one.
    at: Instant,
    count: u32,
    /// Whether the bus has yet to bring it back. Until it does, another ingest's notice may be under way here, and that
    /// ingest may not have heard of this one.
    is_unheard: bool,
    /// When it must have brought it.
    echo_until: Instant,
}

/// Whether an own delivery may be stored as the others expect it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnnouncementStanding {
    /// They wait for it.
    Awaited,
    /// They may have stopped to wait.
    Overdue,
    /// It was announced again, and that is over too.
    Lost,
}

impl DeliveryAnnouncement {
    /// The first one; the bus has this long to bring it back.
    pub(super) fn new(now: Instant, patience: Duration) -> Self {
        Self {
            at: now,
            count: 1,
            is_unheard: true,
            echo_until: now + patience,
        }
    }

    /// The next one.
    pub(super) fn again(self, now: Instant) -> Self {
        Self {
            count: self.count + 1,
            ..Self::new(now, ECHO_PATIENCE)
        }
    }

    /// The bus has brought it back.
    pub(super) const fn is_heard(&mut self) {
        self.is_unheard = false;
    }

    /// When the bus must bring it back, if it has not yet.
    pub(super) fn awaits_echo(self) -> Option<Instant> {
        self.is_unheard.then_some(self.echo_until)
    }

    /// Whether the bus did not bring it back in time, though this ingest was awake.
    pub(super) fn is_silent(self, now: Instant) -> bool {
        let awake = self.echo_until..=self.echo_until + LATE_WAKE;
        self.is_unheard && awake.contains(&now)
    }

    /// Once they have heard of it, the others wait for [`ORDER_PATIENCE`](crate::limits::ORDER_PATIENCE). A bus that
    /// stays silent the second time, while this ingest is awake, brings nothing from them either.
    pub(super) fn standing(self, now: Instant) -> AnnouncementStanding {
        let is_over = now >= self.at + ANNOUNCED_PERIOD;
        let is_unheard = self.is_unheard && now >= self.echo_until;
        let is_silent = self.is_silent(now);
        match is_over || (is_unheard && (!is_silent || self.count == 1)) {
            false => AnnouncementStanding::Awaited,
            true if self.count < MAX_ANNOUNCEMENTS => AnnouncementStanding::Overdue,
            true => AnnouncementStanding::Lost,
        }
    }
}
