//! Places of one kind on one edge (streams, connections, bytes), shared out between principals.

use std::{collections::HashMap, sync::Arc};

use model::PrincipalId;
use parking_lot::Mutex;

/// A principal may have up to this many times the places that are free. Alone it gets eight ninths of all;
/// two get eight seventeenths each; and whatever others have, a newcomer finds a place. (Choudhury and Hahne,
/// "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998.)
const SHARE_OF_FREE: usize = 8;

/// The reason for which a principal gets no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoPlace {
    /// All places are taken.
    #[error("all {max} places are taken")]
    Full {
        /// The number of places.
        max: usize,
    },
    /// The principal has its share, and the other places are for others.
    #[error("this client has its share of the {max} places ({own})")]
    Share {
        /// The number of places.
        max: usize,
        /// Those of the principal.
        own: usize,
    },
}

/// The places that are taken, by principal. Without authentication all clients are one principal, which may
/// have all places.
#[derive(Debug, Default)]
pub struct PlaceShares {
    taken: usize,
    by_principal: HashMap<PrincipalId, usize>,
}

impl PlaceShares {
    /// Takes one of `max` places.
    ///
    /// # Errors
    /// No place is free, or the principal has its share.
    pub fn take(&mut self, principal: &PrincipalId, max: usize) -> Result<(), NoPlace> {
        self.take_many(principal, 1, max)
    }

    /// Takes `count` of `max` places, or none: as many calls of [`Self::take`].
    ///
    /// # Errors
    /// Not as many are free, or the principal would have more than its share.
    pub fn take_many(
        &mut self,
        principal: &PrincipalId,
        count: usize,
        max: usize,
    ) -> Result<(), NoPlace> {
        let Some(before_last) = count.checked_sub(1) else {
            return Ok(());
        };
        let own = self.by_principal.get(principal).copied().unwrap_or(0);
        let free = max.saturating_sub(self.taken);
        let Some(free) = free.checked_sub(before_last).filter(|free| *free > 0) else {
            return Err(NoPlace::Full { max });
        };
        let is_everyone = *principal == PrincipalId::anonymous();
        if !is_everyone && own + before_last >= free.saturating_mul(SHARE_OF_FREE) {
            return Err(NoPlace::Share { max, own });
        }
        self.taken += count;
        *self.by_principal.entry(principal.clone()).or_default() += count;
        Ok(())
    }

    /// Gives back a place that was taken.
    pub fn give_back(&mut self, principal: &PrincipalId) {
        self.give_back_many(principal, 1);
    }

    /// Gives back places that were taken.
    pub fn give_back_many(&mut self, principal: &PrincipalId, count: usize) {
        let Some(own) = self.by_principal.get_mut(principal) else {
            return;
        };
        *own -= count;
        self.taken -= count;
        if *own == 0 {
            self.by_principal.remove(principal);
        }
    }

    /// The places that are taken.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.taken
    }
}

/// Places whose holders give them back by being dropped.
#[derive(Debug)]
pub struct SharedPlaces {
    max: usize,
    shares: Mutex<PlaceShares>,
}

impl SharedPlaces {
    /// `max` free places.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            shares: Mutex::default(),
        })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// No place is free, or the principal has its share.
    pub fn take(self: &Arc<Self>, principal: &PrincipalId) -> Result<SharedPlace, NoPlace> {
        self.shares.lock().take(principal, self.max)?;
        Ok(SharedPlace {
            places: Arc::clone(self),
            principal: principal.clone(),
        })
    }
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub struct SharedPlace {
    places: Arc<SharedPlaces>,
    principal: PrincipalId,
}

impl Drop for SharedPlace {
    fn drop(&mut self) {
        self.places.shares.lock().give_back(&self.principal);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn principal(name: &str) -> PrincipalId {
        PrincipalId::new(name).unwrap()
    }

    /// Takes as many places as there are.
    fn take_all(places: &Arc<SharedPlaces>, name: &str) -> (Vec<SharedPlace>, NoPlace) {
        let mut taken = Vec::new();
        loop {
            match places.take(&principal(name)) {
                Ok(place) => taken.push(place),
                Err(refused) => return (taken, refused),
            }
        }
    }

    #[test]
    fn whoever_takes_all_it_can_leaves_places_to_others() {
        let places = SharedPlaces::new(900);
        let (greedy, refused) = take_all(&places, "greedy");
        assert_eq!(greedy.len(), 800);
        assert_eq!(refused, NoPlace::Share { max: 900, own: 800 });
        let (second, _) = take_all(&places, "second");
        let (third, _) = take_all(&places, "third");
        assert!(
            second.len() > 80 && third.len() > 5,
            "{} {}",
            second.len(),
            third.len()
        );
        assert!(places.take(&principal("greedy")).is_err());
        drop((second, third));
        assert_eq!(take_all(&places, "second").0.len(), 89);
        drop(greedy);
        assert_eq!(take_all(&places, "second").0.len(), 800);
        assert!(places.shares.lock().by_principal.is_empty());
    }

    #[test]
    fn many_places_are_taken_as_one_by_one() {
        for (max, others) in [(900, 0), (900, 100), (10, 3), (1, 0)] {
            for count in 0..=max {
                let shares = || {
                    let mut shares = PlaceShares::default();
                    for n in 0..others {
                        shares.take(&principal(&format!("other{n}")), max).unwrap();
                    }
                    shares
                };
                let (mut singly, mut together) = (shares(), shares());
                let one = principal("one");
                let is_possible = (0..count).all(|_| singly.take(&one, max).is_ok());
                assert_eq!(together.take_many(&one, count, max).is_ok(), is_possible);
                if is_possible {
                    assert_eq!(together.taken(), singly.taken());
                    together.give_back_many(&one, count);
                }
                assert_eq!(together.taken(), others);
            }
        }
    }

    #[test]
    fn without_authentication_all_places_are_for_everyone() {
        let places = SharedPlaces::new(3);
        let everyone = PrincipalId::anonymous();
        let taken: Vec<_> = (0..3).map(|_| places.take(&everyone).unwrap()).collect();
        assert_eq!(
            places.take(&everyone).unwrap_err(),
            NoPlace::Full { max: 3 }
        );
        drop(taken);
        assert!(places.take(&everyone).is_ok());
    }

    proptest! {
        #[test]
        fn a_newcomer_finds_a_place_while_one_is_free_and_none_is_given_twice(
            max in 1_usize..50,
            steps in prop::collection::vec((0_u8..5, any::<bool>()), 0..300),
        ) {
            let places = SharedPlaces::new(max);
            let mut held: Vec<Vec<SharedPlace>> = (0..5).map(|_| Vec::new()).collect();
            for (who, takes) in steps {
                let total: usize = held.iter().map(Vec::len).sum();
                let own = &mut held[usize::from(who)];
                if !takes {
                    own.pop();
                    continue;
                }
                match places.take(&principal(&who.to_string())) {
                    Ok(place) => own.push(place),
                    Err(NoPlace::Full { .. }) => prop_assert_eq!(total, max),
                    Err(NoPlace::Share { .. }) => prop_assert!(!own.is_empty()),
                }
                prop_assert!(held.iter().map(Vec::len).sum::<usize>() <= max);
            }
        }
    }
}
