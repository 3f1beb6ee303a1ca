//! Changes of the head and of the framing.

use super::request::{BodyFraming, FuzzRequest};
use crate::{engine::tokens, random::XorShift};

const METHODS: [&str; 12] = [
    "GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "post", "Get", "PRI",
    "M-SEARCH",
];
/// Headers that some part of the server reads.
const NAMES: [&str; 20] = [
    "Accept",
    "Content-Type",
    "Content-Encoding",
    "Origin",
    "Authorization",
    "Mcp-Session-Id",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Param-Limit",
    "Last-Event-ID",
    "X-GitHub-Event",
    "X-GitHub-Delivery",
    "X-Hub-Signature-256",
    "Traceparent",
    "Tracestate",
    "X-Request-Id",
    "X-Forwarded-For",
    "Forwarded",
    "Cookie",
];
const VALUES: [&str; 22] = [
    "",
    "*/*",
    "*/*;q=0",
    "text/event-stream",
    "application/json;charset=utf-16",
    "application/x-ndjson",
    "text/plain",
    "application/x-www-form-urlencoded",
    "gzip",
    "identity",
    "http://localhost",
    "https://evil.example",
    "null",
    "Bearer",
    "Bearer x y",
    "Basic Og==",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "-1",
    "18446744073709551616",
    "../../etc/passwd",
    "=?base64?w6k=?=",
    ",,,;;;===",
];
const TARGETS: [&str; 12] = [
    "/",
    "//mcp",
    "/mcp/",
    "/mcp//",
    "/./mcp",
    "/x/../mcp",
    "/MCP",
    "/%6Dcp",
    "/mcp%2Fstream",
    "/mcp;a=b",
    "/mcp?x=%00&y=%ff",
    "/events/replay/%00",
];
/// What is no HTTP/1.1 target, or none that a server has to read.
const BROKEN_TARGETS: [&[u8]; 7] = [
    b"*",
    b"mcp",
    b"/m cp",
    b"http://localhost/mcp",
    b"/\xff\xfe",
    b"",
    b"/mcp\0",
];
/// Parts of a query.
const QUERIES: [&str; 14] = [
    "limit=0",
    "limit=1000",
    "limit=99999999999999999999",
    "limit=-1",
    "limit=1e3",
    "owner=",
    "repo=a/b/c",
    "tags=%22",
    "tags=,,,",
    "number=00",
    "before=%00",
    "cursor=x",
    "owner=acme&owner=acme",
    "%=%&=&&",
];

/// Changes one thing.
pub(super) fn change(request: &mut FuzzRequest, chance: &mut XorShift) {
    match chance.below(14) {
        0 => request.method = chance.of(&METHODS).as_bytes().to_vec(),
        1 => target(request, chance),
        2 | 3 => query(request, chance),
        4 => remove(request, chance),
        5 => repeat(request, chance),
        6..9 => add(request, chance),
        9 => value(request, chance),
        10 => long(request, chance),
        11 => broken(request, chance),
        _ => framing(request, chance),
    }
}

fn target(request: &mut FuzzRequest, chance: &mut XorShift) {
    if chance.once_in(4) {
        request.path = chance.of(&BROKEN_TARGETS).to_vec();
        request.is_http = false;
        return;
    }
    match chance.below(4) {
        0 => request.path = chance.of(&TARGETS).as_bytes().to_vec(),
        1 => {
            let at = chance.below(request.path.len());
            if let Some(byte) = request.path.get(at).copied() {
                let encoded = format!("%{byte:02X}").into_bytes();
                request.path.splice(at..=at, encoded);
                // Without the slash at its beginning it is no path.
                request.is_http &= at > 0;
            }
        }
        2 => request.path.insert(0, b'/'),
        _ => {
            let end = request.path.iter().position(|byte| *byte == b'?');
            request.path.insert(end.unwrap_or(request.path.len()), b'/');
        }
    }
}

fn query(request: &mut FuzzRequest, chance: &mut XorShift) {
    let joint = if request.path.contains(&b'?') {
        b'&'
    } else {
        b'?'
    };
    request.path.push(joint);
    request.path.extend(chance.of(&QUERIES).bytes());
}

fn remove(request: &mut FuzzRequest, chance: &mut XorShift) {
    if !request.headers.is_empty() {
        let at = chance.below(request.headers.len());
        request.headers.remove(at);
    }
}

fn is_host(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"host")
}

fn repeat(request: &mut FuzzRequest, chance: &mut XorShift) {
    if request.headers.is_empty() {
        return;
    }
    let (name, mut value) = chance.of(&request.headers).clone();
    if chance.once_in(2) {
        value = chance.of(&VALUES).as_bytes().to_vec();
    }
    // A second host is a fault of HTTP.
    request.is_http &= !is_host(&name);
    request.headers.push((name, value));
}

fn add(request: &mut FuzzRequest, chance: &mut XorShift) {
    let name = chance.of(&NAMES).as_bytes().to_vec();
    let value = if chance.once_in(3) {
        let tokens: Vec<_> = tokens().collect();
        chance.of(&tokens).to_vec()
    } else {
        chance.of(&VALUES).as_bytes().to_vec()
    };
    if chance.once_in(2) {
        request
            .headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
    }
    request.headers.push((name, value));
}

fn value(request: &mut FuzzRequest, chance: &mut XorShift) {
    if request.headers.is_empty() {
        return;
    }
    let at = chance.below(request.headers.len());
    let (name, value) = &mut request.headers[at];
    match chance.below(5) {
        0 => value.make_ascii_uppercase(),
        1 => *value = [b"\t ", &value[..], b" \t"].concat(),
        2 => value.truncate(value.len() / 2),
        // Bytes above ASCII are allowed in values.
        3 => value.extend(b"\xc3\xa9\xff"),
        _ => name.make_ascii_uppercase(),
    }
}

/// Something at or beyond a bound of length or number.
fn long(request: &mut FuzzRequest, chance: &mut XorShift) {
    match chance.below(4) {
        0 => {
            let bytes = *chance.of(&[100, 1024, 7000, 20_000]);
            request
                .headers
                .push((b"X-Long".to_vec(), vec![b'l'; bytes]));
        }
        1 => {
            for n in 0..*chance.of(&[50, 120]) {
                let name = format!("X-{n}").into_bytes();
                request.headers.push((name, b"n".to_vec()));
            }
        }
        2 => request.path.extend(b"/a".repeat(*chance.of(&[50, 2000]))),
        _ => {
            let bytes = *chance.of(&[600, 3000]);
            let name = chance.of(&NAMES).as_bytes().to_vec();
            request.headers.push((name, vec![b'v'; bytes]));
        }
    }
}

/// What is no HTTP.
fn broken(request: &mut FuzzRequest, chance: &mut XorShift) {
    request.is_http = false;
    let header = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
    request.headers.push(match chance.below(10) {
        0 => header(b"Bad Name", b"x"),
        1 => header(b"", b"x"),
        2 => header(b"X-Null", b"a\0b"),
        3 => header(b"X-Folded", b"a\r\n b"),
        4 => header(b"X-Bare", b"a\rb\nc"),
        5 => header(b"Content-Length", b"+5"),
        6 => header(b"Content-Length", b"18446744073709551616"),
        7 => header(b"Transfer-Encoding", b"gzip, chunked"),
        8 => header(b"Transfer-Encoding", b"xchunked"),
        _ => header(b"X-\xff", b"x"),
    });
}

fn framing(request: &mut FuzzRequest, chance: &mut XorShift) {
    let chunks = |chance: &mut XorShift| BodyFraming::Chunks {
        size: *chance.of(&[1, 7, 100, 65_536]),
        is_extended: chance.once_in(4),
        is_complete: !chance.once_in(8),
    };
    request.framing = match chance.below(6) {
        0..3 => chunks(chance),
        3 => BodyFraming::Length,
        4 => BodyFraming::WrongLength(*chance.of(&[-100, -1, 1, 1000, 5 << 20, 1 << 40])),
        _ => BodyFraming::None,
    };
    if chance.once_in(6) {
        let expect = (b"Expect".to_vec(), b"100-continue".to_vec());
        request.headers.push(expect);
    }
}
