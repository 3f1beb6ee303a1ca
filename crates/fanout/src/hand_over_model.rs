//! Publishers, changes of interest, streams that open and close, and the reactor, in any order: a
//! stream gets what it asked for once, and no task waits for what has already arrived.
//!
//! Everything is real except the kernel, the locks and the threads (`stream_driver::model`).
//! Clients wait for their events, so a lost event or wake-up shows as a deadlock.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::Bytes;
use event_flow::follow::Followed;
use futures_util::FutureExt;
use http_body::Body;
use model::{Sequence, SessionId};
use ports::ListChanges;
use stream_driver::{
    Handover, Reactors, StreamBody,
    model::{
        ModelClient, connection, explore,
        shuttle::{future::block_on, thread},
    },
};

use super::{
    feed::Feed,
    fixture::{self, GatedLog},
    format::{StreamEnd, StreamFormat},
    hub::{Hub, StreamRequest, StreamStart},
    interest::StreamInterest,
    news::NewsSelection,
    ring::Ring,
    stream::OpenStream,
};
use crate::metrics::StreamKind;
use access::Principal;

/// Number of points at which the scheduler deliberately switches: a race between three parties
/// needs two or three.
const DEPTH: usize = 4;
/// Capacities of a socket: less than a frame, or unlimited for this test.
const ROOMS: [usize; 2] = [100, 100_000];

/// A hub that follows an empty log.
fn hub() -> Arc<Hub> {
    let hub = fixture::hub(&GatedLog::open(), Ring::new(100, 1 << 20), 10);
    hub.apply(fixture::started(fixture::EPOCH, 0));
    hub
}

/// Publishes events of these repositories, the first as number 1.
fn publish(hub: &Hub, repos: &[&str]) {
    for (sequence, repo) in (1..).zip(repos) {
        let event = fixture::event(sequence, repo, 0);
        hub.apply(Followed::Events(vec![event]));
    }
}

/// Opens a stream as a request does: its feed, its shared side, and its start position.
fn feed(
    hub: &Arc<Hub>,
    session: &str,
    interest: StreamInterest,
    begin: StreamStart,
) -> (Feed, Arc<OpenStream>, u64) {
    let session = SessionId::new(session).unwrap();
    let open = StreamRequest {
        labels: None,
        wants: NewsSelection::all_lists(),
        kind: StreamKind::Session,
        format: StreamFormat::Session,
        scope: fixture::scope(),
        session: Some((session.clone(), 1)),
        inbox: Sequence::START,
        principal: Arc::new(Principal::anonymous()),
        interest,
        begin,
        ages: false,
    };
    let mut position = Sequence::START;
    let opening = |feed: &Feed| {
        position = fixture::opened(&feed.cursor().to_string()).sequence;
        Bytes::new()
    };
    let feed = hub.open(open, opening).now_or_never();
    let feed = feed.expect("the log is not asked").unwrap();
    let stream = hub.streams.of_session(&session).unwrap();
    (feed, stream, position.0)
}

/// A hub with a reactor.
#[derive(Clone)]
struct Edge {
    hub: Arc<Hub>,
    reactors: Arc<Reactors>,
    room: usize,
}

impl Edge {
    fn start(room: usize) -> Self {
        let reactors = Arc::new(Reactors::start(1).unwrap());
        Self {
            hub: hub(),
            reactors,
            room,
        }
    }

    fn publish(&self, repos: &[&str]) {
        publish(&self.hub, repos);
    }

    /// Opens a stream and hands it to the reactor as the server does.
    fn open(&self, session: &str, interest: StreamInterest, begin: StreamStart) -> Reader {
        let (feed, stream, position) = feed(&self.hub, session, interest, begin);
        let (socket, client) = connection(self.room);
        let (first, source) = Handover::new(Box::new(feed)).take().unwrap();
        self.reactors.adopt_modelled(socket, source);
        Reader {
            stream,
            client,
            position,
            bytes: first.to_vec(),
        }
    }

    /// Ends all streams, reading the given ones to the end, and all threads.
    fn drain(self, readers: &mut [Reader]) {
        self.hub.streams.end_all(StreamEnd::Drain);
        readers.iter_mut().for_each(Reader::read_to_end);
        self.close();
    }

    /// All clients have disconnected or do so now.
    fn close(self) {
        block_on(self.reactors.finish());
        assert_eq!(self.hub.streams.len(), 0, "no stream is left behind");
    }
}

/// A client that reads its stream.
struct Reader {
    stream: Arc<OpenStream>,
    client: ModelClient,
    /// The start position of its stream.
    position: u64,
    bytes: Vec<u8>,
}

impl Reader {
    /// The sequences of the events that it has begun to read.
    fn events(&self) -> Vec<u64> {
        let text = std::str::from_utf8(&self.bytes).unwrap();
        let ids = text.split(r#""id":"e"#).skip(1);
        let whole = ids.filter_map(|rest| rest.split_once('"'));
        whole.map(|(number, _)| number.parse().unwrap()).collect()
    }

    fn has(&self, text: &str) -> bool {
        std::str::from_utf8(&self.bytes).unwrap().contains(text)
    }

    fn read_until(&mut self, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            let more = self.client.read().unwrap();
            self.bytes.extend(more.expect("it has not ended"));
        }
    }

    fn read_to_end(&mut self) {
        while let Some(more) = self.client.read().unwrap() {
            self.bytes.extend(more);
        }
        assert!(self.bytes.ends_with(b"0\r\n\r\n"), "a good end");
    }
}

/// Whole events of these repositories, from the beginning of the log.
fn wants(revision: u64, repos: &[&str]) -> StreamInterest {
    let repos: Vec<_> = repos.iter().map(|repo| (*repo, 0)).collect();
    fixture::interest(revision, &repos, &[])
}

fn is_rising(numbers: &[u64]) -> bool {
    numbers.is_sorted_by(|one, next| one < next)
}

/// The received events that belong to one repository.
fn only(came: &[u64], all: &[&str], repo: &str) -> Vec<u64> {
    let is_of = |number: u64| {
        (1..)
            .zip(all)
            .any(|(of, name)| of == number && *name == repo)
    };
    came.iter().copied().filter(|n| is_of(*n)).collect()
}

#[test]
fn a_stream_that_opens_while_events_come_gets_each_after_its_beginning_once() {
    explore(DEPTH, || {
        let edge = Edge::start(ROOMS[1]);
        let openers: Vec<_> = [("a", true), ("b", false)]
            .map(|(session, leaves)| {
                let edge = edge.clone();
                thread::spawn(move || {
                    let mut reader = edge.open(session, wants(1, &["cat"]), StreamStart::Head);
                    if leaves {
                        // Its slot may now be reused by the other stream, which must not be
                        // affected by this one.
                        return None;
                    }
                    let rest: Vec<_> = (reader.position + 1..=3).collect();
                    reader.read_until(|reader| reader.events().len() >= rest.len());
                    Some((reader, rest))
                })
            })
            .into();
        edge.publish(&["cat", "cat", "cat"]);
        for opener in openers {
            if let Some((reader, rest)) = opener.join().unwrap() {
                let mut readers = [reader];
                edge.clone().drain(&mut readers);
                assert_eq!(readers[0].events(), rest);
            }
        }
    });
}

#[test]
fn what_is_asked_for_while_events_come_is_not_missed_and_nothing_comes_twice() {
    const EVENTS: [&str; 4] = ["cat", "dog", "bird", "cat"];
    for room in ROOMS {
        explore(DEPTH, move || {
            let edge = Edge::start(room);
            let mut reader = edge.open("s", wants(1, &["cat"]), StreamStart::Position(Sequence(0)));
            let publisher = {
                let edge = edge.clone();
                thread::spawn(move || edge.publish(&EVENTS))
            };
            // The older of the two may be applied second, and is then ignored.
            let changes: Vec<_> = [&["cat", "dog"][..], &["cat", "dog", "bird"]]
                .into_iter()
                .zip(2..)
                .map(|(repos, revision)| {
                    let stream = Arc::clone(&reader.stream);
                    thread::spawn(move || stream.set_interest(wants(revision, repos)))
                })
                .collect();
            reader.read_until(|reader| reader.events().len() >= EVENTS.len());
            changes
                .into_iter()
                .for_each(|change| change.join().unwrap());
            publisher.join().unwrap();
            let mut readers = [reader];
            edge.drain(&mut readers);
            let mut came = readers[0].events();
            for repo in EVENTS {
                assert!(is_rising(&only(&came, &EVENTS, repo)), "{came:?}");
            }
            came.sort_unstable();
            assert_eq!(came, [1, 2, 3, 4]);
        });
    }
}

#[test]
fn who_asks_for_something_else_gets_all_of_the_new_and_nothing_of_the_old_twice() {
    const EVENTS: [&str; 4] = ["dog", "cat", "dog", "cat"];
    explore(DEPTH, || {
        let edge = Edge::start(ROOMS[1]);
        let mut reader = edge.open("s", wants(1, &["cat"]), StreamStart::Position(Sequence(0)));
        let publisher = {
            let edge = edge.clone();
            thread::spawn(move || edge.publish(&EVENTS))
        };
        reader.stream.set_interest(wants(2, &["dog"]));
        reader.read_until(|reader| only(&reader.events(), &EVENTS, "dog").len() >= 2);
        publisher.join().unwrap();
        let mut readers = [reader];
        edge.drain(&mut readers);
        let came = readers[0].events();
        assert_eq!(only(&came, &EVENTS, "dog"), [1, 3]);
        assert!(is_rising(&only(&came, &EVENTS, "cat")), "{came:?}");
    });
}

#[test]
fn a_subscription_cancelled_and_made_again_is_owed_what_came_meanwhile() {
    // Over a body, with few other parties: the longer a run, the rarer three parties meet at one
    // point.
    explore(DEPTH, || {
        let hub = hub();
        let (feed, stream, _) = feed(
            &hub,
            "s",
            wants(1, &["cat"]),
            StreamStart::Position(Sequence(0)),
        );
        let publisher = thread::spawn(move || publish(&hub, &["cat"]));
        let changes = thread::spawn(move || {
            stream.set_interest(wants(2, &[]));
            // The same interest as at first: it holds nothing new for a stream that did not notice
            // the change.
            stream.set_interest(wants(3, &["cat"]));
        });
        let mut body = StreamBody::new(Box::new(feed));
        let frame = block_on(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
        assert!(frame.unwrap().unwrap().is_data());
        changes.join().unwrap();
        publisher.join().unwrap();
    });
}

#[test]
fn news_heartbeats_and_events_wake_a_stream_together_and_none_is_forgotten() {
    explore(DEPTH, || {
        let edge = Edge::start(ROOMS[1]);
        let mut reader = edge.open("s", wants(1, &["cat"]), StreamStart::Head);
        let (publisher, teller) = (edge.clone(), edge.clone());
        let beaten = Arc::clone(&reader.stream);
        let others = [
            thread::spawn(move || publisher.publish(&["cat", "dog", "cat"])),
            thread::spawn(move || {
                teller.hub.notify_lists(ListChanges {
                    tools: true,
                    ..ListChanges::default()
                });
            }),
            thread::spawn(move || beaten.beat()),
        ];
        let list = "notifications/tools/list_changed";
        reader.read_until(|reader| reader.events().len() >= 2 && reader.has(list));
        others.into_iter().for_each(|other| other.join().unwrap());
        let mut readers = [reader];
        edge.drain(&mut readers);
        assert_eq!(readers[0].events(), [1, 3]);
    });
}

#[test]
fn a_drain_ends_every_stream_wherever_its_events_are() {
    explore(DEPTH, || {
        let edge = Edge::start(ROOMS[0]);
        let mut readers = ["a", "b"].map(|session| {
            edge.open(
                session,
                wants(1, &["cat"]),
                StreamStart::Position(Sequence(0)),
            )
        });
        let publisher = {
            let edge = edge.clone();
            thread::spawn(move || edge.publish(&["cat", "cat"]))
        };
        edge.drain(&mut readers);
        for reader in readers {
            let came = reader.events();
            assert!([1, 2].starts_with(&came), "a beginning of all: {came:?}");
        }
        publisher.join().unwrap();
    });
}
