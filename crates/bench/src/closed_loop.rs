//! Many senders on one thread, each as fast as it gets its acknowledgements.
//!
//! A thread for each would be woken once for each answer, on the cores of what is measured.

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use rustix::event::epoll;

use crate::{
    clock::now_nanos,
    connection::{ANSWER_TIMEOUT, HttpConnection},
    load::{LoadResult, LoadSource, MAX_MICROS, ensure_accepted},
};

/// Sends until `end`, with `senders` requests under way at once.
pub(crate) fn send_until(source: &dyn LoadSource, senders: usize, end: u64) -> Result<LoadResult> {
    let mut all = SenderPool::open(source, senders)?;
    let started = now_nanos();
    for index in 0..senders {
        all.send_next(index, end)?;
    }
    let mut ready = Vec::with_capacity(senders);
    while all.under_way > 0 {
        all.wait(&mut ready)?;
        for index in ready.drain(..) {
            all.take_answer(index)?;
            all.send_next(index, end)?;
        }
    }
    Ok(LoadResult::since(started, all.acknowledged))
}

/// A connection, and the request that is under way on it.
struct Sender {
    connection: HttpConnection,
    number: u64,
    sent_at: u64,
}

struct SenderPool<'a> {
    source: &'a dyn LoadSource,
    senders: Vec<Sender>,
    epoll: rustix::fd::OwnedFd,
    request: Vec<u8>,
    /// The number of the last request.
    last: u64,
    under_way: usize,
    acknowledged: Histogram<u64>,
}

impl<'a> SenderPool<'a> {
    fn open(source: &'a dyn LoadSource, count: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let addresses = source.addresses();
        let mut senders = Vec::with_capacity(count);
        for index in 0..count {
            let connection = HttpConnection::open(addresses[index % addresses.len()])?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, connection.socket(), data, epoll::EventFlags::IN)?;
            senders.push(Sender {
                connection,
                number: 0,
                sent_at: 0,
            });
        }
        Ok(Self {
            source,
            senders,
            epoll,
            request: Vec::new(),
            last: 0,
            under_way: 0,
            acknowledged: Histogram::new_with_max(MAX_MICROS, 3)?,
        })
    }

    /// Sends the next request, if it is not too late for one.
    fn send_next(&mut self, index: usize, end: u64) -> Result<()> {
        let now = now_nanos();
        if now >= end {
            return Ok(());
        }
        self.last += 1;
        self.under_way += 1;
        let addresses = self.source.addresses();
        let address = addresses[index % addresses.len()];
        self.request.clear();
        self.source
            .request(address, self.last, now, &mut self.request);
        let sender = &mut self.senders[index];
        (sender.number, sender.sent_at) = (self.last, now);
        sender.connection.send(&self.request)
    }

    /// Waits for answers; `ready` are the senders that have one.
    fn wait(&self, ready: &mut Vec<usize>) -> Result<()> {
        let mut events = Vec::with_capacity(self.senders.len());
        let spare = rustix::buffer::spare_capacity(&mut events);
        let patience = rustix::time::Timespec {
            tv_sec: ANSWER_TIMEOUT.as_secs().try_into()?,
            tv_nsec: 0,
        };
        match epoll::wait(&self.epoll, spare, Some(&patience)) {
            Ok(count) => ensure!(count > 0, "no delivery was answered in time"),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for answers"),
        }
        for event in events {
            ready.push(usize::try_from(event.data.u64())?);
        }
        Ok(())
    }

    fn take_answer(&mut self, index: usize) -> Result<()> {
        let sender = &mut self.senders[index];
        let answer = sender.connection.answer().context("sending a delivery")?;
        ensure_accepted(self.source, sender.number, &answer)?;
        let took = now_nanos().saturating_sub(sender.sent_at);
        self.acknowledged.saturating_record(took / 1000);
        self.under_way -= 1;
        Ok(())
    }
}
