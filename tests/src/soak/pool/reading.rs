//! Handles the events of the sockets.

use std::{
    io::{ErrorKind, Read},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::event::epoll;

use super::{
    connection::SoakConnection,
    streams::{Slot, SoakStreams},
};
use crate::soak::{client::FrameEffect, faults::Fault, wire::StreamDefect};

/// A stream that has been open for this long has caught up: its delays are counted.
const LIVE_AFTER: Duration = Duration::from_secs(5);
/// Time that the thread waits for sockets before it does its other work.
const TURN: rustix::time::Timespec = rustix::time::Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

impl SoakStreams {
    /// Reads the available data, or waits a moment for it.
    pub(super) fn turn(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(1024);
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, spare, Some(&TURN)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for sockets"),
        }
        for event in events {
            let (flags, data) = (event.flags, event.data.u64());
            let (slot, serial) = ((data & 0xffff_ffff) as usize, (data >> 32) as u32);
            if self.slots[slot].serial != serial {
                continue;
            }
            if flags.contains(epoll::EventFlags::OUT) && !self.send_request(slot) {
                self.schedule_reconnect(slot);
                continue;
            }
            let rest = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::HUP;
            if flags.intersects(rest | epoll::EventFlags::ERR) {
                self.read(slot);
            }
        }
        Ok(())
    }

    /// Called when the connection is established: sends the request, once; gives whether that
    /// succeeded.
    fn send_request(&mut self, slot: usize) -> bool {
        let Slot {
            client: Some(client),
            connection: Some(connection),
            ..
        } = &mut self.slots[slot]
        else {
            return false;
        };
        connection.send_request(|| client.request())
    }

    /// Reads one socket until it is empty: registered edge-triggered, it would not be reported
    /// again.
    fn read(&mut self, slot: usize) {
        loop {
            let Some(connection) = &mut self.slots[slot].connection else {
                return;
            };
            match connection.socket.read(&mut self.buffer) {
                Ok(0) => return self.broke(slot),
                Ok(length) => {
                    if let Err(broken) = self.feed(slot, length) {
                        return self.refused(slot, broken);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.broke(slot),
            }
            let ended = |connection: &SoakConnection| connection.wire.has_ended();
            if self.slots[slot].connection.as_ref().is_some_and(ended) {
                return self.broke(slot);
            }
        }
    }

    fn feed(&mut self, slot: usize, length: usize) -> Result<(), StreamDefect> {
        let Slot {
            client: Some(client),
            connection: Some(connection),
            was_open,
            ..
        } = &mut self.slots[slot]
        else {
            return Ok(());
        };
        let SoakConnection {
            wire,
            opened,
            last_data_at,
            ..
        } = connection;
        let now = Instant::now();
        *last_data_at = now;
        let (ledger, figures) = (&mut self.ledger, &mut self.figures);
        figures.bytes += length as u64;
        let now_millis = ledger.books.now_millis();
        wire.feed(
            &self.buffer[..length],
            &mut |frame| match client.record(frame, ledger) {
                FrameEffect::Opening => {
                    *opened = Some(now);
                    figures.opened += 1;
                    figures.resumed += u64::from(std::mem::replace(was_open, true));
                }
                FrameEffect::Event(mark) => {
                    figures.events += 1;
                    if opened.is_some_and(|opened| now - opened > LIVE_AFTER) {
                        let delay = now_millis.saturating_sub(mark.sent_millis);
                        figures.delays.add(delay);
                    }
                }
                FrameEffect::Update => figures.updates += 1,
                FrameEffect::Other => {}
            },
        )
    }

    fn broke(&mut self, slot: usize) {
        self.figures.broken += 1;
        self.schedule_reconnect(slot);
    }

    fn refused(&mut self, slot: usize, broken: StreamDefect) {
        let client = &self.slots[slot].client;
        match broken {
            // The edge behind the balancer has just died, or no edge is available at the moment.
            StreamDefect::Status(500..) => self.figures.unavailable += 1,
            _ => self
                .ledger
                .faults
                .add(Fault::Refused, || format!("{broken:?} for {client:?}")),
        }
        self.schedule_reconnect(slot);
    }
}
