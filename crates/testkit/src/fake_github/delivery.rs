//! One webhook delivery: the bytes, the headers and the event expected from it.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use model::{DeliveryId, EventType, ResourceType};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use super::step::StoryStep;

/// The user agent of GitHub's sender; the part after the slash is a short commit hash.
const USER_AGENT: &str = "GitHub-Hookshot/7f2c1a9";

/// The event that a delivery must produce, for assertions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedEvent {
    /// The kind of resource that the event is about.
    pub resource_type: ResourceType,
    /// Its node id: the same in every webhook about the same resource.
    pub resource_id: String,
    /// GitHub's name for the action.
    pub action: &'static str,
    /// Forgewire's type of the event; `None` for a milestone that is `opened` again: GitHub's
    /// `opened` can be read as created or as reopened.
    pub event_type: Option<EventType>,
    /// Login of the owner.
    pub owner: String,
    /// Name of the repository, if the resource belongs to one and the payload names it.
    pub repo: Option<String>,
    /// Its number, if the payload has one.
    pub number: Option<u64>,
}

/// A webhook delivery as GitHub would send it. Sending it twice is a redelivery: the GUID stays the
/// same.
#[derive(Clone)]
pub struct Delivery {
    /// `X-GitHub-Delivery`.
    pub guid: DeliveryId,
    /// `X-GitHub-Event`: `issues`, `pull_request`, `milestone`, `projects_v2`,
    /// `projects_v2_item`, `ping`.
    pub event: &'static str,
    /// The JSON, byte for byte as signed.
    pub body: Bytes,
    /// `X-GitHub-Hook-ID`.
    pub hook_id: u64,
    /// The step of the story; `None` for `ping`.
    pub step: Option<StoryStep>,
    /// The event that it must produce; `None` if it must produce none (`ping`).
    pub expected: Option<ExpectedEvent>,
    pub(super) organization_id: u64,
    pub(super) signature: String,
}

impl Delivery {
    /// The headers of the request, content type included.
    ///
    /// # Panics
    /// Never: every value is visible ASCII by construction.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let fields = [
            ("accept", "*/*".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("user-agent", USER_AGENT.to_owned()),
            ("x-github-delivery", self.guid.to_string()),
            ("x-github-event", self.event.to_owned()),
            ("x-github-hook-id", self.hook_id.to_string()),
            (
                "x-github-hook-installation-target-id",
                self.organization_id.to_string(),
            ),
            (
                "x-github-hook-installation-target-type",
                "organization".to_owned(),
            ),
            ("x-hub-signature-256", self.signature.clone()),
        ];
        fields
            .into_iter()
            .map(|(name, value)| {
                let value = HeaderValue::try_from(value).expect("values are visible ASCII");
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    /// The same delivery signed with another secret: rotation, or an attacker's guess.
    #[must_use]
    pub fn signed_with(mut self, secret: &str) -> Self {
        self.signature = signature(secret, &self.body);
        self
    }

    /// The same delivery with other bytes under the old signature: what a tampering proxy would
    /// send.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = self.expected.as_ref().map_or("", |e| e.action);
        write!(
            f,
            "Delivery({}.{action} {} {} bytes)",
            self.event,
            self.guid,
            self.body.len()
        )
    }
}

/// The value of `X-Hub-Signature-256`: `sha256=` and the HMAC-SHA256 of the raw body in hex, as
/// specified in "Validating webhook deliveries" in GitHub's documentation.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    SignedPrefix::new(secret, body).signature(b"")
}

/// The beginning of bodies that begin alike: it is hashed once for all of them.
#[derive(Clone)]
pub struct SignedPrefix(Hmac<Sha256>);

impl fmt::Debug for SignedPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedPrefix")
    }
}

impl SignedPrefix {
    /// The beginning of a body.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn new(secret: &str, prefix: &[u8]) -> Self {
        let key = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
        let mut mac = key.expect("HMAC takes a key of any length");
        mac.update(prefix);
        Self(mac)
    }

    /// The signature of the body that goes on with `rest`, as [`signature`].
    ///
    /// # Panics
    /// Never: writing into a text cannot fail.
    #[must_use]
    pub fn signature(&self, rest: &[u8]) -> String {
        use fmt::Write as _;
        let mut mac = self.0.clone();
        mac.update(rest);
        let mut text = String::with_capacity("sha256=".len() + 64);
        text.push_str("sha256=");
        for byte in mac.finalize().into_bytes() {
            write!(text, "{byte:02x}").expect("writing into a String cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_githubs_own_example() {
        // Secret, payload and result are the test values given in GitHub's documentation.
        assert_eq!(
            signature("It's a Secret to Everybody", b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }
}
