//! BU-05, BU-07, BU-08: overflow, lost connections, foreign bytes.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::StreamExt;
use ports::{BusEvent, BusSubscription, Topic};
use tokio::time::Instant;

use super::subscriber::{next, next_number, number, send, session_topic};
use crate::{BusFixture, Harness};

/// Maximum time for a connection to be re-established.
const RECONNECT_DEADLINE: Duration = Duration::from_secs(20);
/// The number of the message that ends a series.
const LAST: u64 = u64::MAX;
/// Long bytes that are not a message in any version.
const ZEROS: [u8; 5000] = [0; 5000];
/// Bus message 1 in protobuf with field 15: of an owner that only a newer build knows.
const NEWER_OWNER: &[u8] = b"\x08\x01\x7a\x02\x08\x01";
/// Bus message 1 in protobuf with field 15 in the edge's field 3: edge news that only a newer build
/// knows.
const NEWER_NEWS: &[u8] = b"\x08\x01\x1a\x04\x7a\x02\x08\x01";

/// Reads up to [`LAST`]: numbers rise by one, except across a gap. Returns the number of gaps.
async fn holes_are_gaps(subscription: &mut BusSubscription) -> Result<usize> {
    let (mut expected, mut gaps, mut gap_here) = (0, 0, false);
    loop {
        match next(subscription).await? {
            BusEvent::Gap => (gaps, gap_here) = (gaps + 1, true),
            BusEvent::Message(message, _) => {
                let number = number(&message)?;
                if number == LAST {
                    return Ok(gaps);
                }
                let in_order = number == expected || (gap_here && number > expected);
                assert!(
                    in_order,
                    "{number} in place of {expected}, and no gap between"
                );
                (expected, gap_here) = (number + 1, false);
            }
        }
    }
}

pub(super) async fn who_does_not_read_gets_a_gap_and_stops_nobody(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.bus().await?;
    let bus = &*fixture.bus;
    let count = u64::try_from(fixture.overflow_messages)? * 2;
    for topic in [Topic::Broadcast, session_topic("slow")] {
        let mut slow = bus.subscribe(&topic).await?;
        let mut quick = bus.subscribe(&topic).await?;
        for n in 0..count {
            send(bus, &topic, n).await?;
            // Read immediately: the quick subscriber loses nothing, whatever the slow one does.
            assert_eq!(next_number(&mut quick).await?, n);
        }
        // The slow subscriber begins to read; the last message arrives once it has room again.
        let reading = tokio::spawn(async move { holes_are_gaps(&mut slow).await });
        while !reading.is_finished() {
            send(bus, &topic, LAST).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(reading.await?? >= 1, "{count} unread messages, and no gap");
    }
    Ok(())
}

/// Publishes until a message arrives after a gap, which shows that the subscription works again.
async fn gap_then_messages(
    fixture: &BusFixture,
    topic: &Topic,
    subscription: &mut BusSubscription,
) -> Result<()> {
    let deadline = Instant::now() + RECONNECT_DEADLINE;
    let mut gap = false;
    for n in 0.. {
        if Instant::now() > deadline {
            bail!(
                "{topic:?}: {}",
                if gap {
                    "no message after the gap"
                } else {
                    "no gap"
                }
            );
        }
        // Publishing may fail while the connection is down.
        let publish = fixture
            .bus
            .publish(topic, super::subscriber::message(n), None);
        let _ = tokio::time::timeout(Duration::from_secs(1), publish).await;
        let pause = Duration::from_millis(50);
        while let Ok(event) = tokio::time::timeout(pause, subscription.0.next()).await {
            match event.context("the subscription ended with the connection")? {
                BusEvent::Gap => gap = true,
                BusEvent::Message(..) if gap => return Ok(()),
                BusEvent::Message(..) => {}
            }
        }
    }
    Ok(())
}

pub(super) async fn a_lost_connection_is_a_gap_and_then_messages_again(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.bus().await?;
    let Some(cut) = &fixture.cut else {
        bail!("the adapter says `reconnecting` but its fixture has no cut");
    };
    let topics = [Topic::Broadcast, session_topic("cut"), Topic::AllSessions];
    let mut subscriptions = Vec::new();
    for topic in &topics {
        subscriptions.push(fixture.bus.subscribe(topic).await?);
    }
    for topic in &topics[..2] {
        send(&*fixture.bus, topic, 1).await?;
    }
    for subscription in &mut subscriptions {
        assert_eq!(next_number(subscription).await?, 1);
    }
    cut().await?;
    for (topic, subscription) in topics.iter().zip(&mut subscriptions) {
        let to = if *topic == Topic::AllSessions {
            &topics[1]
        } else {
            topic
        };
        gap_then_messages(&fixture, to, subscription).await?;
    }
    // A new subscription has to work as well.
    let mut fresh = fixture.bus.subscribe(&Topic::Broadcast).await?;
    send(&*fixture.bus, &Topic::Broadcast, LAST).await?;
    // A gap may still arrive before the message.
    while matches!(next(&mut fresh).await?, BusEvent::Gap) {}
    fixture.bus.check().await?;
    Ok(())
}

pub(super) async fn foreign_bytes_are_counted_and_harm_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.bus().await?;
    let Some(foreign) = &fixture.foreign else {
        bail!("the adapter says `foreign_bytes` but its fixture has no foreign");
    };
    let hostile = [&b""[..], b"\xff\xff\xff\xff", b"{\"json\":true}", &ZEROS];
    let unreadable = hostile.into_iter().chain([NEWER_OWNER, NEWER_NEWS]);
    for topic in [Topic::Broadcast, session_topic("foreign")] {
        let mut subscription = fixture.bus.subscribe(&topic).await?;
        let before = (foreign.dropped)();
        for (n, bytes) in (0..).zip(unreadable.clone()) {
            (foreign.inject)(topic.clone(), Bytes::from_static(bytes)).await?;
            // The bus's own messages may overtake bytes injected through another connection: wait
            // until those were counted.
            let deadline = Instant::now() + Duration::from_secs(10);
            while (foreign.dropped)() < before + n + 1 {
                if Instant::now() > deadline {
                    bail!("{} foreign bytes were not counted", bytes.len());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            send(&*fixture.bus, &topic, n).await?;
            assert_eq!(next_number(&mut subscription).await?, n);
        }
    }
    Ok(())
}
