//! Comparisons that somebody asked for, ahead of their turn.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{comparer::Comparer, place_records::PlaceLabel};
use crate::reader::CompareRequests;

/// The places that are to be compared at once.
#[derive(Debug, Default)]
pub(super) struct AskedComparisons {
    places: Mutex<BTreeSet<PlaceLabel>>,
    news: Notify,
}

impl AskedComparisons {
    /// Asks for places.
    pub(super) fn ask(&self, labels: impl IntoIterator<Item = PlaceLabel>) {
        self.places.lock().extend(labels);
        self.news.notify_one();
    }

    pub(super) fn has(&self, label: &PlaceLabel) -> bool {
        self.places.lock().contains(label)
    }

    /// A place is being compared; whether somebody has asked for it.
    pub(super) fn take(&self, label: &PlaceLabel) -> bool {
        self.places.lock().remove(label)
    }

    /// Waits until somebody asks.
    pub(super) async fn wait(&self) {
        self.news.notified().await;
    }
}

/// Where callers ask.
#[derive(Debug)]
pub(super) struct AskedHere {
    pub(super) asked: Arc<AskedComparisons>,
    pub(super) comparer: Arc<Comparer>,
}

impl CompareRequests for AskedHere {
    fn compare_now(&self, place: Option<&str>) -> bool {
        let place = place.map(str::to_ascii_lowercase);
        let labels = self.comparer.labels.lock().clone();
        let is_meant = |label: &PlaceLabel| match &place {
            None => true,
            Some(place) => label.as_str() == place || label.parts().0 == place,
        };
        let meant: Vec<_> = labels.into_iter().filter(is_meant).collect();
        let has_some = !meant.is_empty();
        self.asked.ask(meant);
        has_some
    }
}
