//! Deliveries as forms: a webhook with the content type `application/x-www-form-urlencoded` sends its JSON as the
//! field `payload`. The signature is over the body as it was sent.

use std::borrow::Cow;

use http::{HeaderMap, header};

/// The field that has the JSON.
const FIELD: &[u8] = b"payload";

/// The form of a delivery's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// The payload itself.
    Json,
    /// A form with one field.
    UrlEncoded,
}

impl BodyForm {
    /// What `Content-Type` says; `None` for a type that GitHub does not send.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE);
        let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
        let media_type = text.split(';').next().unwrap_or("").trim();
        if media_type.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::UrlEncoded)
        } else {
            None
        }
    }

    /// The payload in a body, never longer than the body; `None` if a form has no field `payload`, several, or
    /// one that is not encoded.
    pub(crate) fn payload(self, body: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Json => Some(Cow::Borrowed(body)),
            Self::UrlEncoded => {
                let mut values = body.split(|byte| *byte == b'&').filter_map(value);
                let (value, other) = (values.next()?, values.next());
                other.is_none().then(|| decoded(value))?.map(Cow::Owned)
            }
        }
    }
}

/// The value of a pair, if it is the field's.
fn value(pair: &[u8]) -> Option<&[u8]> {
    pair.strip_prefix(FIELD)?.strip_prefix(b"=")
}

fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit(*rest.next()?)? << 4 | digit(*rest.next()?)?,
            byte => *byte,
        });
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(body: &[u8]) -> Option<Vec<u8>> {
        BodyForm::UrlEncoded.payload(body).map(Cow::into_owned)
    }

    #[test]
    fn the_payload_is_the_one_field_of_that_name() {
        let payload = form(b"payload=%7B%22a%22%3a+1%7D").unwrap();
        assert_eq!(payload, br#"{"a": 1}"#);
        assert_eq!(form(b"x=1&payload=%00%ff&y").unwrap(), [0, 255]);
        assert_eq!(form(b"payload=").unwrap(), b"");
        for broken in [
            &b""[..],
            b"payload",
            b"Payload={}",
            b"payloads={}",
            b"{\"payload\":1}",
            b"payload=%",
            b"payload=%7",
            b"payload=%+7",
            b"payload=%zz",
            b"payload={}&payload={}",
        ] {
            assert_eq!(form(broken), None, "{}", String::from_utf8_lossy(broken));
        }
    }

    proptest! {
        #[test]
        fn any_payload_survives_its_form_and_none_grows(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let digits: String = payload.iter().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(form(format!("payload={digits}").as_bytes()), Some(payload.clone()));
            if let Some(read) = form(&payload) {
                prop_assert!(read.len() <= payload.len());
            }
        }
    }
}
