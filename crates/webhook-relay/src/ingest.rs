//! Posts deliveries to the ingest, as GitHub does.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_client::quoted;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::{
    client::{RelayClient, asked_pause},
    error::{RelayError, RelayFailure},
    limits::FAULT_TRIES,
    pace::{RelayPace, RelayPauses},
    secrets::RelaySecrets,
};

/// A delivery, as far as the ingest needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayedDelivery {
    pub(crate) event: String,
    pub(crate) guid: String,
    pub(crate) hook: Option<String>,
    pub(crate) payload: Bytes,
    /// GitHub's own signature of the payload, once it is checked. Without one, the relay signs.
    pub(crate) signature: Option<String>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RelayOutcome {
    /// The ingest has it.
    Taken,
    /// The ingest can make nothing of it, now or later.
    Refused(String),
}

/// What an attempt has come to.
enum PostAnswer {
    Final(RelayOutcome),
    /// A fault of the ingest, which may be about this delivery.
    Fault(String),
}

/// The ingest.
#[derive(Debug)]
pub(crate) struct LocalIngest {
    client: RelayClient,
    url: Uri,
    secrets: RelaySecrets,
    pace: RelayPace,
    /// Whether it has taken a delivery since the start, so that an ingest is known to be there.
    has_taken: bool,
}

impl LocalIngest {
    pub(crate) fn new(
        client: RelayClient,
        base: &Uri,
        secrets: RelaySecrets,
        pace: RelayPace,
    ) -> Result<Self, RelayError> {
        let url = format!("{}/webhooks/github", base.to_string().trim_end_matches('/'));
        let url = url.parse().map_err(|_| RelayError::Option {
            name: "--to",
            reason: "it is no URL".to_owned(),
        })?;
        Ok(Self {
            client,
            url,
            secrets,
            pace,
            has_taken: false,
        })
    }

    fn headers(&self, delivery: &RelayedDelivery) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).ok()?;
            headers.insert(HeaderName::from_static(name), value);
            Some(())
        };
        set("x-github-event", &delivery.event)?;
        set("x-github-delivery", &delivery.guid)?;
        match &delivery.signature {
            Some(signature) => set("x-hub-signature-256", signature)?,
            None => set("x-hub-signature-256", &self.secrets.sign(&delivery.payload))?,
        }
        if let Some(hook) = &delivery.hook {
            set("x-github-hook-id", hook)?;
        }
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        Some(headers)
    }

    /// Posts a delivery until the ingest takes or refuses it. While the ingest is away this waits, for as long as it
    /// takes: nobody sends a message of a channel again, and a delivery that is left out is lost.
    pub(crate) async fn deliver(
        &mut self,
        delivery: &RelayedDelivery,
    ) -> Result<RelayOutcome, RelayError> {
        let mut pauses = RelayPauses::new(self.pace);
        let mut is_waiting = false;
        let mut faults = 0;
        loop {
            let (what, wait) = match self.post(delivery).await {
                Ok(PostAnswer::Final(outcome)) => {
                    if is_waiting {
                        info!("the ingest answers again");
                    }
                    self.has_taken |= outcome == RelayOutcome::Taken;
                    return Ok(outcome);
                }
                Ok(PostAnswer::Fault(what)) => {
                    faults += 1;
                    if faults >= FAULT_TRIES {
                        return Ok(RelayOutcome::Refused(format!("{what}, {faults} times")));
                    }
                    (what, None)
                }
                Err(RelayFailure::Final(error)) => return Err(error),
                Err(
                    RelayFailure::Passing { what, wait } | RelayFailure::Limited { what, wait },
                ) => (what, wait),
                Err(RelayFailure::Unreadable { what }) => (what, None),
            };
            // One line for the whole wait, however long it is.
            if std::mem::replace(&mut is_waiting, true) {
                debug!("{what}");
            } else {
                warn!(
                    delivery = %quoted(&delivery.guid),
                    event = quoted(&delivery.event),
                    "{what}; waiting for the ingest"
                );
            }
            let own = pauses.after_failure();
            sleep(wait.map_or(own, |asked| asked.max(own))).await;
        }
    }

    async fn post(&self, delivery: &RelayedDelivery) -> Result<PostAnswer, RelayFailure> {
        let refused = |why: String| Ok(PostAnswer::Final(RelayOutcome::Refused(why)));
        let Some(headers) = self.headers(delivery) else {
            return refused("its headers are no text".to_owned());
        };
        let body = delivery.payload.clone();
        let answer = self.client.ask(Method::POST, &self.url, headers, body);
        let answer = answer.await?;
        let status = answer.status.as_u16();
        let passing = || RelayFailure::Passing {
            what: format!("the ingest answers {status}"),
            wait: asked_pause(&answer.headers),
        };
        match status {
            200..=299 => Ok(PostAnswer::Final(RelayOutcome::Taken)),
            401 => Err(RelayFailure::Final(RelayError::SecretRefused {
                ingest: self.url.to_string(),
            })),
            400 | 413 | 415 => {
                let text = quoted(&String::from_utf8_lossy(&answer.body));
                refused(format!("{status} {text}"))
            }
            408 | 429 | 502..=599 => Err(passing()),
            500 => Ok(PostAnswer::Fault(format!("the ingest answers {status}"))),
            _ if !self.has_taken => Err(RelayFailure::Final(RelayError::NoIngest {
                ingest: self.url.to_string(),
                status,
            })),
            // What a proxy answers while the ingest behind it is replaced.
            300..=399 | 404 | 405 => Err(passing()),
            _ => Ok(PostAnswer::Fault(format!("the ingest answers {status}"))),
        }
    }
}
