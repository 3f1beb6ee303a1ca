//! A message of a channel: a JSON object with the headers of a request as fields, and its body.
//!
//! | channel | body |
//! | --- | --- |
//! | smee.io (`lib/server.js`) | `body`, the JSON that it has parsed, as `JSON.stringify` writes it |
//! | gosmee (`gosmee/server.go`) | `bodyB`, the bytes themselves in base64 |
//!
//! A signature is over bytes. GitHub's JSON is compact, so that what `JSON.stringify` writes has its bytes again, but
//! for escapes, whose digits GitHub writes in upper case (octokit/webhooks.js, `toNormalizedJsonString`), for the scores of
//! advisories, whose floats JavaScript writes otherwise ([`number_spelling`](crate::number_spelling)), and for keys that are
//! numbers, which JavaScript puts first; the latter cannot be mended.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{ingest::RelayedDelivery, number_spelling::scores_as_floats, secrets::RelaySecrets};

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChannelMessage {
    /// Of the channel itself, as `ready` and `ping`.
    Control,
    /// A delivery that may be passed on.
    Delivery(RelayedDelivery),
    /// A delivery whose signature is missing, or is not of this body.
    Unverified { event: String, guid: String },
    /// Something else; why.
    NoDelivery(String),
}

/// A form, which a webhook with that content type sends.
#[derive(Debug, Deserialize)]
struct PayloadForm {
    payload: String,
}

/// The fields of a message, by their names in lower case.
struct MessageFields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> MessageFields<'a> {
    fn read(data: &'a str) -> Result<Self, serde_json::Error> {
        let fields: BTreeMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(data)?;
        let lower =
            |(name, value): (Cow<'a, str>, &'a RawValue)| (name.to_ascii_lowercase(), value);
        Ok(Self(fields.into_iter().map(lower).collect()))
    }

    /// Whether this is a message of the channel itself: `{}`, or gosmee's `{"message":"ready"}`.
    fn is_of_channel(&self) -> bool {
        self.0.keys().all(|name| name == "message")
    }

    fn value(&self, name: &str) -> Option<&'a RawValue> {
        let value = self.0.get(name)?;
        (value.get() != "null").then_some(*value)
    }

    /// A header: a text, a number, or a list of one text. `None` if it is missing or something else.
    fn header(&self, name: &str) -> Option<String> {
        let value = self.value(name)?.get();
        if let Ok(text) = serde_json::from_str::<String>(value) {
            return Some(text);
        }
        if let Ok(number) = serde_json::from_str::<u64>(value) {
            return Some(number.to_string());
        }
        let [text] = serde_json::from_str::<[String; 1]>(value).ok()?;
        Some(text)
    }
}

/// The body, in the spellings that GitHub may have signed: the likeliest first.
struct MessageBody {
    spellings: Vec<Bytes>,
}

impl MessageBody {
    fn read(fields: &MessageFields<'_>) -> Result<Option<Self>, String> {
        if let Some(bytes) = fields.value("bodyb") {
            let text: String =
                serde_json::from_str(bytes.get()).map_err(|_| "bodyB is no text".to_owned())?;
            let bytes = STANDARD
                .decode(text)
                .map_err(|_| "bodyB is no base64".to_owned())?;
            return Ok(Some(Self::of(bytes)));
        }
        let Some(body) = fields.value("body") else {
            return Ok(None);
        };
        if let Ok(text) = serde_json::from_str::<String>(body.get()) {
            return Ok(Some(Self::of(text.into_bytes())));
        }
        let compact = compact(body.get());
        let upper = escapes_in_upper_case(&compact);
        let mut spellings = vec![Bytes::copy_from_slice(body.get().as_bytes())];
        let scores = scores_as_floats(&upper);
        for other in [compact, upper, scores] {
            if !spellings.iter().any(|known| known == other.as_bytes()) {
                spellings.push(Bytes::from(other));
            }
        }
        Ok(Some(Self { spellings }))
    }

    fn of(bytes: Vec<u8>) -> Self {
        Self {
            spellings: vec![Bytes::from(bytes)],
        }
    }

    /// The spelling of which this is the signature.
    fn signed(&self, signature: &str, secrets: &RelaySecrets) -> Option<Bytes> {
        let mut spellings = self.spellings.iter();
        spellings
            .find(|bytes| secrets.verify(signature, bytes))
            .cloned()
    }

    /// The payload, if nobody has to have signed it.
    fn payload(&self) -> Bytes {
        let first = &self.spellings[0];
        match serde_json::from_slice::<PayloadForm>(first) {
            // A payload has no field of that name with a text.
            Ok(form) => Bytes::from(form.payload),
            Err(_) => first.clone(),
        }
    }
}

/// JSON without spaces between its tokens.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut is_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        if is_string {
            is_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
        } else if matches!(c, ' ' | '\n' | '\r' | '\t') {
            continue;
        } else {
            is_string = c == '"';
        }
        text.push(c);
    }
    text
}

/// JSON with the digits of its `\u` escapes in upper case.
fn escapes_in_upper_case(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut is_escaped, mut digits) = (false, 0);
    for c in json.chars() {
        if is_escaped && c == 'u' {
            digits = 4;
            text.push(c);
        } else if digits > 0 {
            digits -= 1;
            text.push(c.to_ascii_uppercase());
        } else {
            text.push(c);
        }
        is_escaped = !is_escaped && c == '\\';
    }
    text
}

/// Reads a message. With `accept_unverified` the signature may be missing or wrong, and the relay will sign.
pub(crate) fn read_message(
    name: Option<&str>,
    data: &str,
    secrets: &RelaySecrets,
    accept_unverified: bool,
) -> ChannelMessage {
    if name.is_some_and(|name| name != "message") || data == "ready" || data.is_empty() {
        return ChannelMessage::Control;
    }
    let no_delivery = |why: &str| ChannelMessage::NoDelivery(why.to_owned());
    let fields = match MessageFields::read(data) {
        Ok(fields) if fields.is_of_channel() => return ChannelMessage::Control,
        Ok(fields) => fields,
        Err(error) => return no_delivery(&format!("it is no JSON object: {error}")),
    };
    let (event, guid) = (
        fields.header("x-github-event"),
        fields.header("x-github-delivery"),
    );
    let Some(event) = event else {
        return no_delivery("x-github-event is missing or no text");
    };
    let Some(guid) = guid else {
        return no_delivery("x-github-delivery is missing or no text");
    };
    let body = match MessageBody::read(&fields) {
        Ok(Some(body)) => body,
        Ok(None) => return no_delivery("it has no body"),
        Err(why) => return no_delivery(&why),
    };
    let signature = fields.header("x-hub-signature-256");
    let signed = signature.and_then(|signature| {
        let payload = body.signed(&signature, secrets)?;
        Some((payload, Some(signature)))
    });
    let (payload, signature) = match signed {
        Some(signed) => signed,
        None if accept_unverified => (body.payload(), None),
        None => return ChannelMessage::Unverified { event, guid },
    };
    ChannelMessage::Delivery(RelayedDelivery {
        event,
        guid,
        hook: fields.header("x-github-hook-id"),
        payload,
        signature,
    })
}

#[cfg(test)]
mod tests;
