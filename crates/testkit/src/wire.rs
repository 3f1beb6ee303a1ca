//! Reads HTTP/1.1 answers from a socket, line by line, for any division into reads: for programs
//! that hold thousands of streams on one thread. Allocates nothing as long as reads end at line
//! ends.

/// Maximum size of a response head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Input that is not an HTTP/1.1 answer, or not one that can be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A head of more than 16 KiB.
    #[error("the response head is longer than {MAX_HEAD_BYTES} bytes")]
    HeadTooLong,
    /// A line longer than the reader's limit.
    #[error("a line is longer than {0} bytes")]
    LineTooLong(usize),
    /// A chunk with an impossible size.
    #[error("a chunk of impossible size")]
    ChunkTooLong,
}

/// A complete part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerPiece<'a> {
    /// The head; reported once.
    Head {
        /// In lower case, without the empty line.
        head: &'a str,
        /// All bytes received so far, unchanged: if the answer is a refusal, they include its
        /// reason.
        read: &'a [u8],
    },
    /// A line of the body, without its line feed; the last one need not have one if the answer says how long it is.
    Line(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    ChunkSize(usize),
    /// After the digits, before the end of the line.
    ChunkExtension(usize),
    Data(usize),
    /// Number of bytes still expected of the line end after the data.
    DataEnd(usize),
    /// A body of known length: number of bytes still expected.
    Length(usize),
    /// The body ends with the connection.
    Raw,
    Ended,
}

/// Reads one answer.
#[derive(Debug)]
pub struct AnswerLines {
    part: Part,
    max_line_bytes: usize,
    /// The bytes received so far of a line, or of the head, that is not complete yet.
    rest: Vec<u8>,
}

impl AnswerLines {
    /// A reader before the first byte.
    #[must_use]
    pub fn new(max_line_bytes: usize) -> Self {
        Self {
            part: Part::Head,
            max_line_bytes,
            rest: Vec::new(),
        }
    }

    /// Whether the server has ended the answer.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.part == Part::Ended
    }

    /// Takes bytes, and passes the parts that they complete to `take`.
    ///
    /// # Errors
    /// The bytes are not an answer ([`WireError`]), or `take` returned an error.
    pub fn feed<E: From<WireError>>(
        &mut self,
        mut input: &[u8],
        take: &mut impl FnMut(AnswerPiece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(&first) = input.first() {
            match self.part {
                Part::Head => input = self.head(input, take)?,
                Part::ChunkSize(size) => {
                    input = &input[1..];
                    self.part = match char::from(first).to_digit(16) {
                        Some(_) if size > usize::MAX >> 8 => {
                            return Err(WireError::ChunkTooLong.into());
                        }
                        Some(digit) => Part::ChunkSize(size * 16 + digit as usize),
                        None if first == b'\n' => begin_data(size),
                        None => Part::ChunkExtension(size),
                    };
                }
                Part::ChunkExtension(size) => {
                    input = &input[1..];
                    if first == b'\n' {
                        self.part = begin_data(size);
                    }
                }
                Part::Data(left) => {
                    let (data, after) = input.split_at(left.min(input.len()));
                    self.text(data, take)?;
                    input = after;
                    self.part = match left - data.len() {
                        0 => Part::DataEnd(2),
                        left => Part::Data(left),
                    };
                }
                Part::DataEnd(left) => {
                    input = &input[1..];
                    self.part = match left {
                        1 => Part::ChunkSize(0),
                        left => Part::DataEnd(left - 1),
                    };
                }
                Part::Length(left) => {
                    let (data, after) = input.split_at(left.min(input.len()));
                    self.text(data, take)?;
                    (input, self.part) = (after, Part::Length(left - data.len()));
                    if self.part == Part::Length(0) {
                        self.end_of_body(take)?;
                    }
                }
                Part::Raw => return self.text(input, take),
                Part::Ended => return Ok(()),
            }
        }
        Ok(())
    }

    fn head<'a, E: From<WireError>>(
        &mut self,
        input: &'a [u8],
        take: &mut impl FnMut(AnswerPiece<'_>) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let known = self.rest.len();
        self.rest.extend_from_slice(input);
        let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match self.rest.len() > MAX_HEAD_BYTES {
                true => Err(WireError::HeadTooLong.into()),
                false => Ok(&[]),
            };
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).to_ascii_lowercase();
        take(AnswerPiece::Head {
            head: &head,
            read: &self.rest,
        })?;
        self.rest = Vec::new();
        self.part = part_after(&head);
        Ok(&input[end + 4 - known..])
    }

    /// The last line, which may have no line feed.
    fn end_of_body<E: From<WireError>>(
        &mut self,
        take: &mut impl FnMut(AnswerPiece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.part = Part::Ended;
        match std::mem::take(&mut self.rest) {
            rest if rest.is_empty() => Ok(()),
            rest => take(AnswerPiece::Line(&rest)),
        }
    }

    fn text<E: From<WireError>>(
        &mut self,
        mut data: &[u8],
        take: &mut impl FnMut(AnswerPiece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr::memchr(b'\n', data) {
            if self.rest.is_empty() {
                take(AnswerPiece::Line(&data[..end]))?;
            } else {
                self.rest.extend_from_slice(&data[..end]);
                take(AnswerPiece::Line(&self.rest))?;
                self.rest.clear();
            }
            data = &data[end + 1..];
        }
        self.rest.extend_from_slice(data);
        match self.rest.len() > self.max_line_bytes {
            true => Err(WireError::LineTooLong(self.max_line_bytes).into()),
            false => Ok(()),
        }
    }
}

fn part_after(head: &str) -> Part {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    match length.map(|length| length.trim().parse()) {
        _ if head.contains("transfer-encoding: chunked") => Part::ChunkSize(0),
        Some(Ok(0)) => Part::Ended,
        Some(Ok(length)) => Part::Length(length),
        _ => Part::Raw,
    }
}

fn begin_data(size: usize) -> Part {
    match size {
        0 => Part::Ended,
        size => Part::Data(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], step: usize) -> Result<(Vec<String>, bool), WireError> {
        let (mut lines, mut got) = (AnswerLines::new(64), Vec::new());
        for part in wire.chunks(step) {
            lines.feed(part, &mut |piece| {
                got.push(match piece {
                    AnswerPiece::Head { head, .. } => head.to_owned(),
                    AnswerPiece::Line(line) => String::from_utf8_lossy(line).into_owned(),
                });
                Ok::<_, WireError>(())
            })?;
        }
        Ok((got, lines.has_ended()))
    }

    #[test]
    fn chunks_and_reads_may_be_cut_anywhere() {
        let head = "http/1.1 200 ok\r\ntransfer-encoding: chunked";
        let wire = format!("{head}\r\n\r\n3\r\na\nb\r\n5;x=y\r\nc\n\nde\r\n1\r\n\n\r\n0\r\n\r\n");
        for step in 1..wire.len() {
            let got = read(wire.as_bytes(), step).unwrap();
            let lines = [head, "a", "bc", "", "de"].map(ToOwned::to_owned);
            assert_eq!(got, (lines.to_vec(), true), "in steps of {step}");
        }
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\nbcHTTP/1.1 200 OK";
        for step in 1..sized.len() {
            let lines = ["http/1.1 200 ok\r\ncontent-length: 4", "a", "bc"];
            let got = read(sized, step).unwrap();
            assert_eq!(got, (lines.map(ToOwned::to_owned).to_vec(), true));
        }
        let raw = read(b"HTTP/1.1 200 OK\r\n\r\na\nb\n", 1).unwrap();
        let lines = ["http/1.1 200 ok", "a", "b"].map(ToOwned::to_owned);
        assert_eq!(raw, (lines.to_vec(), false));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let endless = "x".repeat(MAX_HEAD_BYTES + 1);
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (wire, error) in [
            (endless, WireError::HeadTooLong),
            (format!("{head}{}", "f".repeat(17)), WireError::ChunkTooLong),
            (
                format!("{head}ff\r\n{}", "x".repeat(65)),
                WireError::LineTooLong(64),
            ),
        ] {
            assert_eq!(read(wire.as_bytes(), usize::MAX), Err(error));
        }
    }
}
