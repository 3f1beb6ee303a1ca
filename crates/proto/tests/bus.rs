//! Bus messages on the wire: they arrive as they were, and an older reader drops what only a newer build
//! knows.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

use std::sync::Arc;

use bytes::Bytes;
use model::{
    Epoch, EventFacts, EventId, EventOrigin, EventType, PrincipalId, ResourceId, ResourceType,
    Sequence, Sequenced, SessionId, StoredEvent, StreamId, SubscriptionId, TaskId, Timestamp,
    TraceContext,
};
use ports::{BusMessage, EdgeName, EdgeNews, EventHint, ListChanges};
use proptest::{collection::vec, option, prelude::*};
use prost::Message;
use proto::{
    DecodeError, decode_bus_message, encode_bus_message,
    v1::{self, edge_news::News},
};

fn session() -> impl Strategy<Value = SessionId> {
    "[A-Za-z0-9_-]{1,256}".prop_map(|id| SessionId::new(&id).unwrap())
}

fn edge_name() -> impl Strategy<Value = EdgeName> {
    "[!-~]{1,128}".prop_map(|name| EdgeName::new(&name).unwrap())
}

fn edge_news() -> impl Strategy<Value = EdgeNews> {
    let stream = "[A-Za-z0-9_-]{1,256}".prop_map(|id| StreamId::new(&id).unwrap());
    let owner = || "[!-~]{1,256}".prop_map(|id| PrincipalId::new(&id).unwrap());
    let task = "[A-Za-z0-9_-]{1,128}".prop_map(|id| TaskId::new(&id).unwrap());
    let lists = any::<[bool; 3]>().prop_map(|[tools, prompts, resources]| ListChanges {
        tools,
        prompts,
        resources,
    });
    prop_oneof![
        session().prop_map(EdgeNews::SessionChanged),
        session().prop_map(EdgeNews::SessionEnded),
        (session(), any::<u64>()).prop_map(|(session, current_tag)| EdgeNews::StreamReplaced {
            session,
            current_tag
        }),
        (session(), stream)
            .prop_map(|(session, stream)| EdgeNews::MailboxChanged { session, stream }),
        (session(), ".{0,300}")
            .prop_map(|(session, request)| EdgeNews::RequestCancelled { session, request }),
        lists.prop_map(EdgeNews::ListsChanged),
        (owner(), proptest::option::of("[A-Za-z0-9_-]{1,256}")).prop_map(|(owner, id)| {
            EdgeNews::SubscriptionsChanged {
                owner,
                subscription: id.map(|id| SubscriptionId::new(&id).unwrap()),
            }
        }),
        (owner(), task).prop_map(|(owner, task)| EdgeNews::TaskChanged { owner, task }),
        (session(), any::<u64>().prop_map(Sequence))
            .prop_map(|(session, through)| EdgeNews::MessagesDelivered { session, through }),
        (edge_name(), any::<[bool; 2]>()).prop_map(|(edge, [is_new, leaves])| {
            EdgeNews::EdgePresent {
                edge,
                is_new,
                leaves,
            }
        }),
        (edge_name(), any::<u64>(), ".{0,300}").prop_map(|(edge, question, body)| {
            EdgeNews::EdgesAsked {
                edge,
                question,
                body,
            }
        }),
        (edge_name(), edge_name(), any::<u64>(), ".{0,300}").prop_map(
            |(edge, asker, question, body)| EdgeNews::EdgeAnswered {
                edge,
                asker,
                question,
                body,
            }
        ),
    ]
}

prop_compose! {
    fn facts()(
        [id, resource_id] in ["[!-~]{1,256}", "[!-~]{1,256}"],
        [event_type, resource_type, source] in ["[a-z_.]{1,40}", "[a-z_]{1,40}", "[a-z]{1,40}"],
        [owner, repo, actor] in [option::of(".{0,40}"), option::of(".{0,40}"), option::of(".{0,40}")],
        number in any::<Option<u64>>(),
        action in option::of("[a-z_]{1,20}"),
        ids in any::<[Option<u64>; 3]>(),
        former in option::of(("[a-z]{1,20}", option::of("[a-z]{1,20}"))),
        tags in vec(".{0,20}", 0..4),
        [timestamp, received_at] in [0..4_000_000_000_000_i64, 0..4_000_000_000_000_i64],
    ) -> EventFacts {
        EventFacts {
            id: EventId::new(&id).unwrap(),
            event_type: EventType::open(&event_type),
            action,
            resource_type: ResourceType::open(&resource_type),
            resource_id: ResourceId::new(&resource_id).unwrap(),
            owner,
            repo,
            number,
            ids: model::GithubIds {
                owner: ids[0].map(model::OwnerId),
                repository: ids[1].map(model::RepositoryId),
                resource: ids[2],
            },
            former: former.map(|(owner, repo)| {
                Box::new(model::FormerPlace { owner: Some(owner), repo })
            }),
            actor,
            author: None,
            source: EventOrigin::open(&source),
            tags,
            timestamp: Timestamp::from_unix_millis(timestamp),
            received_at: Timestamp::from_unix_millis(received_at),
        }
    }
}

fn stored_event() -> impl Strategy<Value = StoredEvent> {
    let trace = option::of("00-[1-9a-f]{32}-[1-9a-f]{16}-0[01]");
    (facts(), "[^\\r\\n]{1,200}", trace).prop_map(|(facts, json, trace)| StoredEvent {
        facts: facts.into(),
        json: Bytes::from(json),
        trace: trace.map(|trace| TraceContext::parse(&trace).unwrap()),
    })
}

fn hint() -> impl Strategy<Value = EventHint> {
    let sequenced = (any::<u64>(), stored_event()).prop_map(|(sequence, item)| Sequenced {
        sequence: Sequence(sequence),
        item,
    });
    (any::<u64>(), vec(sequenced, 0..4)).prop_map(|(epoch, events)| EventHint {
        epoch: Epoch(epoch),
        events,
    })
}

proptest! {
    #[test]
    fn edge_news_arrive_as_they_were(news in edge_news()) {
        let message = BusMessage::from(news);
        let bytes = encode_bus_message(&message);
        prop_assert_eq!(decode_bus_message(bytes.into()).unwrap(), message);
    }

    #[test]
    fn hints_arrive_as_they_were(hint in hint()) {
        let message = BusMessage::Events(Arc::new(hint));
        let bytes = encode_bus_message(&message);
        prop_assert_eq!(decode_bus_message(bytes.into()).unwrap(), message);
    }

    #[test]
    fn foreign_bytes_are_an_error_not_a_panic(bytes: Vec<u8>) {
        let _ = decode_bus_message(bytes.into());
    }

    #[test]
    fn an_older_reader_drops_a_newer_message(
        // Of edges, ingests, sync replicas and owners to come: what is not given out yet.
        field in prop_oneof![15_u32..20, 23_u32..30, 31_u32..40, 40_u32..1000],
        content in vec(any::<u8>(), 0..200),
    ) {
        let bytes = [version(1), field_of_bytes(field, &content)].concat();
        let decoded = decode_bus_message(bytes.into());
        prop_assert!(matches!(decoded, Err(DecodeError::UnknownMessage)), "{decoded:?}");
    }

    #[test]
    fn an_older_reader_ignores_a_newer_field_of_known_news(
        id in session(),
        field in 100_u32..1000,
        content in vec(any::<u8>(), 0..200),
    ) {
        let ended = [field_of_bytes(1, id.as_str().as_bytes()), field_of_bytes(field, &content)];
        let bytes = [version(1), field_of_bytes(4, &ended.concat())].concat();
        let decoded = decode_bus_message(bytes.into()).unwrap();
        prop_assert_eq!(decoded, BusMessage::Edge(EdgeNews::SessionEnded(id)));
    }
}

/// The envelope's field `version`.
fn version(version: u32) -> Vec<u8> {
    let events = None;
    v1::BusMessage { version, events }.encode_to_vec()
}

/// A field as protobuf writes messages, strings and bytes.
fn field_of_bytes(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let wire_type = prost::encoding::WireType::LengthDelimited;
    prost::encoding::encode_key(number, wire_type, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// The bytes that every node has written since the first version. A change would make the nodes of two
/// versions deaf to each other during a rollout.
#[test]
fn the_bytes_stay_as_nodes_of_other_versions_write_them() {
    let session = SessionId::new("s").unwrap();
    let edge = |name| EdgeName::new(name).unwrap();
    let lists = ListChanges {
        tools: true,
        prompts: false,
        resources: true,
    };
    let known: [(EdgeNews, &[u8]); 13] = [
        (
            EdgeNews::SessionChanged(session.clone()),
            b"\x1a\x03\x0a\x01s",
        ),
        (
            EdgeNews::SessionEnded(session.clone()),
            b"\x22\x03\x0a\x01s",
        ),
        (
            EdgeNews::StreamReplaced {
                session: session.clone(),
                current_tag: 7,
            },
            b"\x2a\x0c\x0a\x01s\x11\x07\0\0\0\0\0\0\0",
        ),
        (
            EdgeNews::MailboxChanged {
                session: session.clone(),
                stream: StreamId::new("m").unwrap(),
            },
            b"\x32\x06\x0a\x01s\x12\x01m",
        ),
        (
            EdgeNews::RequestCancelled {
                session: session.clone(),
                request: "7".to_owned(),
            },
            b"\x3a\x06\x0a\x01s\x12\x017",
        ),
        (EdgeNews::ListsChanged(lists), b"\x42\x04\x08\x01\x18\x01"),
        (
            EdgeNews::TaskChanged {
                owner: PrincipalId::new("p").unwrap(),
                task: TaskId::new("t").unwrap(),
            },
            b"\x4a\x06\x0a\x01p\x12\x01t",
        ),
        (
            EdgeNews::MessagesDelivered {
                session,
                through: Sequence(9),
            },
            b"\x52\x0c\x0a\x01s\x11\x09\0\0\0\0\0\0\0",
        ),
        (
            EdgeNews::EdgePresent {
                edge: edge("e"),
                is_new: true,
                leaves: false,
            },
            b"\x5a\x05\x0a\x01e\x10\x01",
        ),
        (
            EdgeNews::EdgesAsked {
                edge: edge("e"),
                question: 5,
                body: "{}".to_owned(),
            },
            b"\x62\x10\x0a\x01e\x11\x05\0\0\0\0\0\0\0\x1a\x02{}",
        ),
        (
            EdgeNews::EdgeAnswered {
                edge: edge("f"),
                asker: edge("e"),
                question: 5,
                body: "{}".to_owned(),
            },
            b"\x6a\x13\x0a\x01f\x12\x01e\x19\x05\0\0\0\0\0\0\0\x22\x02{}",
        ),
        (
            EdgeNews::SubscriptionsChanged {
                owner: PrincipalId::new("p").unwrap(),
                subscription: None,
            },
            b"\x72\x03\x0a\x01p",
        ),
        (
            EdgeNews::SubscriptionsChanged {
                owner: PrincipalId::new("p").unwrap(),
                subscription: Some(SubscriptionId::new("s").unwrap()),
            },
            b"\x72\x06\x0a\x01p\x12\x01s",
        ),
    ];
    for (news, body) in known {
        let message = BusMessage::from(news);
        let bytes = [b"\x08\x01", body].concat();
        assert_eq!(encode_bus_message(&message), bytes, "{message:?}");
        assert_eq!(decode_bus_message(bytes.into()).unwrap(), message);
    }
}

#[test]
fn the_bytes_of_a_hint_stay_too() {
    let empty_hint = BusMessage::Events(Arc::new(EventHint {
        epoch: Epoch(3),
        events: Vec::new(),
    }));
    let bytes = b"\x08\x01\x12\x09\x09\x03\0\0\0\0\0\0\0".to_vec();
    assert_eq!(encode_bus_message(&empty_hint), bytes);
}

#[test]
fn a_session_id_that_would_change_a_subject_is_refused() {
    let session_id = "a.*.>".into();
    let news = Some(News::SessionEnded(v1::SessionEnded { session_id }));
    let bytes = [version(1), v1::EdgeNews { news }.encode_to_vec()].concat();
    let decoded = decode_bus_message(bytes.into());
    assert!(matches!(decoded, Err(DecodeError::Field("session_id"))));
}

#[test]
fn another_version_is_refused() {
    let decoded = decode_bus_message(version(2).into());
    assert!(matches!(decoded, Err(DecodeError::Version(2))));
}
