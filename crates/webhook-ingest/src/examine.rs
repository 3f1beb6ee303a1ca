//! From a body to events: signature, headers, JSON, normalising. Nothing waits, and nothing is kept but the
//! memory of bodies.

use github_events::{Envelope, PayloadText, Skip};
use http::HeaderMap;
use model::{DeliveryId, FoundResource, StoredEvent, Timestamp, TraceContext};
use serde_json::Value;

use crate::{
    error::DeliveryRefusal,
    form::BodyForm,
    limits::MAX_HEADER_TEXT_BYTES,
    order::{DeliveryOrder, DeliveryPlace},
    repeats::SeenBodies,
    signature::{self, DIGEST_BYTES, SIGNATURE_HEADER, Verifier},
};

const EVENT_HEADER: &str = "X-GitHub-Event";
const DELIVERY_HEADER: &str = "X-GitHub-Delivery";
const HOOK_ID_HEADER: &str = "X-GitHub-Hook-ID";

/// The description of a delivery for its log line. It is taken from unverified headers, so it
/// serves only people who search for a delivery, and contains only values of the right form.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryDescription {
    pub(crate) delivery: Option<DeliveryId>,
    pub(crate) event: Option<String>,
    /// Set once the payload has been parsed.
    pub(crate) action: Option<String>,
    /// Set once the signature has been verified: an earlier delivery had the same body.
    pub(crate) is_repeated: bool,
}

impl DeliveryDescription {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            delivery: delivery(headers).ok(),
            event: event(headers).ok().map(str::to_owned),
            action: None,
            is_repeated: false,
        }
    }
}

/// The result of a delivery with a valid signature.
#[derive(Debug)]
pub(crate) struct VerifiedDelivery {
    /// GitHub's action, if the payload has one.
    pub(crate) action: Option<String>,
    /// Whether an earlier delivery, under another GUID or name, had the same body.
    pub(crate) is_repeated: bool,
    /// The events to append, or the reason why there are none.
    pub(crate) events: Result<Vec<StoredEvent>, Skip>,
    /// Its place among those about the same resource, if it has one.
    pub(crate) place: Option<DeliveryPlace>,
}

/// A signature that is good for a body.
#[derive(Debug)]
pub(crate) struct VerifiedSignature([u8; DIGEST_BYTES]);

/// A delivery whose signature is good.
#[derive(Debug)]
pub(crate) struct ReceivedDelivery {
    pub(crate) signature: VerifiedSignature,
    pub(crate) at: Timestamp,
    pub(crate) trace: TraceContext,
    /// Where the content of a project's item is, if that is known.
    pub(crate) content: Option<FoundResource>,
    /// Events are encoded in up to so many bytes, where that is possible.
    pub(crate) max_event_bytes: usize,
}

/// Whether a delivery is about an item of a project.
pub(crate) fn is_item(headers: &HeaderMap) -> bool {
    event(headers).is_ok_and(github_events::is_item_event)
}

/// The webhooks' secrets, and the memory of the bodies that they signed.
#[derive(Debug)]
pub(crate) struct Examiner {
    verifier: Verifier,
    bodies: SeenBodies,
}

impl Examiner {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            bodies: SeenBodies::default(),
        }
    }

    /// Verifies the signature, before anything else; returns it.
    pub(crate) fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<VerifiedSignature, DeliveryRefusal> {
        let signature = headers
            .get(SIGNATURE_HEADER)
            .ok_or(DeliveryRefusal::SignatureMissing)?;
        let signature = signature
            .to_str()
            .map_err(|_| DeliveryRefusal::SignatureMalformed)?;
        self.verifier.verify(signature, body)?;
        Ok(VerifiedSignature(signature::parse(signature)?))
    }

    /// Reads a delivery whose signature is good.
    pub(crate) fn read(
        &self,
        received: ReceivedDelivery,
        headers: &HeaderMap,
        body: &[u8],
        order: &DeliveryOrder,
    ) -> Result<VerifiedDelivery, DeliveryRefusal> {
        let ReceivedDelivery {
            signature: VerifiedSignature(digest),
            at: received_at,
            trace,
            content,
            max_event_bytes,
        } = received;
        let envelope = Envelope {
            event: event(headers)?.to_owned(),
            delivery: delivery(headers)?,
            hook_id: hook_id(headers),
            received_at,
        };
        // Admission has refused any other content type.
        let form = BodyForm::of(headers).unwrap_or(BodyForm::Json);
        let payload = form.payload(body).ok_or(DeliveryRefusal::InvalidForm)?;
        let payload = PayloadText::read(&payload)?;
        let text = payload.text();
        let is_repeated = self
            .bodies
            .is_repeated(&digest, &envelope.delivery, &envelope.event);
        let action = payload.value.get("action").and_then(Value::as_str);
        let action = action.filter(|action| is_name(action)).map(str::to_owned);
        let mut place = None;
        let events = match github_events::normalise_payload(&envelope, payload.value) {
            Ok((mut event, json)) => {
                if let Some(found) = content {
                    github_events::place_item(&mut event, found);
                }
                place = order.place(&envelope.delivery, &envelope.event, &event);
                event.metadata.repeated_body = is_repeated;
                event.metadata.body_digest = Some(signature::digest_for_readers(&digest));
                let encoded =
                    github_events::encode_delivered(event, (&json, text), trace, max_event_bytes);
                Ok(vec![encoded.map_err(not_encoded)?])
            }
            Err(skip) => Err(skip),
        };
        Ok(VerifiedDelivery {
            action,
            is_repeated,
            events,
            place,
        })
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_encoded(error: serde_json::Error) -> DeliveryRefusal {
    tracing::error!(%error, "an event that was just parsed cannot be encoded");
    DeliveryRefusal::Internal
}

fn event(headers: &HeaderMap) -> Result<&str, DeliveryRefusal> {
    let event = required(headers, EVENT_HEADER)?;
    is_name(event)
        .then_some(event)
        .ok_or(DeliveryRefusal::HeaderInvalid {
            name: EVENT_HEADER,
            expected: "the name of an event, for instance issues",
        })
}

fn delivery(headers: &HeaderMap) -> Result<DeliveryId, DeliveryRefusal> {
    let text = required(headers, DELIVERY_HEADER)?;
    DeliveryId::new(text).map_err(|_| DeliveryRefusal::HeaderInvalid {
        name: DELIVERY_HEADER,
        expected: "a GUID of letters, digits and '-'",
    })
}

fn hook_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(HOOK_ID_HEADER)?.to_str().ok()?;
    let fits = (1..=MAX_HEADER_TEXT_BYTES).contains(&text.len());
    fits.then(|| text.to_owned())
}

/// Whether a text has the form of GitHub's event and action names: short, of letters, digits, '_'
/// and '-'.
fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=MAX_HEADER_TEXT_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

/// A header's text; a value that is not visible ASCII counts as empty, so that the caller's check
/// refuses it.
fn required<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, DeliveryRefusal> {
    let value = headers
        .get(name)
        .ok_or(DeliveryRefusal::HeaderMissing { name })?;
    Ok(value.to_str().unwrap_or_default())
}
