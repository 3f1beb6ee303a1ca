//! Creation of the stream, once at the start and again whenever it is gone.
//!
//! Only a handle with [`LogConfig::creates_stream`] creates the stream or changes it; every other handle
//! waits for it.

use std::time::Duration;

use async_nats::jetstream::{
    Context,
    stream::{Config, Info},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::{
    AttemptError, SettingsChange,
    settings::{self, StreamDurability},
    stream::{StreamNames, look_up},
};
use crate::{LogConfig, NatsError, config::RETRY_PAUSE};

/// Maximum time that `open` keeps trying; a server that has just started needs a moment until
/// JetStream answers.
const SETUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval at which a handle that creates the stream checks that it is still there: the time for which
/// ingest answers 503 after an operator deleted it.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Creates the stream if this handle may and it is missing, checks what is there, and strengthens it if
/// this handle may. Returns the settings that are there then; `None` if there is no stream yet.
pub(super) async fn set_up(
    context: &Context,
    names: &StreamNames,
    log: &LogConfig,
) -> Result<Option<Config>, NatsError> {
    let deadline = Instant::now() + SETUP_TIMEOUT;
    let found = loop {
        let attempt = match log.creates_stream {
            true => find_or_create(context, names, log).await.map(Some),
            false => look_up(context, names).await,
        };
        match attempt {
            Ok(found) => break found,
            // Refused: the server would give the same answer again.
            Err(AttemptError::Final(error)) => return Err(names.refused(error)),
            Err(AttemptError::Retryable(error)) if Instant::now() >= deadline => {
                return Err(names.refused(error));
            }
            Err(AttemptError::Retryable(_)) => sleep(RETRY_PAUSE).await,
        }
    };
    let Some(found) = found else {
        let stream = &names.stream;
        info!(
            stream,
            "there is no event log yet; waiting for ingest to create its stream"
        );
        return Ok(None);
    };
    settings::check(names, &found.config)?;
    settings::warn_of_limits(names, &found.config);
    Ok(Some(compare(context, names, log, found).await))
}

async fn find_or_create(
    context: &Context,
    names: &StreamNames,
    log: &LogConfig,
) -> Result<Info, AttemptError> {
    if let Some(found) = look_up(context, names).await? {
        return Ok(found);
    }
    // Several handles may get here at once: creating the same stream twice is not an error.
    let mut config = names.config(log);
    config.allow_atomic_publish = can_take_batches(context);
    let created = context.create_stream(config).await?;
    let found = created.cached_info().clone();
    let kept = StreamDurability::found(&found.config);
    info!(stream = names.stream, %kept, "created the event log's stream");
    Ok(found)
}

/// Strengthens the stream where the configuration asks for more, if this handle may; warns of what stays
/// different. Returns the settings that are there then.
async fn compare(context: &Context, names: &StreamNames, log: &LogConfig, found: Info) -> Config {
    let (before, configured) = (
        StreamDurability::found(&found.config),
        StreamDurability::configured(log),
    );
    let stronger = before.strongest(configured.feasible(&found));
    let (mut kept, mut there) = (before, found.config);
    if log.creates_stream && stronger != before {
        let mut config = there.clone();
        stronger.apply_to(&mut config);
        match context.update_stream(config).await {
            Ok(updated) => {
                (kept, there) = (stronger, updated.config);
                info!(stream = names.stream, %before, %kept, "strengthened the event log's stream");
            }
            Err(error) => {
                warn!(stream = names.stream, %before, wanted = %stronger, %error, "the server refuses to strengthen the event log's stream; it stays as it is");
            }
        }
    }
    if kept != configured {
        warn!(
            stream = names.stream,
            %kept,
            %configured,
            "the event log's stream differs from retention.event_days and nats.replicas of this \
             process, and stays as it is; an operator applies them with `forgewire log apply`"
        );
    }
    match log.creates_stream {
        true => allow_batches(context, names, there).await,
        false => there,
    }
}

/// Makes a stream of an earlier build or server take batches. Returns its settings.
async fn allow_batches(context: &Context, names: &StreamNames, there: Config) -> Config {
    if there.allow_atomic_publish || !can_take_batches(context) {
        return there;
    }
    let config = Config {
        allow_atomic_publish: true,
        ..there.clone()
    };
    match context.update_stream(config).await {
        Ok(updated) => updated.config,
        Err(error) => {
            warn!(stream = names.stream, %error, "the server refuses to let the event log's stream take batches");
            there
        }
    }
}

/// Whether the server has atomic batch publish.
fn can_take_batches(context: &Context) -> bool {
    context.client().is_server_compatible(2, 12, 0)
}

/// Sets retention and replicas to those of the configuration.
pub(super) async fn apply(
    context: &Context,
    names: &StreamNames,
    log: &LogConfig,
) -> Result<SettingsChange, NatsError> {
    let stream = context.get_stream(&names.stream).await;
    let stream = stream.map_err(|error| names.refused(error))?;
    let found = stream.cached_info();
    let (before, configured) = (
        StreamDurability::found(&found.config),
        StreamDurability::configured(log),
    );
    if configured.feasible(found) != configured {
        return Err(names.refused("nats.replicas differs, but the server is not in a cluster"));
    }
    let mut config = found.config.clone();
    configured.apply_to(&mut config);
    let updated = context.update_stream(config).await;
    let updated = updated.map_err(|error| names.refused(error))?;
    Ok(SettingsChange {
        stream: names.stream.clone(),
        before: before.to_string(),
        after: StreamDurability::found(&updated.config).to_string(),
    })
}

/// Creates the stream again whenever it is gone. Runs until it is aborted.
pub(super) async fn keep(context: Context, names: StreamNames, log: LogConfig) {
    let mut ticks = interval(KEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        // An outage is no reason to create anything: the server has to answer that there is no stream.
        let Ok(None) = look_up(&context, &names).await else {
            continue;
        };
        match find_or_create(&context, &names, &log).await {
            // With entries it was never gone: a server that was starting did not know it yet.
            Ok(found) if found.state.last_sequence > 0 => failing = false,
            Ok(_) => {
                failing = false;
                warn!(
                    stream = names.stream,
                    "the event log's stream was gone and has been created anew: events that it had are \
                     lost, and the streams of clients end"
                );
            }
            Err(AttemptError::Retryable(error)) if !failing => {
                failing = true;
                warn!(stream = names.stream, %error, "the event log's stream is gone and cannot be created, trying again");
            }
            Err(_) => {}
        }
    }
}
