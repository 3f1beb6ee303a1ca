//! Bodies of requests that are compressed.
//!
//! No listener decodes them: a few compressed kilobytes can become gigabytes. Without this check they
//! would be refused as "not JSON", which tells a sender nothing.

use http::{HeaderMap, HeaderValue, header};

/// The value of `Accept-Encoding` in the 415 for a compressed body (RFC 9110 §12.5.3).
pub const ACCEPTED_ENCODING: HeaderValue = HeaderValue::from_static("identity");

/// Whether the body has a `Content-Encoding`; `identity` is none.
#[must_use]
pub fn is_encoded(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_no_encoding() {
        for (values, expected) in [
            (&[][..], false),
            (&[""], false),
            (&["identity"], false),
            (&["Identity, identity"], false),
            (&["gzip"], true),
            (&["identity, br"], true),
            (&["identity", "deflate"], true),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(is_encoded(&headers), expected, "{values:?}");
        }
    }
}
