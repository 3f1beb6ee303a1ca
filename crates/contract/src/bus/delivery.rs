//! BU-01 to BU-04, BU-06, BU-09, BU-10: delivery to subscribers.

use std::sync::Arc;

use anyhow::Result;
use model::{
    Epoch, GithubIds, OwnerId, PrincipalId, RepositoryId, Sequence, Sequenced, StreamId,
    SubscriptionId, TaskId, Timestamp, TraceContext,
};
use ports::{
    Bus, BusError, BusMessage, BusSubscription, DeliveryNotice, DeliveryTicket, EdgeName, EdgeNews,
    EventHint, IngestNews, ListChanges, MirroredStates, OrderedResource, StateOrder, SyncNews,
    Topic,
};

use super::subscriber::{message, next_message, next_number, send, session_id, session_topic};
use crate::{Harness, events};

fn edge_name(name: &str) -> EdgeName {
    EdgeName::new(name).expect("a name")
}

fn trace(n: u64) -> Option<TraceContext> {
    TraceContext::parse(&format!("00-{:032x}-{:016x}-{:02x}", n + 1, n + 2, n % 2))
}

pub(super) async fn what_is_published_after_subscribing_arrives_with_its_trace(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.bus().await?;
    fixture.bus.check().await?;
    for topic in [Topic::Broadcast, Topic::Deliveries, session_topic("one")] {
        // A new subscription each time: the first message must not be lost because the subscription
        // starts late.
        for n in 0..20 {
            let mut subscription = fixture.bus.subscribe(&topic).await?;
            let traced = if n % 3 == 0 { None } else { trace(n) };
            fixture.bus.publish(&topic, message(n), traced).await?;
            assert_eq!(next_message(&mut subscription).await?, (message(n), traced));
        }
    }
    Ok(())
}

pub(super) async fn every_kind_of_message_arrives_as_it_was(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.bus().await?;
    let sequenced = events(0, 12).into_iter().zip(1..);
    let hint = EventHint {
        epoch: Epoch(u64::MAX - 3),
        events: sequenced
            .map(|(item, n)| Sequenced {
                sequence: Sequence(n),
                item,
            })
            .collect(),
    };
    let news = [
        EdgeNews::SessionChanged(session_id("changed")),
        EdgeNews::SessionEnded(session_id("ended")),
        EdgeNews::StreamReplaced {
            session: session_id("taken"),
            current_tag: u64::MAX,
        },
        EdgeNews::MailboxChanged {
            session: session_id("written-to"),
            stream: StreamId::new("answer").expect("an id"),
        },
        EdgeNews::RequestCancelled {
            session: session_id("cancelled"),
            request: "\"é\"".to_owned(),
        },
        EdgeNews::MessagesDelivered {
            session: session_id("written-to"),
            through: Sequence(u64::MAX),
        },
        EdgeNews::TaskChanged {
            owner: PrincipalId::anonymous(),
            task: TaskId::new("task").expect("an id"),
        },
        EdgeNews::SubscriptionsChanged {
            owner: PrincipalId::anonymous(),
            subscription: Some(SubscriptionId::new("changed").expect("an id")),
        },
        EdgeNews::ListsChanged(ListChanges {
            prompts: true,
            ..ListChanges::default()
        }),
        EdgeNews::EdgePresent {
            edge: edge_name("one"),
            is_new: true,
            leaves: true,
        },
        EdgeNews::EdgesAsked {
            edge: edge_name("one"),
            question: u64::MAX,
            body: "{\"what\":\"é\"}".to_owned(),
        },
        EdgeNews::EdgeAnswered {
            edge: edge_name("two"),
            asker: edge_name("one"),
            question: u64::MAX,
            body: "{}".to_owned(),
        },
    ];
    let notice = DeliveryNotice {
        ingest: u64::MAX,
        resource: OrderedResource(1),
        ticket: DeliveryTicket(2),
        order: StateOrder {
            updated_at: Timestamp::from_unix_millis(1_790_000_000_000),
            made_at: 3,
        },
    };
    let finished = IngestNews::Finished {
        ingest: notice.ingest,
        resource: notice.resource,
        ticket: notice.ticket,
        stored: Some(notice.order),
    };
    let heard = IngestNews::Heard {
        ingest: notice.ingest,
        resource: notice.resource,
        ticket: notice.ticket,
        newest: None,
    };
    let news = news.map(BusMessage::Edge).into_iter();
    let of_ingests = [IngestNews::Arrived(notice), finished, heard].map(BusMessage::Ingest);
    let kinds = [BusMessage::Events(Arc::new(hint))].into_iter();
    let kinds = kinds.chain(news).chain(of_ingests).chain(of_sync());
    let mut subscription = fixture.bus.subscribe(&Topic::Broadcast).await?;
    for kind in kinds {
        fixture
            .bus
            .publish(&Topic::Broadcast, kind.clone(), trace(1))
            .await?;
        assert_eq!(next_message(&mut subscription).await?, (kind, trace(1)));
    }
    Ok(())
}

fn of_sync() -> [BusMessage; 2] {
    let of = |place: &str, repository| {
        SyncNews::Mirrored(MirroredStates {
            replica: u64::MAX,
            place: place.to_owned(),
            ids: GithubIds {
                owner: Some(OwnerId(5)),
                repository,
                resource: None,
            },
        })
    };
    [of("octo/cat", Some(RepositoryId(7))), of("octo", None)].map(BusMessage::Sync)
}

pub(super) async fn one_publishers_messages_arrive_in_order(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    const PUBLISHERS: u64 = 4;
    const MESSAGES: u64 = 100;
    let fixture = harness.bus().await?;
    for topic in [
        Topic::Broadcast,
        Topic::Deliveries,
        session_topic("ordered"),
    ] {
        let mut subscription = fixture.bus.subscribe(&topic).await?;
        // Publish no more at a time than a subscription is certain to hold: nothing may be lost
        // here.
        let burst = u64::try_from(fixture.overflow_messages)?
            .div_ceil(PUBLISHERS * 8)
            .max(1);
        let mut expected = [0; PUBLISHERS as usize];
        while expected[0] < MESSAGES {
            let from = expected[0];
            let publishers: Vec<_> = (0..PUBLISHERS)
                .map(|publisher| {
                    let (bus, topic) = (Arc::clone(&fixture.bus), topic.clone());
                    tokio::spawn(async move {
                        for n in from..from + burst {
                            send(&*bus, &topic, publisher * 1_000_000 + n).await?;
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            for _ in 0..PUBLISHERS * burst {
                let number = next_number(&mut subscription).await?;
                let publisher = usize::try_from(number / 1_000_000)?;
                assert_eq!(
                    number % 1_000_000,
                    expected[publisher],
                    "of publisher {publisher}"
                );
                expected[publisher] += 1;
            }
            for publisher in publishers {
                publisher.await??;
            }
        }
    }
    Ok(())
}

/// Checks that the subscriber gets exactly these numbers, and nothing before them.
async fn expect_numbers(subscription: &mut BusSubscription, numbers: &[u64]) -> Result<()> {
    for number in numbers {
        assert_eq!(next_number(subscription).await?, *number);
    }
    Ok(())
}

pub(super) async fn a_topic_gets_nothing_of_another(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.bus().await?;
    let bus = &*fixture.bus;
    let (one, other) = (session_topic("one"), session_topic("one-more"));
    let mut broadcast = bus.subscribe(&Topic::Broadcast).await?;
    let (mut of_one, mut of_other) = (bus.subscribe(&one).await?, bus.subscribe(&other).await?);
    for round in 0..10 {
        send(bus, &one, round * 10 + 1).await?;
        send(bus, &other, round * 10 + 2).await?;
        send(bus, &session_topic("nobody"), round * 10 + 3).await?;
        send(bus, &Topic::Broadcast, round * 10 + 4).await?;
        expect_numbers(&mut of_one, &[round * 10 + 1]).await?;
        expect_numbers(&mut of_other, &[round * 10 + 2]).await?;
        expect_numbers(&mut broadcast, &[round * 10 + 4]).await?;
    }
    Ok(())
}

pub(super) async fn all_sessions_are_every_session_and_no_broadcast(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.bus().await?;
    let bus = &*fixture.bus;
    let mut all = bus.subscribe(&Topic::AllSessions).await?;
    let mut one = bus.subscribe(&session_topic("one")).await?;
    for n in 0..5 {
        send(bus, &Topic::Broadcast, 100 + n).await?;
        send(bus, &session_topic("one"), 200 + n).await?;
        send(bus, &session_topic("two"), 300 + n).await?;
        expect_numbers(&mut all, &[200 + n, 300 + n]).await?;
        expect_numbers(&mut one, &[200 + n]).await?;
    }
    Ok(())
}

pub(super) async fn every_subscriber_gets_every_message(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.bus().await?;
    for topic in [Topic::Broadcast, session_topic("many")] {
        let mut subscriptions = Vec::new();
        for _ in 0..10 {
            subscriptions.push(fixture.bus.subscribe(&topic).await?);
        }
        for n in 0..10 {
            send(&*fixture.bus, &topic, n).await?;
            for subscription in &mut subscriptions {
                expect_numbers(subscription, &[n]).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn dropping_ends_it_and_publishing_to_nobody_is_fine(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.bus().await?;
    let bus = &*fixture.bus;
    for topic in [Topic::Broadcast, session_topic("left")] {
        send(bus, &topic, 1).await?;
        let mut stays = bus.subscribe(&topic).await?;
        for n in 0..20 {
            let leaves = bus.subscribe(&topic).await?;
            drop(leaves);
            send(bus, &topic, n).await?;
            expect_numbers(&mut stays, &[n]).await?;
        }
        drop(stays);
        send(bus, &topic, 2).await?;
        // Messages published without a subscriber are gone: a bus is not a store.
        let mut late = bus.subscribe(&topic).await?;
        send(bus, &topic, 3).await?;
        expect_numbers(&mut late, &[3]).await?;
    }
    Ok(())
}

pub(super) async fn another_handles_messages_arrive(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.bus().await?;
    let peer = fixture.handles.peer().await?;
    for topic in [Topic::Broadcast, session_topic("shared")] {
        for n in 0..10 {
            // Publish at the other handle immediately after subscribing: `subscribe` returns once
            // the subscription is active.
            let mut here = fixture.bus.subscribe(&topic).await?;
            let mut there = peer.subscribe(&topic).await?;
            peer.publish(&topic, message(n), trace(n)).await?;
            assert_eq!(next_message(&mut here).await?, (message(n), trace(n)));
            assert_eq!(next_message(&mut there).await?, (message(n), trace(n)));
        }
    }
    Ok(())
}

pub(super) async fn publishing_to_all_sessions_is_refused(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.bus().await?;
    let bus: &dyn Bus = &*fixture.bus;
    let mut all = bus.subscribe(&Topic::AllSessions).await?;
    let refused = bus.publish(&Topic::AllSessions, message(1), None).await;
    assert!(matches!(refused, Err(BusError::NoSuchTopic)), "{refused:?}");
    send(bus, &session_topic("one"), 2).await?;
    expect_numbers(&mut all, &[2]).await
}
