//! The rules that every answer has to keep.

use serde_json::Value;

use super::request::{FuzzListener, FuzzRequest};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const MODERN: &str = "2026-07-28";
/// What an answer must not contain, unless the request did: texts of panics, and paths of the machine that
/// built the server.
const LEAKS: [&str; 7] = [
    "panicked at",
    "stack backtrace",
    "RUST_BACKTRACE",
    ".rs:",
    "/.cargo/",
    "/src/",
    "called `Result::unwrap()`",
];

/// An answer.
#[derive(Debug, Clone)]
pub struct FuzzAnswer {
    /// The status.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// The body; its first part if it is long, nothing of a stream.
    pub body: Vec<u8>,
}

/// Checks an answer; `None` if the connection was closed without one.
///
/// # Errors
/// The rule that was broken.
pub fn judge(request: &FuzzRequest, answer: Option<&FuzzAnswer>) -> Result<(), String> {
    let Some(answer) = answer else {
        return match request.is_whole() {
            true => Err("a whole request got no answer".to_owned()),
            false => Ok(()),
        };
    };
    let text = String::from_utf8_lossy(&answer.body);
    let sent = String::from_utf8_lossy(&request.bytes()).into_owned();
    for leak in LEAKS {
        if text.contains(leak) && !sent.contains(leak) {
            return Err(format!("the answer contains {leak:?}"));
        }
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if is_internal(&body)
        || body
            .as_array()
            .is_some_and(|all| all.iter().any(is_internal))
    {
        return Err("an internal error is no answer to a client".to_owned());
    }
    match answer.status {
        200..400 => return Ok(()),
        503 if has_code(&body) && answer.head.contains("retry-after:") => return Ok(()),
        500.. => return Err(format!("{} is no answer to a client", answer.status)),
        _ => {}
    }
    // An answer to HEAD has no body.
    if !request.is_whole() || request.method == b"HEAD" {
        return Ok(());
    }
    if is_modern(request) && !is_json_rpc(&body) {
        return Err(format!(
            "a request of {MODERN} got a bare {}",
            answer.status
        ));
    }
    match has_code(&body) {
        true => Ok(()),
        false => Err(format!("{} does not say why", answer.status)),
    }
}

/// Whether it is the error whose reason only the log knows.
fn is_internal(message: &Value) -> bool {
    message["error"]["message"] == "internal error"
}

fn is_json_rpc(body: &Value) -> bool {
    body["jsonrpc"] == "2.0"
        && body["error"]["code"].is_i64()
        && body["error"]["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
}

/// Whether a client can tell the reason: a JSON-RPC error, or a problem with a code.
fn has_code(body: &Value) -> bool {
    is_json_rpc(body) || (body["code"].is_string() && body["detail"].is_string())
}

/// Whether it is a POST to `/mcp` whose body is a request of the stateless era.
fn is_modern(request: &FuzzRequest) -> bool {
    let path = request.path.split(|byte| *byte == b'?').next();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    request.listener == FuzzListener::Edge
        && request.method == b"POST"
        && path == Some(b"/mcp")
        && body["params"]["_meta"][VERSION] == MODERN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, head: &str, body: &str) -> FuzzAnswer {
        FuzzAnswer {
            status,
            head: head.to_owned(),
            body: body.into(),
        }
    }

    #[test]
    fn every_rule_can_be_broken() {
        let modern =
            r#"{"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let get = FuzzRequest::new("GET", "/events/recent");
        let post = FuzzRequest::new("POST", "/mcp").json(modern);
        let problem = r#"{"code":"x","detail":"y"}"#;
        let rpc = r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}"#;
        let breaks = |request: &FuzzRequest, status, head: &str, body: &str| {
            judge(request, Some(&answer(status, head, body))).is_err()
        };
        assert!(judge(&get, None).is_err(), "no answer");
        assert!(breaks(&get, 500, "", problem));
        assert!(breaks(&get, 503, "", problem) && breaks(&get, 503, "retry-after: 1", ""));
        assert!(breaks(&get, 400, "", ""));
        let internal = r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"internal error"}}"#;
        assert!(
            breaks(&post, 200, "", internal) && breaks(&post, 200, "", &format!("[{internal}]"))
        );
        assert!(breaks(&get, 200, "", "thread panicked at x"));
        assert!(breaks(&post, 400, "", problem));
        assert!(!breaks(&post, 400, "", rpc) && !breaks(&get, 400, "", problem));
        assert!(!breaks(&get, 503, "retry-after: 1", problem));
        let mut cut = get.clone();
        cut.cut = Some(3);
        assert!(judge(&cut, None).is_ok() && !breaks(&cut, 400, "", ""));
    }
}
