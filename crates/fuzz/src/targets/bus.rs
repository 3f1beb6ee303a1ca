//! Messages of the bus and events of the log: protobuf, one or the other.

use bytes::Bytes;
use model::{SessionId, StoredEvent};
use ports::{BusMessage, EdgeNews};
use proto::{decode_bus_message, decode_event, encode_bus_message, encode_event};

pub(crate) fn run(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(message) = decode_bus_message(bytes.clone()) {
        let written = encode_bus_message(&message);
        let again = decode_bus_message(written.clone().into()).expect("what we write we can read");
        assert_eq!(again, message);
        assert_eq!(encode_bus_message(&again), written);
        harmless(&message);
    }
    if let Ok(event) = decode_event(bytes) {
        let written = encode_event(&event);
        let again = decode_event(written.clone()).expect("what we write we can read");
        assert_eq!(again, event);
        assert_eq!(encode_event(&again), written);
        one_line(&event);
    }
}

/// No field of a message may change a subject or a frame.
fn harmless(message: &BusMessage) {
    match message {
        BusMessage::Events(hint) => hint.events.iter().for_each(|event| one_line(&event.item)),
        BusMessage::Edge(news) => harmless_news(news),
        // Numbers only.
        BusMessage::Ingest(_) => {}
        // A name is compared, and goes nowhere.
        BusMessage::Sync(_) => {}
    }
}

fn harmless_news(news: &EdgeNews) {
    match news {
        EdgeNews::SessionChanged(session)
        | EdgeNews::SessionEnded(session)
        | EdgeNews::StreamReplaced { session, .. }
        | EdgeNews::MessagesDelivered { session, .. }
        | EdgeNews::MailboxChanged { session, .. } => is_token(session),
        EdgeNews::RequestCancelled { session, request } => {
            is_token(session);
            assert!(request.len() <= 256 * 6 + 2);
        }
        EdgeNews::EdgePresent { edge, .. }
        | EdgeNews::EdgesAsked { edge, .. }
        | EdgeNews::EdgeAnswered { edge, .. } => {
            assert!(edge.as_str().bytes().all(|b| b.is_ascii_graphic()));
        }
        EdgeNews::ListsChanged(_)
        | EdgeNews::TaskChanged { .. }
        | EdgeNews::SubscriptionsChanged { .. } => {}
    }
}

fn is_token(session: &SessionId) {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    assert!(session.as_str().bytes().all(fits));
}

fn one_line(event: &StoredEvent) {
    assert!(!event.json.is_empty());
    assert!(!event.json.contains(&b'\n') && !event.json.contains(&b'\r'));
}
