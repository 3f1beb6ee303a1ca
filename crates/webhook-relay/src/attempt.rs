//! What follows an attempt: a pause, or a line that says what became of a delivery.

use http_client::quoted;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    error::{RelayError, RelayFailure},
    ingest::{RelayOutcome, RelayedDelivery},
    pace::RelayPauses,
};

/// Waits after a failure that passes; returns one that does not.
pub(crate) async fn pause(
    failure: RelayFailure,
    pauses: &mut RelayPauses,
) -> Result<(), RelayError> {
    let (what, wait) = match failure {
        RelayFailure::Final(error) => return Err(error),
        RelayFailure::Passing { what, wait } => {
            let own = pauses.after_failure();
            (what, wait.map_or(own, |asked| asked.max(own)))
        }
        RelayFailure::Unreadable { what } => (what, pauses.after_failure()),
        RelayFailure::Limited { what, wait } => {
            let wait = match wait {
                Some(asked) => asked.max(pauses.after_failure()),
                None => pauses.after_limit(),
            };
            (format!("{what}: a rate limit"), wait)
        }
    };
    warn!(seconds = wait.as_secs_f32(), "{what}; trying again");
    sleep(wait).await;
    Ok(())
}

/// Says what became of a delivery.
pub(crate) fn report(delivery: &RelayedDelivery, outcome: &RelayOutcome) {
    let (guid, event) = (quoted(&delivery.guid), quoted(&delivery.event));
    match outcome {
        RelayOutcome::Taken => info!(delivery = %guid, event, "relayed"),
        RelayOutcome::Refused(reason) => {
            warn!(
                delivery = %guid,
                event, reason, "the ingest makes nothing of a delivery"
            );
        }
    }
}
