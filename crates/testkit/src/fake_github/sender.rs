//! Sends deliveries to the real `POST /webhooks/github`, as GitHub's hook service would.

use std::time::{Duration, Instant};

use reqwest::Url;
use serde_json::Value;

use super::delivery::Delivery;

/// Path at which the ingest role accepts deliveries.
pub const WEBHOOK_PATH: &str = "/webhooks/github";

/// GitHub gives a receiver ten seconds to answer.
const DEFAULT_TIMEOUT_SECONDS: u64 = 10;
/// Pause before the same delivery is sent again.
const RETRY_PAUSE_MILLIS: u64 = 50;

/// The receiver's answer.
#[derive(Debug, Clone)]
pub struct ReceiverAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body: parsed if it is JSON, otherwise as text.
    pub body: Value,
    /// Time from before the request until the body was read.
    pub elapsed: Duration,
    /// Number of times it was sent: 1 unless it was sent repeatedly until accepted.
    pub attempts: u32,
}

impl ReceiverAnswer {
    /// Whether the receiver took responsibility: any 2xx.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The ids of the events that the delivery produced, now or when it was first delivered.
    #[must_use]
    pub fn event_ids(&self) -> Vec<String> {
        let ids = self.body["events"].as_array().into_iter().flatten();
        ids.filter_map(|id| id.as_str().map(str::to_owned))
            .collect()
    }

    /// Whether the receiver reported that it already had this delivery.
    #[must_use]
    pub fn is_deduplicated(&self) -> bool {
        self.body["deduplicated"] == Value::Bool(true)
    }

    /// Whether the receiver reported that this delivery produces no event.
    #[must_use]
    pub fn is_skipped(&self) -> bool {
        self.body["skipped"] == Value::Bool(true)
    }
}

/// A delivery that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendDeliveryError {
    /// No connection, a reset, or no answer within the timeout. The delivery may have been stored
    /// even so.
    #[error("delivery {guid} to {url} got no answer")]
    NoAnswer {
        /// GUID of the delivery.
        guid: String,
        /// URL that it was sent to.
        url: Url,
        /// Cause.
        #[source]
        source: reqwest::Error,
    },
    /// It was sent repeatedly until the deadline and never accepted.
    #[error(
        "delivery {guid} was not accepted within {within:?} ({attempts} attempts); last: {last}"
    )]
    NotAccepted {
        /// GUID of the delivery.
        guid: String,
        /// The deadline.
        within: Duration,
        /// Number of times it was sent.
        attempts: u32,
        /// The last answer or error, as text.
        last: String,
    },
}

/// A sender with a connection pool; clones share it.
#[derive(Debug, Clone)]
pub struct WebhookSender {
    http: reqwest::Client,
    timeout: Duration,
}

impl Default for WebhookSender {
    fn default() -> Self {
        Self::new()
    }
}

impl WebhookSender {
    /// A sender that waits ten seconds for an answer, as GitHub does.
    #[must_use]
    pub fn new() -> Self {
        Self {
            http: crate::http::client(),
            timeout: Duration::from_secs(DEFAULT_TIMEOUT_SECONDS),
        }
    }

    /// A sender that waits up to `timeout` for an answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends the delivery once to `ingest`, the base URL of an ingest or of a balancer. Calling
    /// this again with the same delivery is a redelivery.
    ///
    /// # Errors
    /// No connection, or no answer within the timeout. Any HTTP status is an outcome, not an error.
    pub async fn send(
        &self,
        ingest: &Url,
        delivery: &Delivery,
    ) -> Result<ReceiverAnswer, SendDeliveryError> {
        let mut url = ingest.clone();
        url.set_path(WEBHOOK_PATH);
        let started = Instant::now();
        let request = self
            .http
            .post(url.clone())
            .headers(delivery.headers())
            .timeout(self.timeout)
            .body(delivery.body.clone());
        let answer = async {
            let response = request.send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        };
        let (status, text) = answer.await.map_err(|source| SendDeliveryError::NoAnswer {
            guid: delivery.guid.to_string(),
            url,
            source,
        })?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(ReceiverAnswer {
            status,
            body,
            elapsed: started.elapsed(),
            attempts: 1,
        })
    }

    /// Sends the delivery to the given ingests in turn until one accepts it, always with the same
    /// GUID, as an operator's redelivery does after an ingest died during a delivery.
    ///
    /// # Errors
    /// A 4xx other than 408 and 429 (retrying cannot help), or no acceptance within `within`.
    pub async fn send_until_accepted(
        &self,
        ingests: &[Url],
        delivery: &Delivery,
        within: Duration,
    ) -> Result<ReceiverAnswer, SendDeliveryError> {
        let started = Instant::now();
        let mut attempts = 0;
        let mut last = String::from("no ingest was given");
        for ingest in ingests.iter().cycle() {
            attempts += 1;
            match self.send(ingest, delivery).await {
                Ok(outcome) if outcome.is_accepted() => {
                    return Ok(ReceiverAnswer {
                        elapsed: started.elapsed(),
                        attempts,
                        ..outcome
                    });
                }
                Ok(outcome) => {
                    last = format!("{} {}", outcome.status, outcome.body);
                    if outcome.status < 500 && !matches!(outcome.status, 408 | 429) {
                        break;
                    }
                }
                Err(error) => last = error.to_string(),
            }
            if started.elapsed() >= within {
                break;
            }
            tokio::time::sleep(Duration::from_millis(RETRY_PAUSE_MILLIS)).await;
        }
        let guid = delivery.guid.to_string();
        Err(SendDeliveryError::NotAccepted {
            guid,
            within,
            attempts,
            last,
        })
    }
}
