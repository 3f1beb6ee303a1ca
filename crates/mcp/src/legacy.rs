//! HTTP+SSE with two paths (MCP 2024-11-05, Transports, "HTTP with SSE").
//!
//! A GET opens the stream, whose first event names the URI for POSTs; each POST carries one message
//! and is answered on the stream.

use bytes::Bytes;
use model::SessionId;

use crate::{
    envelope::{self, Incoming, InvalidMessage, MessageBody},
    sse::SseFrame,
};

/// The parameter that names the session in the URI to POST to.
const SESSION: &str = "sessionId";

/// The first event of the stream: the URI for POSTs, relative because clients refuse a URI of
/// another origin. `path` is an absolute path such as `/messages`; the alphabet of session ids
/// needs no escaping.
///
/// # Panics
/// `path` is not an absolute path of visible ASCII without query: a mistake in the program.
#[must_use]
pub fn endpoint_event(path: &str, session: &SessionId) -> Bytes {
    let is_path = path.starts_with('/') && !path.starts_with("//");
    let is_plain = path
        .bytes()
        .all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#');
    assert!(is_path && is_plain, "{path:?} is not a path for POSTs");
    SseFrame::endpoint(&format!("{path}?{SESSION}={session}")).encode()
}

/// The session in the query of a POST; `None` if there is none, more than one, or one that this
/// server cannot have issued. The store checks the owner.
#[must_use]
pub fn session_of(query: Option<&str>) -> Option<SessionId> {
    let mut named = query?.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == SESSION).then_some(value)
    });
    let session = SessionId::new(named.next()?).ok()?;
    named.next().is_none().then_some(session)
}

/// Reads the body of a POST: one message.
///
/// # Errors
/// The body is not a message, or is a batch.
pub fn parse_message(body: &[u8]) -> Result<Incoming, InvalidMessage> {
    match envelope::parse(body)? {
        MessageBody::One(message) => Ok(message),
        MessageBody::Batch(_) => Err(InvalidMessage::Invalid {
            id: None,
            reason: "a POST of this transport carries one message",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        SessionId::new("0b6c-3a52").unwrap()
    }

    #[test]
    fn the_first_event_says_where_to_post_and_the_post_says_which_session() {
        let event = endpoint_event("/messages", &session());
        assert_eq!(
            event,
            "event: endpoint\ndata: /messages?sessionId=0b6c-3a52\n\n"
        );
        assert_eq!(session_of(Some("sessionId=0b6c-3a52")), Some(session()));
        assert_eq!(
            session_of(Some("a=b&sessionId=0b6c-3a52&c")),
            Some(session())
        );
        for bad in [
            "",
            "sessionId",
            "sessionId=",
            "sessionId=a.b",
            "sessionid=a",
            "sessionId=a&sessionId=b",
            "sessionId=%2e",
        ] {
            assert_eq!(session_of(Some(bad)), None, "{bad}");
        }
        assert_eq!(session_of(None), None);
    }

    #[test]
    fn a_post_carries_one_message() {
        let message = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert!(matches!(parse_message(message), Ok(Incoming::Request(_))));
        for (bad, code) in [
            ("[]", -32600),
            (r#"[{"jsonrpc":"2.0","method":"n"}]"#, -32600),
            ("{", -32700),
        ] {
            assert_eq!(
                parse_message(bad.as_bytes())
                    .unwrap_err()
                    .error()
                    .code
                    .number(),
                code
            );
        }
    }

    #[test]
    #[should_panic(expected = "is not a path for POSTs")]
    fn another_origin_is_a_mistake() {
        let _ = endpoint_event("//evil.example/messages", &session());
    }
}
