//! What replicas tell edges and each other: that the mirror has states of which no event tells.
//!
//! A replica says so once it has stored them, and every other one once it has read them from the store: an edge may have asked
//! that one in between, and keeps the older answer until then.

use std::{collections::BTreeSet, sync::Arc};

use model::{GithubIds, PlaceName};
use parking_lot::Mutex;
use ports::{Bus, MirroredStates, SyncNews, Topic};
use tokio::{sync::Notify, time::timeout};
use tracing::debug;

use super::place_records::PlaceLabel;
use crate::{
    limits::{MAX_PLACES_OF_NEWS, NEWS_TIME},
    listed::ListedPlace,
};

/// Tells others.
#[derive(Debug)]
pub(super) struct StoredNews {
    pub(super) bus: Arc<dyn Bus>,
    /// This replica, by a number that it chose at its start.
    pub(super) replica: u64,
}

impl StoredNews {
    /// Says that this replica has newer states of a place. Who does not hear it has them later.
    pub(super) async fn tell(&self, place: &ListedPlace) {
        let news = SyncNews::Mirrored(MirroredStates {
            replica: self.replica,
            place: place.name().to_string(),
            ids: GithubIds {
                owner: Some(place.owner_id),
                repository: place.repository.as_ref().map(|known| known.id),
                resource: None,
            },
        });
        let publishing = self.bus.publish(&Topic::Broadcast, news.into(), None);
        match timeout(NEWS_TIME, publishing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "nobody is told of stored states"),
            Err(elapsed) => debug!(%elapsed, "nobody is told of stored states"),
        }
    }
}

/// The places of which other replicas have stored states.
#[derive(Debug)]
pub(crate) struct StoredElsewhere {
    /// This replica.
    replica: u64,
    places: Mutex<BTreeSet<PlaceLabel>>,
    news: Notify,
}

impl StoredElsewhere {
    /// Nothing yet.
    pub(super) fn new(replica: u64) -> Self {
        Self {
            replica,
            places: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// This replica.
    pub(super) const fn replica(&self) -> u64 {
        self.replica
    }

    /// Takes what a replica tells. Never blocks.
    pub(crate) fn note(&self, SyncNews::Mirrored(states): &SyncNews) {
        let mut places = self.places.lock();
        // What is left out here is found at the next look.
        if states.replica == self.replica || places.len() >= MAX_PLACES_OF_NEWS {
            return;
        }
        let PlaceName { owner, repo } = PlaceName::read(&states.place);
        places.insert(match repo {
            Some(repo) => PlaceLabel::repository(owner, repo),
            None => PlaceLabel::owner(owner),
        });
        drop(places);
        self.news.notify_one();
    }

    /// The next places.
    pub(super) async fn next(&self) -> BTreeSet<PlaceLabel> {
        loop {
            let places = std::mem::take(&mut *self.places.lock());
            if !places.is_empty() {
                return places;
            }
            self.news.notified().await;
        }
    }
}
