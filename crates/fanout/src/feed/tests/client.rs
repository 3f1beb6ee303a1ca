//! A client of a stream, over either driver.

use std::io;

use stream_driver::{Scratch, Socket, StreamBody, StreamLine, TurnResult};

use super::{super::Feed, *};

/// The driver of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Hyper's body, which polls for one piece of data after another.
    Body,
    /// A reactor, on a socket that takes up to this many bytes until it is given more room.
    Socket { room: usize },
}

/// Over both drivers: each function becomes two tests.
macro_rules! over_both {
    ($($name:ident),* $(,)?) => {
        mod over_a_body {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Over::Body).await;
            })*
        }
        mod over_a_socket {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Over::Socket { room: usize::MAX }).await;
            })*
        }
    };
}
pub(super) use over_both;

#[derive(Debug, Default)]
pub(super) struct Wakes(pub(super) AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A socket's buffer and its client.
#[derive(Debug, Default)]
struct Pipe {
    room: usize,
    /// Bytes that were sent and do not form a whole chunk yet.
    bytes: Vec<u8>,
    finished: bool,
}

#[derive(Debug, Clone, Default)]
struct FakeSocket(Arc<Mutex<Pipe>>);

impl Socket for FakeSocket {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.0.lock();
        let sent = bytes.len().min(pipe.room);
        if sent == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe.room -= sent;
        pipe.bytes.extend_from_slice(&bytes[..sent]);
        Ok(sent)
    }

    fn discard(&mut self) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn finish(&mut self) {
        self.0.lock().finished = true;
    }
}

impl FakeSocket {
    /// Takes the whole chunks out, without their framing.
    fn read(&self) -> Vec<u8> {
        let mut pipe = self.0.lock();
        let mut payload = Vec::new();
        loop {
            let Some(end) = pipe.bytes.windows(2).position(|pair| pair == b"\r\n") else {
                return payload;
            };
            let digits = std::str::from_utf8(&pipe.bytes[..end]).unwrap();
            let size = usize::from_str_radix(digits, 16).unwrap();
            let whole = end + 2 + size + 2;
            if pipe.bytes.len() < whole {
                return payload;
            }
            payload.extend_from_slice(&pipe.bytes[end + 2..whole - 2]);
            assert_eq!(&pipe.bytes[whole - 2..whole], b"\r\n");
            pipe.bytes.drain(..whole);
            if size == 0 {
                assert!(pipe.finished && pipe.bytes.is_empty(), "it comes last");
                return payload;
            }
        }
    }
}

enum Driver {
    Body(StreamBody),
    Socket {
        line: Box<StreamLine<FakeSocket>>,
        socket: FakeSocket,
        scratch: Scratch,
    },
}

/// A client that drives its stream as a driver does: after data and after a wake-up, at no other
/// time.
pub(super) struct FeedClient {
    /// `None` once the stream has ended.
    driver: Option<Driver>,
    pub(super) stream: Arc<OpenStream>,
    wakes: Arc<Wakes>,
    polled_at: Option<usize>,
    pub(super) seen: Vec<Seen>,
    pub(super) ended: bool,
}

impl FeedClient {
    pub(super) async fn open(
        over: Over,
        hub: &Arc<Hub>,
        interest: StreamInterest,
        begin: StreamStart,
    ) -> Self {
        Self::try_open(over, hub, None, interest, begin)
            .await
            .unwrap()
    }

    pub(super) async fn try_open(
        over: Over,
        hub: &Arc<Hub>,
        session: Option<(SessionId, u64)>,
        interest: StreamInterest,
        begin: StreamStart,
    ) -> Result<Self, HubError> {
        let feed = feed(hub, session, interest, begin).await?;
        let stream = Arc::clone(&feed.stream);
        let (wakes, feed) = (Arc::<Wakes>::default(), Box::new(feed));
        let driver = match over {
            Over::Body => Driver::Body(StreamBody::new(feed)),
            Over::Socket { room } => {
                let socket = FakeSocket::default();
                socket.0.lock().room = room;
                let waker = Waker::from(Arc::clone(&wakes));
                Driver::Socket {
                    line: Box::new(StreamLine::new(feed, socket.clone(), waker)),
                    socket,
                    scratch: Scratch::default(),
                }
            }
        };
        Ok(Self {
            driver: Some(driver),
            stream,
            wakes,
            polled_at: None,
            seen: Vec::new(),
            ended: false,
        })
    }

    pub(super) fn may_be_polled(&self) -> bool {
        !self.ended && self.polled_at != Some(self.wakes.0.load(Ordering::SeqCst))
    }

    /// The socket takes up to this many bytes more.
    pub(super) fn make_room(&mut self, bytes: usize) {
        if let Some(Driver::Socket { line, socket, .. }) = &mut self.driver {
            let mut pipe = socket.0.lock();
            pipe.room = pipe.room.saturating_add(bytes);
            drop(pipe);
            if bytes > 0 && line.writable() {
                self.polled_at = None;
            }
        }
    }

    /// Drives once if it may; returns whether data arrived.
    pub(super) fn poll(&mut self) -> bool {
        if !self.may_be_polled() {
            return false;
        }
        let before = self.seen.len();
        let polled_at = Some(self.wakes.0.load(Ordering::SeqCst));
        match &mut self.driver {
            None => {}
            Some(Driver::Body(body)) => {
                let waker = Waker::from(Arc::clone(&self.wakes));
                match Pin::new(body).poll_frame(&mut Context::from_waker(&waker)) {
                    Poll::Ready(Some(Ok(frame))) => {
                        self.seen.extend(read(&frame.into_data().unwrap()));
                        self.polled_at = None;
                    }
                    Poll::Ready(None) => self.ended = true,
                    Poll::Pending => self.polled_at = polled_at,
                }
            }
            Some(Driver::Socket {
                line,
                socket,
                scratch,
            }) => {
                match line.turn(scratch) {
                    TurnResult::Idle => self.polled_at = polled_at,
                    TurnResult::More => self.polled_at = None,
                    TurnResult::Closed(_) => self.ended = true,
                }
                let bytes = socket.read();
                if !bytes.is_empty() {
                    self.seen.extend(read(&bytes));
                }
            }
        }
        if self.ended {
            self.driver = None;
        }
        self.seen.len() > before
    }

    /// Drives until no more data arrives.
    pub(super) async fn drain(&mut self) {
        loop {
            while self.may_be_polled() {
                self.poll();
                tokio::task::yield_now().await;
            }
            // Paused time: a retry of the log is due now or not at all.
            tokio::time::sleep(2 * crate::limits::CATCH_UP_PAUSE).await;
            if !self.may_be_polled() {
                return;
            }
        }
    }

    /// Sequences of the received events, in the order in which they arrived.
    pub(super) fn sequences(&self) -> Vec<u64> {
        let sequence = |seen: &Seen| match seen {
            Seen::Event { sequence, .. } => Some(*sequence),
            _ => None,
        };
        self.seen.iter().filter_map(sequence).collect()
    }
}

/// Opens the stream of a session.
pub(super) async fn feed(
    hub: &Arc<Hub>,
    session: Option<(SessionId, u64)>,
    interest: StreamInterest,
    begin: StreamStart,
) -> Result<Feed, HubError> {
    let open = StreamRequest {
        labels: None,
        wants: NewsSelection::all_lists(),
        kind: StreamKind::Session,
        format: StreamFormat::Session,
        scope: fixture::scope(),
        session,
        inbox: Sequence::START,
        principal: Arc::new(Principal::anonymous()),
        interest,
        begin,
        ages: true,
    };
    hub.open(open, |_| Bytes::new()).await
}
