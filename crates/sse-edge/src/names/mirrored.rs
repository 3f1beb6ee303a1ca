//! Asks the mirror whose the names are that no event has shown since they were granted: it knows the ids of what was there
//! before any event. See `access`, ADR 002.

use std::sync::Arc;

use access::NameDirectory;
use fanout::hub::Hub;
use model::PlaceId;
use ports::{EventLog, MirrorListing, MirrorReads};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::limits::{
    CALL_DEADLINE, MAX_NAME_MIRROR_INTERVAL, NAME_MIRROR_INTERVAL, NAME_MIRROR_PATIENCE,
};

/// Brings what the mirror knows of names into the directory of one edge.
#[derive(Debug)]
pub(crate) struct MirroredNames {
    pub(crate) hub: Arc<Hub>,
    pub(crate) mirror: Arc<dyn MirrorReads>,
    pub(crate) log: Arc<dyn EventLog>,
}

impl MirroredNames {
    fn names(&self) -> &NameDirectory {
        self.hub.names()
    }

    /// Asks for names that are not known, until `stop`.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        let endless = async {
            let (mut pause, mut asked) = (NAME_MIRROR_INTERVAL, Vec::new());
            loop {
                self.names().has_open_names().await;
                let open = self.names().open_names();
                // Names that the mirror does not know now may stay so: it is asked for them less and less often.
                pause = match open == asked {
                    true => (2 * pause).min(MAX_NAME_MIRROR_INTERVAL),
                    false => NAME_MIRROR_INTERVAL,
                };
                for some in open.chunks(MirrorListing::MAX_LIMIT) {
                    self.learn(some).await;
                }
                asked = open;
                sleep(NAME_MIRROR_INTERVAL).await;
                // A name that is granted meanwhile waits no longer than that.
                let _ = timeout(pause - NAME_MIRROR_INTERVAL, self.names().opened()).await;
            }
        };
        stop.run_until_cancelled(endless).await;
    }

    /// What cannot be learned now is asked for again. The caller of a read learns why the mirror does not answer.
    async fn learn(&self, names: &[String]) {
        let Ok(seen) = self.hub.started_position() else {
            return;
        };
        let asked = self.mirror.holders(names, Some(seen), None);
        let holders = match timeout(CALL_DEADLINE, asked).await {
            Ok(Ok(holders)) => holders,
            Ok(Err(error)) => {
                debug!(%error, "the mirror does not say who has a name");
                return;
            }
            Err(_) => return,
        };
        let named = names.iter().zip(holders);
        let known: Vec<_> = named
            .filter_map(|(name, holder)| Some((name, holder?)))
            .collect();
        if !known.is_empty() && self.has_followed_the_mirror().await {
            for (name, id) in known {
                self.learn_holder(name, id);
            }
        }
    }

    fn learn_holder(&self, name: &str, id: PlaceId) {
        if self.names().learn_holder(name, id) {
            info!(
                name,
                id = id.number(),
                "the mirror knows the id of a name: tokens that grant the name see this id"
            );
        }
    }

    /// Whether everything that the mirror had read of the log has been observed here: an event that it knows may say that
    /// the name was another one's when it was granted.
    async fn has_followed_the_mirror(&self) -> bool {
        let Ok(Ok(head)) = timeout(CALL_DEADLINE, self.log.head()).await else {
            return false;
        };
        // Last: events of another log come only after its epoch.
        self.hub.has_reached(head.last, NAME_MIRROR_PATIENCE).await
            && self.hub.epoch() == head.epoch
    }
}
