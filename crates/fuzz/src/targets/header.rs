//! Header values: the base64 sentinel, and the `Accept` header of a client.

use http::{HeaderMap, HeaderValue, header::ACCEPT};
use mcp::headers::{AcceptedTypes, decode_value, encode_value};

pub(crate) fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let encoded = encode_value(text);
        assert!(HeaderValue::from_str(&encoded).is_ok_and(|value| value.to_str().is_ok()));
        assert_eq!(
            encoded.trim(),
            encoded,
            "no white space that a proxy would trim"
        );
        assert_eq!(decode_value(&encoded).as_deref(), Ok(text));
        if let Ok(decoded) = decode_value(text) {
            assert_eq!(
                decode_value(&encode_value(&decoded)).as_deref(),
                Ok(&*decoded)
            );
        }
    }
    let mut headers = HeaderMap::new();
    for value in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(ACCEPT, value);
        }
    }
    let accepts = AcceptedTypes::read(&headers);
    assert!(
        !accepts.is_nothing() || headers.contains_key(ACCEPT),
        "a missing header accepts everything"
    );
}
