//! Many calls over kept-alive connections from one thread with epoll, so that the client uses as
//! little as possible of the cores that it shares with the server.
//!
//! Flat out, each connection makes its next call as soon as it has its answer. At a pace, each call
//! has a time set in advance and takes the first free connection; the wait for a free connection
//! counts (no coordinated omission).

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    ops::Range,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use rustix::event::epoll;
use socket2::SockRef;

use crate::clock::now_nanos;

/// The first number of a call; all numbers have the same count of digits, so that all requests have
/// the same length.
pub(crate) const FIRST_ID: u64 = 100_000_000;
/// Digits of a call's number.
const ID_DIGITS: usize = 9;
/// Upper end of the histogram in microseconds; longer waits count as this value.
const MAX_MICROS: u64 = 60_000_000;
/// A server that sends nothing for this long has failed.
const SILENCE: Duration = Duration::from_secs(10);

/// Connections, each with one call in flight or none.
pub(crate) struct Callers {
    callers: Vec<Caller>,
    epoll: rustix::fd::OwnedFd,
    free: VecDeque<usize>,
    next_id: u64,
    /// The expected answer, and the position of the call's number in it.
    expected: Option<Expected>,
}

struct Expected {
    body: Vec<u8>,
    id_at: Option<usize>,
    /// The texts of cursors: each answer seals its own, of the same length.
    cursors: Vec<Range<usize>>,
}

impl Expected {
    fn new(body: Vec<u8>, id: u64) -> Self {
        let (id_at, cursors) = (find_id(&body, id), find_cursors(&body));
        Self {
            body,
            id_at,
            cursors,
        }
    }

    /// Whether it is the answer to the call with this number.
    fn is(&mut self, answer: &[u8], id: &[u8]) -> bool {
        if answer.len() != self.body.len() {
            return false;
        }
        if let Some(at) = self.id_at {
            self.body[at..][..ID_DIGITS].copy_from_slice(id);
        }
        for cursor in &self.cursors {
            let text = &answer[cursor.clone()];
            if !text.iter().all(is_of_cursor) {
                return false;
            }
            self.body[cursor.clone()].copy_from_slice(text);
        }
        *answer == *self.body
    }
}

struct Caller {
    socket: TcpStream,
    request: Vec<u8>,
    id_at: usize,
    answer: Vec<u8>,
    begun_nanos: u64,
}

/// The result of one load.
#[derive(Debug)]
pub(crate) struct CallLoadResult {
    /// Calls that received the expected answer.
    pub(crate) answered: u64,
    /// From the first call's set time to the last answer.
    pub(crate) seconds: f64,
    /// From a call's set time to its complete answer, microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Callers {
    /// Connects; each connection sends its own request, whose number is initially [`FIRST_ID`].
    pub(crate) fn connect(target: SocketAddr, requests: Vec<Vec<u8>>) -> Result<Self> {
        ensure!(target.ip().is_loopback(), "{target} is not on this machine");
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut callers = Vec::with_capacity(requests.len());
        for (index, request) in requests.into_iter().enumerate() {
            let socket =
                TcpStream::connect(target).with_context(|| format!("connecting {target}"))?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            // Closed by a reset: ports in TIME_WAIT would distort the next run.
            SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &socket, data, epoll::EventFlags::IN)?;
            let id_at = find_id(&request, FIRST_ID).context("a request has no number")?;
            callers.push(Caller {
                socket,
                request,
                id_at,
                answer: Vec::new(),
                begun_nanos: 0,
            });
        }
        Ok(Self {
            free: (0..callers.len()).collect(),
            callers,
            epoll,
            next_id: FIRST_ID,
            expected: None,
        })
    }

    /// From now on every answer must equal this one, except for the call's number in place of `id`, and for
    /// its cursors.
    pub(crate) fn expect(&mut self, body: Vec<u8>, id: u64) {
        self.expected = Some(Expected::new(body, id));
    }

    /// Calls as fast as answers arrive.
    pub(crate) fn flat_out(&mut self, lasting: Duration) -> Result<CallLoadResult> {
        let end = now_nanos() + u64::try_from(lasting.as_nanos())?;
        self.run(|_| {
            let now = now_nanos();
            (now < end).then_some(now)
        })
    }

    /// Calls at a fixed pace.
    pub(crate) fn paced(
        &mut self,
        interval_nanos: u64,
        lasting: Duration,
    ) -> Result<CallLoadResult> {
        let start = now_nanos() + 1_000_000;
        let count = u64::try_from(lasting.as_nanos())? / interval_nanos;
        self.run(|number| (number < count).then_some(start + number * interval_nanos))
    }

    /// `moment` gives the set time of each call, by number from 0, or ends the load.
    fn run(&mut self, moment: impl Fn(u64) -> Option<u64>) -> Result<CallLoadResult> {
        let mut latency = Histogram::new_with_max(MAX_MICROS, 3)?;
        let (started, mut number) = (now_nanos(), 0);
        let mut next = moment(0);
        loop {
            while let Some(intended) = next
                && intended <= now_nanos()
                && let Some(index) = self.free.pop_front()
            {
                self.begin(index, intended)?;
                number += 1;
                next = moment(number);
            }
            if next.is_none() && self.free.len() == self.callers.len() {
                break;
            }
            // With no connection free, only an answer can change the state.
            let until = next.filter(|_| !self.free.is_empty());
            self.wait(until, &mut latency)?;
        }
        Ok(CallLoadResult {
            answered: latency.len(),
            seconds: Duration::from_nanos(now_nanos() - started).as_secs_f64(),
            latency,
        })
    }

    fn begin(&mut self, index: usize, intended: u64) -> Result<()> {
        self.next_id += 1;
        let caller = &mut self.callers[index];
        let digits = self.next_id.to_string();
        caller.request[caller.id_at..][..ID_DIGITS].copy_from_slice(digits.as_bytes());
        caller.begun_nanos = intended;
        // A request is far smaller than a socket's buffer, which is empty: a partial write is an
        // error.
        let sent = caller.socket.write(&caller.request);
        ensure!(
            sent.context("sending a call")? == caller.request.len(),
            "a socket took a part of a request"
        );
        Ok(())
    }

    fn wait(&mut self, until: Option<u64>, latency: &mut Histogram<u64>) -> Result<()> {
        let nanos = match until {
            Some(until) => Duration::from_nanos(until.saturating_sub(now_nanos())),
            None => SILENCE,
        };
        let mut events = Vec::with_capacity(256);
        let waited = epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&nanos.try_into()?),
        );
        match waited {
            Ok(0) if until.is_none() => bail!("no answer within {SILENCE:?}"),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for answers"),
        }
        for event in events {
            let index = usize::try_from(event.data.u64())?;
            if self.read(index)? {
                let begun = self.callers[index].begun_nanos;
                latency.saturating_record(now_nanos().saturating_sub(begun) / 1000);
                self.free.push_back(index);
            }
        }
        Ok(())
    }

    /// Reads the available bytes; gives whether the answer is complete, and fails if it is not the
    /// expected one.
    fn read(&mut self, index: usize) -> Result<bool> {
        let caller = &mut self.callers[index];
        let mut buffer = [0; 16 * 1024];
        let length = match caller.socket.read(&mut buffer) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error).context("reading an answer"),
        };
        caller.answer.extend_from_slice(&buffer[..length]);
        let Some(body) = body(&caller.answer)? else {
            return Ok(false);
        };
        if let Some(expected) = &mut self.expected {
            let id = &caller.request[caller.id_at..][..ID_DIGITS];
            ensure!(
                expected.is(body, id),
                "an answer is {} and not {}",
                String::from_utf8_lossy(body),
                String::from_utf8_lossy(&expected.body)
            );
        }
        caller.answer.clear();
        Ok(true)
    }
}

/// The body of an answer, if the answer is complete.
fn body(answer: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    let text = || String::from_utf8_lossy(answer).into_owned();
    ensure!(
        head.starts_with(b"HTTP/1.1 200"),
        "a call was answered with {}",
        text()
    );
    let mut lengths = head.split(|byte| *byte == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked(b"content-length:".len())?;
        let is_length = name.eq_ignore_ascii_case(b"content-length:");
        let value = std::str::from_utf8(value).ok().filter(|_| is_length)?;
        value.trim().parse::<usize>().ok()
    });
    let length = lengths
        .next()
        .with_context(|| format!("an answer without a length: {}", text()))?;
    ensure!(body.len() <= length, "more than one answer: {}", text());
    Ok((body.len() == length).then_some(body))
}

/// The position of a number that is the JSON-RPC id.
fn find_id(text: &[u8], id: u64) -> Option<usize> {
    let key = format!("\"id\":{id}");
    let at = text
        .windows(key.len())
        .position(|here| here == key.as_bytes());
    at.map(|at| at + key.len() - ID_DIGITS)
}

/// The places of the values of members whose name ends with `cursor`, in JSON and in JSON within a string.
fn find_cursors(text: &[u8]) -> Vec<Range<usize>> {
    const NAME: &[u8] = b"ursor";
    let mut cursors = Vec::new();
    for at in 0..text.len() {
        if text[at..].starts_with(NAME) {
            let is_between = |byte: &u8| matches!(byte, b'"' | b'\\' | b':');
            let rest = &text[at + NAME.len()..];
            let start = at + NAME.len() + rest.iter().take_while(|byte| is_between(byte)).count();
            let length = text[start..].iter().take_while(|byte| is_of_cursor(byte));
            cursors.push(start..start + length.count());
        }
    }
    cursors
}

/// Whether a byte may be in the text of a cursor (base64url).
fn is_of_cursor(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_has_come() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\ndate: x\r\n\r\nabc";
        for cut in 0..answer.len() {
            assert_eq!(body(&answer[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(body(answer).unwrap(), Some(&b"abc"[..]));
        assert!(body(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nx").is_err());
    }

    /// A server that answers `{"id":…,"x":…}`, in two parts, and with a wrong answer from call
    /// `wrong` on.
    fn serve(wrong: u64) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                std::thread::spawn(move || {
                    let mut request = [0; 1024];
                    while let Ok(length) = socket.read(&mut request)
                        && length > 0
                    {
                        let text = std::str::from_utf8(&request[..length]).unwrap();
                        let id: u64 = text[text.len() - ID_DIGITS - 1..text.len() - 1]
                            .parse()
                            .unwrap();
                        let x = u64::from(id >= wrong);
                        let body = format!("{{\"id\":{id},\"x\":{x}}}");
                        let head =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                        if socket.write_all(head.as_bytes()).is_err()
                            || socket.write_all(body.as_bytes()).is_err()
                        {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn callers(wrong: u64) -> Callers {
        let request = format!("POST / HTTP/1.1\r\n\r\n{{\"id\":{FIRST_ID}}}").into_bytes();
        let mut callers = Callers::connect(serve(wrong), vec![request; 4]).unwrap();
        callers.expect(
            format!("{{\"id\":{FIRST_ID},\"x\":0}}").into_bytes(),
            FIRST_ID,
        );
        callers
    }

    #[test]
    fn every_call_is_answered_flat_out_and_at_a_pace() {
        let mut callers = callers(u64::MAX);
        let lasting = Duration::from_millis(50);
        assert!(callers.flat_out(lasting).unwrap().answered > 4);
        let paced = callers.paced(1_000_000, lasting).unwrap();
        assert_eq!(paced.answered, 50);
        assert!(paced.seconds >= 0.049, "{}", paced.seconds);
    }

    #[test]
    fn one_wrong_answer_makes_the_run_void() {
        let error = callers(FIRST_ID + 20).flat_out(Duration::from_secs(5));
        assert!(error.unwrap_err().to_string().starts_with("an answer is"));
    }

    #[test]
    fn the_number_of_a_call_is_found_where_it_stands() {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"x":1}}"#);
        let at = find_id(text.as_bytes(), FIRST_ID).unwrap();
        assert_eq!(&text[at..at + ID_DIGITS], FIRST_ID.to_string());
        assert_eq!(find_id(b"{}", FIRST_ID), None);
    }

    #[test]
    fn cursors_differ_and_nothing_else_may() {
        let answer = |cursor: &str, count: u8| {
            let text = format!(r#"{{\"count\":{count},\"cursor\":\"{cursor}\"}}"#);
            let body = format!(
                r#"{{"id":{FIRST_ID},"text":"{text}","previousCursor":"{cursor}","x":{count}}}"#
            );
            body.into_bytes()
        };
        let mut expected = Expected::new(answer("B05q-_a", 1), FIRST_ID);
        let id = FIRST_ID.to_string();
        assert!(expected.is(&answer("C99_-zZ", 1), id.as_bytes()));
        assert!(!expected.is(&answer("B05q-_a", 2), id.as_bytes()));
        assert!(!expected.is(&answer("B05q-_ab", 1), id.as_bytes()));
        assert!(!expected.is(&answer("B05q-\"a", 1), id.as_bytes()));
    }
}
