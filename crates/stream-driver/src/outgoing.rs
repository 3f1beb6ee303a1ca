//! Frames that are offered to a socket.

use bytes::{BufMut, Bytes, BytesMut};

use crate::SendProgress;

/// Maximum length of a chunk's head: sixteen digits and the line's end.
const MAX_HEAD_BYTES: usize = 18;
const LINE_END: &[u8] = b"\r\n";
/// The chunk that ends a body (RFC 9112, section 7.1), without trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The framing on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Unchanged: another layer frames them.
    Plain,
    /// Each as a chunk (RFC 9112, section 7.1).
    Chunked,
}

/// A frame that many streams send: encoded once, as a chunk, of which the plain form is a part.
#[derive(Debug, Clone)]
pub struct Chunk {
    bytes: Bytes,
    head_bytes: usize,
}

impl Chunk {
    /// Encodes what `write` writes; `size_hint` is its approximate length in bytes.
    pub fn new(size_hint: usize, write: impl FnOnce(&mut BytesMut)) -> Self {
        let mut buffer = BytesMut::with_capacity(size_hint + MAX_HEAD_BYTES + LINE_END.len());
        let head_bytes = chunk(&mut buffer, write);
        Self {
            bytes: buffer.freeze(),
            head_bytes,
        }
    }

    /// The frame itself.
    #[must_use]
    pub fn plain(&self) -> Bytes {
        match self.bytes.len() {
            0 => Bytes::new(),
            len => self.bytes.slice(self.head_bytes..len - LINE_END.len()),
        }
    }

    fn framed(&self, framing: Framing) -> Bytes {
        match framing {
            Framing::Plain => self.plain(),
            Framing::Chunked => self.bytes.clone(),
        }
    }
}

/// Adds what `write` writes as a chunk; nothing if it writes nothing, since an empty chunk would end the
/// body. Returns the length of the chunk's head.
fn chunk(buffer: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> usize {
    let begin = buffer.len();
    write(buffer);
    let bytes = buffer.len() - begin;
    if bytes == 0 {
        return 0;
    }
    // The head precedes the payload, whose length is known only now: moving some hundred bytes is
    // cheaper than writing them twice.
    let mut digits = [0; MAX_HEAD_BYTES];
    let head = head(bytes, &mut digits);
    buffer.put_bytes(0, head.len());
    buffer.copy_within(begin..begin + bytes, begin + head.len());
    buffer[begin..begin + head.len()].copy_from_slice(head);
    buffer.put_slice(LINE_END);
    head.len()
}

/// A chunk's head: its size in hexadecimal digits, and the line's end.
fn head(bytes: usize, digits: &mut [u8; MAX_HEAD_BYTES]) -> &[u8] {
    let mut begin = MAX_HEAD_BYTES - LINE_END.len();
    digits[begin..].copy_from_slice(LINE_END);
    let mut left = bytes;
    loop {
        begin -= 1;
        digits[begin] = b"0123456789abcdef"[left % 16];
        left /= 16;
        if left == 0 {
            return &digits[begin..];
        }
    }
}

/// The end of a frame that can be offered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    end: usize,
    position: u64,
}

/// The frames that a stream offers to its socket: one buffer for all streams of a driver.
#[derive(Debug)]
pub struct OutgoingFrames {
    framing: Framing,
    /// The frame, if it is the only one and shared: it is not copied.
    shared: Option<Bytes>,
    buffer: BytesMut,
    marks: Vec<Mark>,
    /// The stream's position when everything is taken.
    through: Option<u64>,
}

/// The consequence of a socket having taken a number of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TakeResult {
    /// For the source, if frames were offered.
    pub(crate) progress: Option<SendProgress>,
    /// The rest of the last frame that counts as taken.
    pub(crate) rest: Bytes,
}

impl OutgoingFrames {
    /// A buffer for frames as they are, without chunks: for a driver that does not frame.
    #[must_use]
    pub fn plain() -> Self {
        Self::new(Framing::Plain)
    }

    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            shared: None,
            buffer: BytesMut::new(),
            marks: Vec::new(),
            through: None,
        }
    }

    /// Adds the frames of one event, which end at `position` of the stream; nothing if `write` writes
    /// nothing.
    pub fn push_event(&mut self, position: u64, write: impl FnOnce(&mut BytesMut)) {
        self.unshare();
        self.write(write);
        self.mark(position);
    }

    /// Adds an event's frame that other streams send too.
    pub fn push_shared(&mut self, position: u64, frame: &Chunk) {
        let bytes = frame.framed(self.framing);
        if self.is_empty() {
            self.shared = Some(bytes);
        } else {
            self.unshare();
            self.buffer.put_slice(&bytes);
        }
        self.mark(position);
    }

    /// Adds bytes that are not an event and cannot be offered again: they will be sent, however long
    /// that takes.
    pub fn push_unrepeatable(&mut self, write: impl FnOnce(&mut BytesMut)) {
        debug_assert!(self.marks.is_empty(), "either offered or kept");
        self.unshare();
        self.write(write);
    }

    /// Sets the stream's position when everything is taken.
    pub fn set_position(&mut self, position: u64) {
        self.through = Some(position);
    }

    /// Number of bytes in the buffer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether the buffer is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all of it is one frame that other streams send too.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Number of events in the buffer.
    #[must_use]
    pub fn events(&self) -> usize {
        self.marks.len()
    }

    /// Ends the body.
    pub(crate) fn end(&mut self) {
        if self.framing == Framing::Chunked {
            self.unshare();
            self.buffer.put_slice(LAST_CHUNK);
        }
    }

    /// Empties the buffer. Its memory is kept, unless it has become large.
    pub(crate) fn clear(&mut self) {
        self.shared = None;
        self.marks.clear();
        self.through = None;
        if self.buffer.capacity() > KEPT_CAPACITY {
            self.buffer = BytesMut::new();
        } else {
            self.buffer.clear();
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.shared.as_deref().unwrap_or(&self.buffer)
    }

    /// Takes everything out, for a driver that keeps what it gets.
    pub fn take(&mut self) -> Bytes {
        self.marks.clear();
        self.through = None;
        match self.shared.take() {
            Some(shared) => shared,
            None => self.buffer.split().freeze(),
        }
    }

    /// The consequence of a socket having taken `sent` bytes.
    pub(crate) fn result_of_sending(&self, sent: usize) -> TakeResult {
        let is_offer = !self.marks.is_empty() || self.through.is_some();
        if !is_offer {
            let (progress, rest) = (None, self.rest(sent, self.len()));
            return TakeResult { progress, rest };
        }
        // A frame that has begun is finished; the others are offered again.
        let whole = self.marks.partition_point(|mark| mark.end <= sent);
        let begins = whole.checked_sub(1).map_or(0, |last| self.marks[last].end);
        let is_all = sent >= self.len();
        let (events, rest) = match self.marks.get(whole) {
            Some(mark) if sent > begins => (whole + 1, self.rest(sent, mark.end)),
            _ => (whole, Bytes::new()),
        };
        let last = events.checked_sub(1).map(|last| self.marks[last].position);
        let progress = SendProgress {
            position: self.through.filter(|_| is_all).or(last),
            events,
            is_all,
        };
        TakeResult {
            progress: Some(progress),
            rest,
        }
    }

    fn rest(&self, from: usize, to: usize) -> Bytes {
        if from >= to {
            return Bytes::new();
        }
        match &self.shared {
            Some(shared) => shared.slice(from..to),
            None => Bytes::copy_from_slice(&self.buffer[from..to]),
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut BytesMut)) {
        match self.framing {
            Framing::Plain => write(&mut self.buffer),
            Framing::Chunked => {
                chunk(&mut self.buffer, write);
            }
        }
    }

    fn mark(&mut self, position: u64) {
        let end = self.len();
        self.marks.push(Mark { end, position });
    }

    fn unshare(&mut self) {
        if let Some(shared) = self.shared.take() {
            self.buffer.put_slice(&shared);
        }
    }
}

/// A buffer that grew beyond this number of bytes is freed after use.
const KEPT_CAPACITY: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> impl FnOnce(&mut BytesMut) {
        |out| out.put_slice(text.as_bytes())
    }

    #[test]
    fn a_chunk_is_framed_and_its_plain_form_is_a_part_of_it() {
        for size in [1, 15, 16, 255, 256, 4096, 70_000] {
            let payload = "x".repeat(size);
            let frame = Chunk::new(size, text(&payload));
            assert_eq!(frame.plain(), payload);
            let framed = frame.framed(Framing::Chunked);
            assert_eq!(framed, format!("{size:x}\r\n{payload}\r\n"));
        }
        assert!(Chunk::new(0, |_| ()).framed(Framing::Chunked).is_empty());
    }

    #[test]
    fn what_differs_by_stream_is_framed_like_what_is_shared() {
        let shared = Chunk::new(5, text("first"));
        let mut out = OutgoingFrames::new(Framing::Chunked);
        out.push_shared(1, &shared);
        assert_eq!(out.bytes(), b"5\r\nfirst\r\n");
        out.push_event(2, text("second"));
        out.push_shared(3, &shared);
        assert_eq!(out.bytes(), b"5\r\nfirst\r\n6\r\nsecond\r\n5\r\nfirst\r\n");
        assert_eq!(out.events(), 3);
        out.clear();
        out.push_unrepeatable(text(":\n\n"));
        out.end();
        assert_eq!(out.bytes(), b"3\r\n:\n\n\r\n0\r\n\r\n");
    }

    #[test]
    fn a_frame_that_has_begun_is_finished_and_the_others_are_offered_again() {
        let mut out = OutgoingFrames::new(Framing::Plain);
        out.push_event(1, text("aaaa"));
        out.push_event(2, text("bbbb"));
        out.push_event(3, text("cccc"));
        out.set_position(9);
        let took = |sent| {
            let TakeResult { progress, rest } = out.result_of_sending(sent);
            let progress = progress.unwrap();
            assert_eq!(progress.is_all, sent == 12);
            let rest = String::from_utf8(rest.to_vec()).unwrap();
            (progress.position, progress.events, rest)
        };
        assert_eq!(took(0), (None, 0, String::new()));
        assert_eq!(took(1), (Some(1), 1, "aaa".to_owned()));
        assert_eq!(took(4), (Some(1), 1, String::new()));
        assert_eq!(took(6), (Some(2), 2, "bb".to_owned()));
        assert_eq!(took(11), (Some(3), 3, "c".to_owned()));
        assert_eq!(took(12), (Some(9), 3, String::new()));
    }

    #[test]
    fn what_cannot_be_offered_again_is_kept_whole() {
        let mut out = OutgoingFrames::new(Framing::Plain);
        out.push_unrepeatable(text("farewell"));
        let rest = |sent| {
            let taken = out.result_of_sending(sent);
            assert_eq!(taken.progress, None);
            taken.rest
        };
        assert_eq!(rest(0), "farewell");
        assert_eq!(rest(4), "well");
        assert_eq!(rest(8), "");
    }
}
