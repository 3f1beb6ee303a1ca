//! An SSE client for tests: reads frames with a deadline, remembers the last id, and can resume on
//! any server.

mod parser;

use std::time::Duration;

use reqwest::{Response, Url, header::HeaderMap};
use tokio::time::timeout;

pub use parser::{BlockTooLong, ReceivedFrame, SseParser};

/// Time allowed for a server to answer a request for a stream with its headers.
const OPEN_SECONDS: u64 = 10;
/// Number of characters of a refusal's body that the error quotes.
const SHOWN_CHARS: usize = 500;

/// Errors of an event stream.
#[derive(Debug, thiserror::Error)]
pub enum SseError {
    /// No connection, no answer, or the connection broke.
    #[error("the event stream of {url} failed")]
    Transport {
        /// URL of the stream.
        url: Url,
        /// Cause.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered, but not with an event stream.
    #[error("{url} answered {status} ({content_type}) instead of an event stream: {body}")]
    NotAStream {
        /// URL of the stream.
        url: Url,
        /// HTTP status.
        status: u16,
        /// Content type, empty if none.
        content_type: String,
        /// Start of the body.
        body: String,
    },
    /// No frame arrived in time.
    #[error("{url}: no {what} within {within:?}; last id {last_id:?}")]
    Deadline {
        /// URL of the stream.
        url: Url,
        /// The awaited kind of frame.
        what: &'static str,
        /// Time allowed for it.
        within: Duration,
        /// The last id received on the stream.
        last_id: Option<String>,
    },
    /// The server ended the stream before the awaited frame.
    #[error("{url}: the server ended the stream; last id {last_id:?}")]
    Ended {
        /// URL of the stream.
        url: Url,
        /// The last id received on the stream.
        last_id: Option<String>,
    },
    /// The stream exceeds the parser's limits.
    #[error("{url} sent an unreadable event stream")]
    Unreadable {
        /// URL of the stream.
        url: Url,
        /// Cause.
        #[source]
        source: BlockTooLong,
    },
}

/// An open event stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct SseStream {
    url: Url,
    response: Response,
    parser: SseParser,
    last_id: Option<String>,
    retry: Option<Duration>,
    ended: bool,
}

/// Opens an event stream with GET on its own connection.
///
/// # Errors
/// No answer within ten seconds, or an answer that is not an event stream.
pub async fn open(url: &Url, headers: HeaderMap) -> Result<SseStream, SseError> {
    let request = crate::http::client().get(url.clone()).headers(headers);
    let request = request.header("accept", "text/event-stream");
    let answer = timeout(Duration::from_secs(OPEN_SECONDS), request.send()).await;
    let response = answer
        .map_err(|_| SseError::Deadline {
            url: url.clone(),
            what: "answer",
            within: Duration::from_secs(OPEN_SECONDS),
            last_id: None,
        })?
        .map_err(|source| SseError::Transport {
            url: url.clone(),
            source,
        })?;
    SseStream::from_response(response).await
}

/// Opens an event stream after `last_id`, as a browser does when it reconnects.
///
/// # Errors
/// As [`open`]. An id with characters that a header cannot carry is sent as an empty one.
pub async fn resume(
    url: &Url,
    mut headers: HeaderMap,
    last_id: &str,
) -> Result<SseStream, SseError> {
    let value = last_id
        .parse()
        .unwrap_or(reqwest::header::HeaderValue::from_static(""));
    headers.insert("last-event-id", value);
    let mut stream = open(url, headers).await?;
    stream.last_id = Some(last_id.to_owned());
    Ok(stream)
}

impl SseStream {
    /// Reads an answer as an event stream.
    ///
    /// # Errors
    /// The status is not 200, or the content type is not `text/event-stream`.
    pub async fn from_response(response: Response) -> Result<Self, SseError> {
        let url = response.url().clone();
        let content_type = content_type(&response);
        if response.status().as_u16() != 200 || !content_type.starts_with("text/event-stream") {
            let status = response.status().as_u16();
            let text = timeout(Duration::from_secs(1), response.text()).await;
            let text = text.ok().and_then(Result::ok).unwrap_or_default();
            let body = text.chars().take(SHOWN_CHARS).collect();
            return Err(SseError::NotAStream {
                url,
                status,
                content_type,
                body,
            });
        }
        let parser = SseParser::new();
        Ok(Self {
            url,
            response,
            parser,
            last_id: None,
            retry: None,
            ended: false,
        })
    }

    /// The next frame, heartbeats included; `None` once the server has ended the stream.
    ///
    /// # Errors
    /// No frame arrived within `within`, or the connection broke. Reading can continue after a
    /// missed deadline: nothing is lost.
    pub async fn next(&mut self, within: Duration) -> Result<Option<ReceivedFrame>, SseError> {
        match timeout(within, self.read_frame()).await {
            Ok(frame) => frame,
            Err(_) => Err(self.late("frame", within)),
        }
    }

    /// The next frame that carries data; skips heartbeats and `retry`, not priming events.
    ///
    /// # Errors
    /// As [`SseStream::next`]; also if the server ends the stream first.
    pub async fn next_event(&mut self, within: Duration) -> Result<ReceivedFrame, SseError> {
        let reading = async {
            loop {
                match self.read_frame().await? {
                    Some(frame) if frame.data.is_some() => return Ok(frame),
                    Some(_) => {}
                    None => {
                        let (url, last_id) = (self.url.clone(), self.last_id.clone());
                        return Err(SseError::Ended { url, last_id });
                    }
                }
            }
        };
        match timeout(within, reading).await {
            Ok(frame) => frame,
            Err(_) => Err(self.late("event", within)),
        }
    }

    /// The last id received, or the id that the stream was resumed after: the position to continue
    /// from.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The reconnection time that the server requested last.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The headers of the answer.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    fn late(&self, what: &'static str, within: Duration) -> SseError {
        SseError::Deadline {
            url: self.url.clone(),
            what,
            within,
            last_id: self.last_id.clone(),
        }
    }

    /// Safe to cancel between two polls: bytes enter the parser as they are read.
    async fn read_frame(&mut self) -> Result<Option<ReceivedFrame>, SseError> {
        loop {
            if let Some(frame) = self.parser.next_frame() {
                if let Some(id) = &frame.id {
                    self.last_id = Some(id.clone());
                }
                self.retry = frame.retry.or(self.retry);
                return Ok(Some(frame));
            }
            if self.ended {
                return Ok(None);
            }
            let chunk = self.response.chunk().await;
            let url = &self.url;
            match chunk.map_err(|source| SseError::Transport {
                url: url.clone(),
                source,
            })? {
                Some(bytes) => self
                    .parser
                    .push(&bytes)
                    .map_err(|source| SseError::Unreadable {
                        url: url.clone(),
                        source,
                    })?,
                None => self.ended = true,
            }
        }
    }
}

pub(crate) fn content_type(response: &Response) -> String {
    let value = response
        .headers()
        .get("content-type")
        .and_then(|v| v.to_str().ok());
    value.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A server that answers one request with these pieces, each in its own write, then closes the
    /// connection.
    async fn serve(
        head: &'static str,
        pieces: Vec<&'static str>,
    ) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events/stream", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let task = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = socket.read(&mut request).await.unwrap();
            socket.write_all(head.as_bytes()).await.unwrap();
            for piece in pieces {
                socket.write_all(piece.as_bytes()).await.unwrap();
                socket.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            String::from_utf8_lossy(&request[..n]).to_ascii_lowercase()
        });
        (url, task)
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";
    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_stream_is_read_with_its_last_id_and_resumed_after_it() {
        let pieces = vec![
            ": hi\n\nid: a",
            "1\ndata: {\"n\"",
            ":1}\n\nretry: 9\n\n",
            "id: a2\ndata: x\n\n",
        ];
        let (url, server) = serve(HEAD, pieces).await;
        let mut stream = resume(&url, HeaderMap::new(), "a0").await.unwrap();
        assert_eq!(stream.last_id(), Some("a0"));
        assert!(stream.next(SOON).await.unwrap().unwrap().is_comment());
        assert_eq!(
            stream.next_event(SOON).await.unwrap().json().unwrap()["n"],
            1
        );
        assert_eq!(stream.last_id(), Some("a1"));
        assert_eq!(
            stream.next_event(SOON).await.unwrap().data.as_deref(),
            Some("x")
        );
        assert_eq!(
            (stream.last_id(), stream.retry()),
            (Some("a2"), Some(Duration::from_millis(9)))
        );
        assert!(stream.next(SOON).await.unwrap().is_none());
        let request = server.await.unwrap();
        assert!(request.contains("last-event-id: a0\r\n"), "{request}");
        assert!(
            request.contains("accept: text/event-stream\r\n"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn a_refusal_says_status_and_body() {
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n\
            content-length: 19\r\n\r\n{\"code\":\"bad_type\"}";
        let (url, _server) = serve(head, vec![]).await;
        let error = open(&url, HeaderMap::new()).await.unwrap_err().to_string();
        assert!(
            error.contains("400") && error.contains("bad_type"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_missed_deadline_loses_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let read = socket.read(&mut [0; 4096]).await.unwrap();
            assert_ne!(read, 0);
            socket.write_all(HEAD.as_bytes()).await.unwrap();
            socket.write_all(b"id: 1\ndata: ha").await.unwrap();
            wait.await.unwrap();
            socket.write_all(b"lf\n\n").await.unwrap();
        });
        let mut stream = open(&url, HeaderMap::new()).await.unwrap();
        let late = stream.next(Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(late, SseError::Deadline { .. }), "{late}");
        go.send(()).unwrap();
        assert_eq!(
            stream.next(SOON).await.unwrap().unwrap().data.as_deref(),
            Some("half")
        );
    }
}
