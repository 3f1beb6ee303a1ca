//! Conversion of the ingests' messages between `ports` and protobuf.

use model::Timestamp;
use ports::{DeliveryNotice, DeliveryTicket, IngestNews, OrderedResource, StateOrder};
use v1::ingest_news::News;

use crate::{DecodeError, v1};

pub(crate) fn to_wire(news: &IngestNews) -> v1::IngestNews {
    let news = match news {
        IngestNews::Arrived(notice) => News::DeliveryArrived(v1::DeliveryArrived {
            ingest: notice.ingest,
            resource: notice.resource.0,
            ticket: notice.ticket.0,
            updated_at_millis: notice.order.updated_at.unix_millis(),
            made_at: notice.order.made_at,
        }),
        IngestNews::Finished {
            ingest,
            resource,
            ticket,
            stored,
        } => News::DeliveryFinished(v1::DeliveryFinished {
            ingest: *ingest,
            resource: resource.0,
            ticket: ticket.0,
            stored: stored.map(place_to_wire),
        }),
        IngestNews::Heard {
            ingest,
            resource,
            ticket,
            newest,
        } => News::DeliveryHeard(v1::DeliveryHeard {
            ingest: *ingest,
            resource: resource.0,
            ticket: ticket.0,
            newest: newest.map(place_to_wire),
        }),
    };
    v1::IngestNews { news: Some(news) }
}

pub(crate) fn from_wire(wire: v1::IngestNews) -> Result<IngestNews, DecodeError> {
    Ok(match wire.news.ok_or(DecodeError::UnknownMessage)? {
        News::DeliveryArrived(news) => IngestNews::Arrived(DeliveryNotice {
            ingest: news.ingest,
            resource: OrderedResource(news.resource),
            ticket: DeliveryTicket(news.ticket),
            order: StateOrder {
                updated_at: Timestamp::from_unix_millis(news.updated_at_millis),
                made_at: news.made_at,
            },
        }),
        News::DeliveryFinished(news) => IngestNews::Finished {
            ingest: news.ingest,
            resource: OrderedResource(news.resource),
            ticket: DeliveryTicket(news.ticket),
            stored: news.stored.map(place_from_wire),
        },
        News::DeliveryHeard(news) => IngestNews::Heard {
            ingest: news.ingest,
            resource: OrderedResource(news.resource),
            ticket: DeliveryTicket(news.ticket),
            newest: news.newest.map(place_from_wire),
        },
    })
}

fn place_to_wire(place: StateOrder) -> v1::DeliveryPlace {
    v1::DeliveryPlace {
        updated_at_millis: place.updated_at.unix_millis(),
        made_at: place.made_at,
    }
}

fn place_from_wire(place: v1::DeliveryPlace) -> StateOrder {
    StateOrder {
        updated_at: Timestamp::from_unix_millis(place.updated_at_millis),
        made_at: place.made_at,
    }
}
