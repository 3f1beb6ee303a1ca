//! A request as it is changed, and its bytes.

/// The listener that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FuzzListener {
    /// An edge.
    Edge,
    /// An ingest.
    Ingest,
}

/// The announcement of the body, and its division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body is announced.
    None,
    /// By its length.
    Length,
    /// By a length that is off by this much.
    WrongLength(i64),
    /// In chunks of this size; the last one may lack its end.
    Chunks {
        /// Bytes of a chunk, at least one.
        size: usize,
        /// Whether each chunk has an extension.
        is_extended: bool,
        /// Whether the end is sent.
        is_complete: bool,
    },
}

/// A request.
#[derive(Debug, Clone)]
pub struct FuzzRequest {
    /// Its listener.
    pub listener: FuzzListener,
    /// The method.
    pub method: Vec<u8>,
    /// Path and query, or another form of target.
    pub path: Vec<u8>,
    /// Names and values, in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The announcement of the body.
    pub framing: BodyFraming,
    /// Bytes after which the client ends its sending direction.
    pub cut: Option<usize>,
    /// Whether its head is HTTP/1.1 within the server's bounds: otherwise the HTTP layer may refuse it
    /// without a body.
    pub is_http: bool,
    /// Whether a signature belongs to the body, which has to be made when the body is complete.
    pub is_signed: bool,
}

/// Largest head that the server reads, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most headers that the server reads.
const MAX_HEADERS: usize = 100;

impl FuzzRequest {
    /// A request to an edge.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            listener: FuzzListener::Edge,
            method: method.into(),
            path: path.into(),
            headers: vec![(b"Host".to_vec(), b"localhost".to_vec())],
            body: Vec::new(),
            framing: BodyFraming::None,
            cut: None,
            is_http: true,
            is_signed: false,
        }
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a body of JSON.
    pub(crate) fn json(self, body: &str) -> Self {
        let mut with = self.header("Content-Type", "application/json");
        with.body = body.into();
        with.framing = BodyFraming::Length;
        with
    }

    /// Sets a header, in place of all of that name.
    pub fn set_header(&mut self, name: &str, value: &str) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_bytes()));
        self.headers.push((name.into(), value.into()));
    }

    /// The only value of a header.
    #[must_use]
    pub fn only_header(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.headers.iter();
        let mut values = values
            .by_ref()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Whether the server receives a whole request that is HTTP, and has to answer it in its own words.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let whole_body = match self.framing {
            BodyFraming::None => self.body.is_empty(),
            BodyFraming::Length => true,
            BodyFraming::WrongLength(_) => false,
            BodyFraming::Chunks { is_complete, .. } => is_complete,
        };
        let head = self.head().len();
        self.is_http
            && whole_body
            && self.cut.is_none()
            && head <= MAX_HEAD_BYTES / 2
            && self.headers.len() < MAX_HEADERS
    }

    fn head(&self) -> Vec<u8> {
        let mut head = [&self.method, &b" "[..], &self.path, b" HTTP/1.1\r\n"].concat();
        for (name, value) in &self.headers {
            head.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        match self.framing {
            BodyFraming::None => {}
            BodyFraming::Length => head.extend(length(self.body.len() as i64)),
            BodyFraming::WrongLength(by) => head.extend(length(self.body.len() as i64 + by)),
            BodyFraming::Chunks { .. } => head.extend(b"Transfer-Encoding: chunked\r\n"),
        }
        head.extend(b"\r\n");
        head
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        match self.framing {
            BodyFraming::Chunks {
                size,
                is_extended,
                is_complete,
            } => {
                let extension = if is_extended { ";a=b;c" } else { "" };
                // A body of a megabyte in single bytes would only be slow.
                let size = size.max(self.body.len() / 5000).max(1);
                for chunk in self.body.chunks(size) {
                    bytes.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend(b"\r\n");
                }
                if is_complete {
                    bytes.extend(b"0\r\n\r\n");
                }
            }
            _ => bytes.extend_from_slice(&self.body),
        }
        bytes.truncate(self.cut.unwrap_or(usize::MAX));
        bytes
    }
}

fn length(bytes: i64) -> Vec<u8> {
    format!("Content-Length: {}\r\n", bytes.max(0)).into_bytes()
}
