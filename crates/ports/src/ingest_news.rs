//! The messages that ingests send to each other over the bus, so that deliveries about one resource are stored in
//! GitHub's order whichever ingest has them.

use model::Timestamp;

/// A resource whose deliveries have an order, as a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct OrderedResource(pub u64);

/// A delivery among those about one resource, as a digest of its GUID and its event's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DeliveryTicket(pub u64);

/// The place of a delivery among those about one resource: the smaller one is GitHub's earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct StateOrder {
    /// The time of the state in the payload; the beginning of 1970 if it has none.
    pub updated_at: Timestamp,
    /// When GitHub made the delivery, in units of 100 ns, where its GUID tells; otherwise 0.
    pub made_at: u64,
}

/// A delivery has arrived at an ingest, and will be stored in its order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliveryNotice {
    /// The ingest, by a number that it chose at its start.
    pub ingest: u64,
    /// What it is about.
    pub resource: OrderedResource,
    /// Which delivery it is.
    pub ticket: DeliveryTicket,
    /// Its place.
    pub order: StateOrder,
}

/// What an ingest tells the others ([`Topic::Deliveries`](crate::Topic::Deliveries)). It may be lost, late or
/// duplicated: then a delivery waits longer, or is stored in another order than GitHub's, and nothing else happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IngestNews {
    /// A delivery has arrived.
    Arrived(DeliveryNotice),
    /// An ingest has heard of a delivery at another one. What it has itself that comes after it waits for it from now
    /// on, except what it had stored before.
    Heard {
        /// The ingest that heard of it.
        ingest: u64,
        /// What it is about.
        resource: OrderedResource,
        /// Which delivery it heard of.
        ticket: DeliveryTicket,
        /// The latest state that was stored before, as far as the ingest knows.
        newest: Option<StateOrder>,
    },
    /// A delivery that had arrived is stored, or was given up.
    Finished {
        /// The ingest that had it.
        ingest: u64,
        /// What it was about.
        resource: OrderedResource,
        /// Which delivery it was.
        ticket: DeliveryTicket,
        /// Its place, if it is stored.
        stored: Option<StateOrder>,
    },
}
