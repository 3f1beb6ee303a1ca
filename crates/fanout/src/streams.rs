//! The open streams of this edge, with a slab entry each.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use access::{NoPlace, PlaceShares};
use mcp::task::TaskId;
use model::{PrincipalId, Sequence, SessionId};
use slab::Slab;
use stream_driver::sync::{AtomicU64, Mutex, RwLock};

use super::{
    budget::{MatchBound, MatchBudget},
    format::StreamEnd,
    inbox::MailStream,
    ring::RingEntry,
    stream::{OpenStream, StreamIndex, StreamRef},
};
use crate::{
    limits::{MAX_FOLLOWED_TASKS, STREAMS_PER_VISIT},
    metrics::{EndedStreams, StreamKind},
};

/// All open streams, with an index of the stream of each session.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams {
    slab: RwLock<Slab<Arc<OpenStream>>>,
    /// The places of these streams, and of the answers of calls that are resumed. Locked while the slab is.
    places: Mutex<PlaceShares>,
    index: Arc<StreamIndex>,
    /// The comparisons that they need for one event.
    pub(super) budget: Arc<MatchBudget>,
    /// The streams themselves, not their slots: a slot may be reused by another stream at any
    /// moment.
    by_session: RwLock<HashMap<SessionId, Arc<OpenStream>>>,
    /// The streams that follow each task.
    by_task: RwLock<HashMap<TaskId, Vec<Arc<OpenStream>>>>,
    /// The number of tasks that the streams of each principal follow.
    followed: Mutex<PlaceShares>,
    /// Slots of the streams that carry answers: they also check for answers without a hint.
    answering: Mutex<HashSet<usize>>,
    /// Slots of the streams that have heartbeats by name.
    connections: Mutex<Connections>,
    /// Every event up to here has been compared with every stream.
    marked_through: AtomicU64,
    ended: EndedStreams,
}

/// The streams of `/mcp/sse`.
#[derive(Debug, Default)]
struct Connections {
    by_slot: HashMap<usize, PrincipalId>,
    of_principal: HashMap<PrincipalId, usize>,
}

impl Connections {
    fn add(&mut self, slot: usize, principal: &PrincipalId) {
        self.by_slot.insert(slot, principal.clone());
        *self.of_principal.entry(principal.clone()).or_default() += 1;
    }

    fn remove(&mut self, slot: usize) {
        let Some(principal) = self.by_slot.remove(&slot) else {
            return;
        };
        if let Some(count) = self.of_principal.get_mut(&principal) {
            *count -= 1;
            if *count == 0 {
                self.of_principal.remove(&principal);
            }
        }
    }
}

/// The reason why there is no room for a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// There is no place for it.
    Streams(NoPlace),
    /// The filters would need too many comparisons.
    Filters(MatchBound),
    /// There is no place for its tasks.
    Tasks(NoPlace),
}

/// The work that one event caused.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MarkWork {
    /// Streams that want the event.
    pub(crate) streams: usize,
    /// Comparisons made to find them.
    pub(crate) comparisons: usize,
}

impl OpenStreams {
    /// No streams yet; `ended` counts the streams that the edge ends.
    pub(crate) fn new(ended: EndedStreams) -> Self {
        Self {
            ended,
            ..Self::default()
        }
    }

    /// Adds a stream; an older one of the same session on this edge is ended.
    pub(crate) fn insert(
        &self,
        stream: &Arc<OpenStream>,
        max_streams: usize,
    ) -> Result<usize, NoRoom> {
        let principal = &stream.principal().id;
        let cost = stream.interest().cost();
        let share = self.budget.take(principal, cost);
        let share = share.map_err(NoRoom::Filters)?;
        let tasks = stream.news.wanted_tasks().count();
        let followed = self
            .followed
            .lock()
            .take_many(principal, tasks, MAX_FOLLOWED_TASKS);
        followed.map_err(NoRoom::Tasks)?;
        let slot = {
            let mut slab = self.slab.write();
            let place = self.places.lock().take(principal, max_streams);
            if place.is_err() {
                self.give_back_followed(stream);
            }
            place.map_err(NoRoom::Streams)?;
            slab.insert(Arc::clone(stream))
        };
        if stream.kind == StreamKind::Connection {
            self.connections.lock().add(slot, &stream.principal.id);
        }
        stream.take_place(&self.index, share);
        for task in stream.news.wanted_tasks() {
            let mut by_task = self.by_task.write();
            let followers = by_task.entry(task.clone()).or_default();
            followers.push(Arc::clone(stream));
        }
        if let Some((session, _)) = &stream.session {
            let older = self
                .by_session
                .write()
                .insert(session.clone(), Arc::clone(stream));
            if let Some(older) = older {
                older.end(StreamEnd::TakenOver);
            }
        }
        Ok(slot)
    }

    fn give_back_followed(&self, stream: &OpenStream) {
        let tasks = stream.news.wanted_tasks().count();
        let principal = &stream.principal().id;
        self.followed.lock().give_back_many(principal, tasks);
    }

    /// Takes a place for something that is no stream of the slab.
    pub(crate) fn take_place(
        &self,
        principal: &PrincipalId,
        max_streams: usize,
    ) -> Result<(), NoPlace> {
        self.places.lock().take(principal, max_streams)
    }

    pub(crate) fn give_back_place(&self, principal: &PrincipalId) {
        self.places.lock().give_back(principal);
    }

    /// The number of places that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.places.lock().taken()
    }

    pub(crate) fn remove(&self, slot: usize) {
        self.answering.lock().remove(&slot);
        self.connections.lock().remove(slot);
        let leaving = self.slab.read().get(slot).cloned();
        if let Some(stream) = leaving {
            stream.leave_place();
        }
        let removed = {
            let mut slab = self.slab.write();
            let removed = slab.try_remove(slot);
            if let Some(stream) = &removed {
                self.places.lock().give_back(&stream.principal.id);
            }
            removed
        };
        let Some(stream) = removed else {
            return;
        };
        if let Some(ending) = stream.ending() {
            self.ended.count(ending);
        }
        for task in stream.news.wanted_tasks() {
            self.unfollow(&stream, task);
        }
        self.give_back_followed(&stream);
        if let Some((session, _)) = &stream.session {
            let mut by_session = self.by_session.write();
            if by_session
                .get(session)
                .is_some_and(|holder| Arc::ptr_eq(holder, &stream))
            {
                by_session.remove(session);
            }
        }
    }

    /// Wakes every stream that wants the event. No lock is held while filters are compared.
    pub(crate) fn mark(&self, entry: &RingEntry) -> MarkWork {
        let mut streams = 0;
        let comparisons = self.index.visit(entry.matched(), |StreamRef(stream)| {
            if stream.sees(&entry.event.facts) {
                stream.mark(entry.sequence.0);
                streams += 1;
            }
        });
        self.marked_through
            .store(entry.sequence.0, Ordering::Release);
        MarkWork {
            streams,
            comparisons,
        }
    }

    pub(crate) fn marked_through(&self) -> Sequence {
        Sequence(self.marked_through.load(Ordering::Acquire))
    }

    /// The log was replaced, or continues elsewhere: no event after `position` has been compared.
    pub(crate) fn restart(&self, position: Sequence) {
        self.marked_through.store(position.0, Ordering::Release);
    }

    pub(crate) fn of_session(&self, session: &SessionId) -> Option<Arc<OpenStream>> {
        self.by_session.read().get(session).cloned()
    }

    pub(crate) fn of_task(&self, task: &TaskId) -> Vec<Arc<OpenStream>> {
        self.by_task.read().get(task).cloned().unwrap_or_default()
    }

    /// All tasks that are followed here, with the principals of their streams.
    pub(crate) fn followed_tasks(&self) -> BTreeSet<(PrincipalId, TaskId)> {
        let by_task = self.by_task.read();
        let followed = by_task.iter().flat_map(|(task, streams)| {
            let owners = streams.iter().map(|stream| stream.principal.id.clone());
            owners.map(|owner| (owner, task.clone()))
        });
        followed.collect()
    }

    /// The stream has told the last state of a task.
    pub(crate) fn unfollow(&self, stream: &Arc<OpenStream>, task: &TaskId) {
        let mut by_task = self.by_task.write();
        if let Some(followers) = by_task.get_mut(task) {
            followers.retain(|follower| !Arc::ptr_eq(follower, stream));
            if followers.is_empty() {
                by_task.remove(task);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn of_slot(&self, slot: usize) -> Option<Arc<OpenStream>> {
        self.slab.read().get(slot).cloned()
    }

    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        self.by_session.read().keys().cloned().collect()
    }

    /// The number of connections of a principal.
    pub(crate) fn connections_of(&self, principal: &PrincipalId) -> usize {
        let connections = self.connections.lock();
        connections
            .of_principal
            .get(principal)
            .copied()
            .unwrap_or(0)
    }

    /// Makes the connections whose slot falls into slice `slice` of `slices` send a heartbeat.
    pub(crate) fn beat_by_name(&self, slice: usize, slices: usize) {
        let connections = self.connections.lock();
        let due = connections
            .by_slot
            .keys()
            .filter(|slot| **slot % slices == slice);
        let due: Vec<usize> = due.copied().collect();
        drop(connections);
        for slot in due {
            let stream = self.slab.read().get(slot).cloned();
            if let Some(stream) = stream {
                stream.beat_by_name();
            }
        }
    }

    /// Visits the streams whose slot falls into slice `slice` of `slices`; a stream that is open
    /// throughout is visited once.
    ///
    /// No lock is held while a stream is visited: waking thousands takes milliseconds, and opening
    /// a stream would have to wait for that, with all events behind it.
    pub(crate) fn for_slice(&self, slice: usize, slices: usize, visit: impl Fn(&OpenStream)) {
        let mut taken = Vec::new();
        let mut next = slice;
        loop {
            let last = {
                let slab = self.slab.read();
                // The slots used so far, and up to as many again.
                let end = slab.capacity();
                while next < end && taken.len() < STREAMS_PER_VISIT {
                    taken.extend(slab.get(next).cloned());
                    next += slices;
                }
                next >= end
            };
            taken
                .drain(..)
                .for_each(|stream: Arc<OpenStream>| visit(&stream));
            if last {
                return;
            }
        }
    }

    /// The stream in this slot carries the answers to POSTs until it is removed.
    pub(crate) fn carry_answers(&self, slot: usize) {
        self.answering.lock().insert(slot);
    }

    /// Makes the streams that carry answers, and whose slot falls into slice `slice` of `slices`,
    /// check for answers.
    pub(crate) fn check_answers(&self, slice: usize, slices: usize) {
        let answering = self.answering.lock();
        let in_slice = answering.iter().filter(|slot| *slot % slices == slice);
        let slab = self.slab.read();
        let streams = in_slice.filter_map(|slot| slab.get(*slot));
        streams.for_each(|stream| stream.notify_mail(MailStream::Answers));
    }

    pub(crate) fn end_all(&self, ending: StreamEnd) {
        self.for_slice(0, 1, |stream| stream.end(ending));
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.read().len()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::{
        super::{
            format::StreamFormat, interest::StreamInterest, news::NewsSelection, stream::StreamLife,
        },
        *,
    };
    use access::{NameDirectory, Principal};

    const LIFE: StreamLife = StreamLife {
        opened_at: model::Timestamp::from_unix_millis(0),
        ends_at: u32::MAX,
    };

    fn stream() -> Arc<OpenStream> {
        Arc::new(OpenStream::new(
            StreamKind::Events,
            StreamFormat::Events,
            None,
            Arc::new(Principal::anonymous()),
            StreamInterest::events(&model::FilterSet::default(), NameDirectory::default().now()),
            NewsSelection::default(),
            LIFE,
        ))
    }

    #[test]
    fn every_stream_falls_into_one_slice_also_where_others_have_left_holes() {
        let streams = OpenStreams::default();
        let all: Vec<_> = (0..2000).map(|_| stream()).collect();
        for stream in &all {
            streams.insert(stream, 2000).unwrap();
        }
        for slot in (0..2000).filter(|slot| slot % 3 == 0 || *slot > 1500) {
            streams.remove(slot);
        }
        for slices in [1, 64] {
            let visits = Mutex::new(HashMap::<*const OpenStream, usize>::new());
            for slice in 0..slices {
                let visit = |stream: &OpenStream| {
                    *visits.lock().entry(std::ptr::from_ref(stream)).or_default() += 1;
                };
                streams.for_slice(slice, slices, visit);
            }
            let visits = visits.into_inner();
            assert_eq!(visits.len(), 1000);
            assert!(visits.values().all(|count| *count == 1));
        }
    }

    /// Streams of 256 tasks each, up to the bound of them all.
    #[test]
    fn the_tasks_that_streams_follow_are_bounded_together_and_shared_out() {
        let tasks = (0..256).map(|n| TaskId::new(&format!("t{n}")).unwrap());
        let wants = NewsSelection {
            tasks: tasks.collect(),
            ..NewsSelection::default()
        };
        let follows = |name: &str| {
            let id = PrincipalId::new(name).unwrap();
            let principal = Principal::new(id, Default::default(), access::Visibility::all());
            Arc::new(OpenStream::new(
                StreamKind::Listen,
                StreamFormat::Events,
                None,
                Arc::new(principal),
                StreamInterest::default(),
                wants.clone(),
                LIFE,
            ))
        };
        let streams = OpenStreams::default();
        let mut slots = Vec::new();
        let refused = loop {
            match streams.insert(&follows("greedy"), usize::MAX) {
                Ok(slot) => slots.push(slot),
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, NoRoom::Tasks(NoPlace::Share { .. })));
        assert!((slots.len() * 256) <= MAX_FOLLOWED_TASKS && slots.len() > 512);
        assert_eq!(
            streams.followed_tasks().len(),
            256,
            "however many follow it"
        );
        slots.push(streams.insert(&follows("other"), usize::MAX).unwrap());
        slots.into_iter().for_each(|slot| streams.remove(slot));
        assert_eq!(streams.followed.lock().taken(), 0);
        assert!(streams.followed_tasks().is_empty());
    }

    #[test]
    fn while_streams_are_visited_others_come_and_go() {
        let streams = OpenStreams::default();
        for _ in 0..2 * STREAMS_PER_VISIT {
            streams.insert(&stream(), usize::MAX).unwrap();
        }
        streams.for_slice(0, 1, |_| {
            // This would deadlock on a lock held here.
            let slot = streams.insert(&stream(), usize::MAX).unwrap();
            streams.remove(slot);
        });
        assert_eq!(streams.len(), 2 * STREAMS_PER_VISIT);
    }

    #[test]
    fn the_first_reason_to_end_is_the_one_that_counts() {
        let mut registry = service_kit::metrics::MetricsRegistry::default();
        let metrics = crate::metrics::FanoutMetrics::new(&mut registry);
        let streams = OpenStreams::new(metrics.ended_streams.clone());
        for ending in StreamEnd::ALL {
            let stream = stream();
            let slot = streams.insert(&stream, 10).unwrap();
            stream.end(ending);
            stream.end(StreamEnd::Drain);
            assert_eq!(stream.ending(), Some(ending));
            streams.remove(slot);
        }
        let slot = streams.insert(&stream(), 10).unwrap();
        streams.remove(slot);
        let text = service_kit::metrics::encode(&registry).unwrap();
        for ending in StreamEnd::ALL {
            let line = format!(
                "forgewire_edge_ended_streams_total{{reason=\"{}\"}} 1\n",
                ending.as_str()
            );
            assert!(text.contains(&line), "{line} is missing in:\n{text}");
        }
    }
}
