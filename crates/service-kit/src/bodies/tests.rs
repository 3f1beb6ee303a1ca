use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, header};
use tokio::{task::JoinHandle, time::advance};

use super::*;
use crate::limits::{BODY_STALL_TIMEOUT, MIN_BODY_BYTES};

const MIB: usize = 1 << 20;

const BOUNDS: BodyBounds = BodyBounds {
    max_bytes: 25 * MIB,
    min_bytes: MIN_BODY_BYTES,
    timeout: Duration::from_secs(10),
};

fn budget() -> Arc<BodyBudget> {
    BodyBudget::new(&mut MetricsRegistry::default())
}

fn address(n: u8) -> BodySender {
    BodySender::Address([192, 0, 2, n].into())
}

fn principal(name: &str) -> BodySender {
    BodySender::Principal(PrincipalId::new(name).unwrap())
}

/// A body in pieces of 16 KiB, as hyper reads them; `ends` is false for one that holds back its end.
fn body(bytes: usize, ends: bool) -> Body {
    let piece = Bytes::from(vec![b' '; 16 << 10]);
    let sizes = (0..bytes)
        .step_by(piece.len())
        .map(move |at| piece.len().min(bytes - at));
    let pieces: Vec<Result<Bytes, std::io::Error>> = {
        let piece = Bytes::from(vec![b' '; 16 << 10]);
        sizes.map(|size| Ok(piece.slice(..size))).collect()
    };
    let pieces = stream::iter(pieces);
    match ends {
        true => Body::from_stream(pieces),
        false => Body::from_stream(pieces.chain(stream::pending())),
    }
}

fn announcing(bytes: usize) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_LENGTH, bytes.into())])
}

/// Reads a body whose last byte does not come.
fn withhold(
    budget: &Arc<BodyBudget>,
    sender: BodySender,
    bytes: usize,
) -> JoinHandle<Result<HeldBody, BodyRefusal>> {
    let budget = Arc::clone(budget);
    tokio::spawn(async move {
        let body = body(bytes - 1, false);
        budget.read(&announcing(bytes), body, sender, &BOUNDS).await
    })
}

async fn read(
    budget: &Arc<BodyBudget>,
    sender: BodySender,
    bytes: usize,
) -> Result<HeldBody, BodyRefusal> {
    let body = body(bytes, true);
    budget.read(&announcing(bytes), body, sender, &BOUNDS).await
}

/// Lets all tasks run as far as they can without time.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_holds_what_it_has_and_gives_it_back_with_its_share() {
    let budget = budget();
    let held = read(&budget, address(1), 3 * MIB).await.unwrap();
    assert_eq!((held.bytes.len(), budget.held_bytes()), (3 * MIB, 3 * MIB));
    let small = read(&budget, address(1), 10).await.unwrap();
    assert_eq!(budget.held_bytes(), 3 * MIB + MIN_BODY_BYTES);
    drop((held, small));
    assert_eq!(budget.held_bytes(), 0);
    // Nothing is reserved by a header alone.
    let reading = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move {
            let (headers, body) = (announcing(25 * MIB), body(1, false));
            budget.read(&headers, body, address(1), &BOUNDS).await
        }
    });
    settle().await;
    assert_eq!(budget.held_bytes(), MIN_BODY_BYTES);
    reading.abort();
    settle().await;
    assert_eq!(
        budget.held_bytes(),
        0,
        "a reader that is gone holds nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn four_hundred_withheld_bodies_stay_within_the_budget() {
    let budget = budget();
    let large = BODY_BUDGET_BYTES - SMALL_BODIES_BYTES;
    let mut withheld = Vec::new();
    for _ in 0..400 {
        withheld.push(withhold(&budget, address(1), 4 * MIB));
        settle().await;
        assert!(budget.held_bytes() <= BODY_BUDGET_BYTES);
    }
    assert!(
        budget.held_bytes() > large - 4 * MIB,
        "{}",
        budget.held_bytes()
    );
    // An honest small body has its part, and an honest large one the room of those that have stalled.
    read(&budget, address(1), 30_000).await.unwrap();
    advance(BODY_STALL_TIMEOUT).await;
    read(&budget, address(1), 4 * MIB).await.unwrap();
    assert!(budget.held_bytes() <= BODY_BUDGET_BYTES);
    for one in withheld {
        let refused = one.await.unwrap().unwrap_err();
        assert!(
            matches!(
                refused,
                BodyRefusal::Stalled | BodyRefusal::Full | BodyRefusal::TooSlow
            ),
            "{refused}"
        );
    }
    assert_eq!(budget.held_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn large_bodies_never_take_the_part_of_small_ones() {
    let budget = budget();
    let mut held = Vec::new();
    while let Ok(one) = read(&budget, address(1), 8 * MIB).await {
        held.push(one);
    }
    assert_eq!(
        held.len(),
        (BODY_BUDGET_BYTES - SMALL_BODIES_BYTES) / (8 * MIB)
    );
    let mut small = Vec::new();
    while let Ok(one) = read(&budget, address(1), SMALL_BODY_BYTES).await {
        small.push(one);
    }
    assert_eq!(small.len(), SMALL_BODIES_BYTES / SMALL_BODY_BYTES);
    assert_eq!(budget.held_bytes(), BODY_BUDGET_BYTES);
}

#[tokio::test(start_paused = true)]
async fn the_body_that_has_stalled_for_longest_is_given_up_for_a_new_one() {
    let budget = budget();
    let mut withheld = Vec::new();
    for _ in 0..7 {
        withheld.push(withhold(&budget, address(1), 25 * MIB));
        settle().await;
        advance(Duration::from_millis(100)).await;
    }
    // None has stalled yet, so the new one waits for the first to do so.
    let honest = read(&budget, address(1), 25 * MIB).await.unwrap();
    let first = withheld.remove(0).await.unwrap().unwrap_err();
    assert_eq!(first, BodyRefusal::Stalled);
    assert!(withheld.iter().all(|other| !other.is_finished()));
    drop(honest);
}

#[tokio::test(start_paused = true)]
async fn a_sender_has_everything_until_another_one_wants_its_share() {
    let budget = budget();
    // They all make progress: a step every half second.
    let slow = |bytes: usize| {
        let piece = Bytes::from(vec![b' '; 64 << 10]);
        let burst = stream::iter((0..bytes / piece.len()).map({
            let piece = piece.clone();
            move |_| Ok::<_, std::io::Error>(piece.clone())
        }));
        let rest = stream::unfold(piece, |piece| async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Some((Ok(piece.clone()), piece))
        });
        Body::from_stream(burst.chain(rest))
    };
    let greedy: Vec<_> = (0..8)
        .map(|_| {
            let (budget, body) = (Arc::clone(&budget), slow(23 * MIB));
            let sender = address(1);
            tokio::spawn(async move {
                let headers = announcing(25 * MIB);
                budget.read(&headers, body, sender, &BOUNDS).await
            })
        })
        .collect();
    settle().await;
    assert!(budget.held_bytes() > 170 * MIB, "{}", budget.held_bytes());
    let mut others = Vec::new();
    for n in 2..5 {
        others.push(read(&budget, address(n), 25 * MIB).await.unwrap());
    }
    let ended: Vec<_> = greedy.iter().filter(|one| one.is_finished()).collect();
    assert!((1..=4).contains(&ended.len()), "{}", ended.len());
    for one in greedy {
        one.abort();
        if let Some(Ok(Err(refusal))) = one.now_or_never() {
            assert_eq!(refusal, BodyRefusal::Share);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_principal_holds_up_to_half_also_with_bodies_that_have_arrived() {
    let budget = budget();
    let mut held = Vec::new();
    let refused = loop {
        match read(&budget, principal("greedy"), 4 * MIB).await {
            Ok(one) => held.push(one),
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused, held.len()), (BodyRefusal::Share, 32));
    read(&budget, principal("other"), 4 * MIB).await.unwrap();
    // An address may be that of a proxy.
    read(&budget, address(1), 25 * MIB).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_large_body_that_trickles_is_given_up_and_a_small_one_has_its_time() {
    let budget = budget();
    let trickle = |first: usize| {
        let rest = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        });
        let first = stream::iter([Ok(Bytes::from(vec![b' '; first]))]);
        Body::from_stream(first.chain(rest))
    };
    let read = async |first: usize| {
        let (began, headers) = (Instant::now(), HeaderMap::new());
        let body = trickle(first);
        let read = budget.read(&headers, body, address(1), &BOUNDS).await;
        (read.unwrap_err(), began.elapsed().as_secs())
    };
    let seconds = BODY_STEP_TIMEOUT.as_secs();
    assert_eq!(read(MIB).await, (BodyRefusal::TooSlow, seconds));
    let (refused, _) = read(100).await;
    assert_eq!(refused, BodyRefusal::TimedOut { seconds: 10 });
    assert_eq!(budget.held_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_finds_no_room_for_a_while_is_refused() {
    let budget = budget();
    let mut held = Vec::new();
    for _ in 0..7 {
        held.push(read(&budget, address(1), 25 * MIB).await.unwrap());
    }
    let refused = read(&budget, address(1), 25 * MIB).await.unwrap_err();
    assert_eq!(refused, BodyRefusal::Full);
    // Room that comes in time is taken.
    let mut waiting = Box::pin(async {
        let _going = withhold(&budget, address(1), 8 * MIB);
        settle().await;
        read(&budget, address(1), 24 * MIB).await
    });
    assert!(futures_util::poll!(&mut waiting).is_pending());
    settle().await;
    held.pop();
    waiting.await.unwrap();
}

/// Strangers whose bodies wait for room hold what they have so far.
#[tokio::test(start_paused = true)]
async fn a_small_body_takes_the_room_of_a_large_one_that_waits() {
    let budget = budget();
    let mut held = Vec::new();
    while let Ok(one) = read(&budget, address(1), 8 * MIB).await {
        held.push(one);
    }
    let waiting: Vec<_> = (0..SMALL_BODIES_BYTES / SMALL_BODY_BYTES)
        .map(|_| withhold(&budget, address(1), 8 * MIB))
        .collect();
    settle().await;
    assert_eq!(budget.held_bytes(), BODY_BUDGET_BYTES);
    read(&budget, address(1), 30_000).await.unwrap();
    settle().await;
    let ended = waiting.iter().filter(|one| one.is_finished()).count();
    assert_eq!(ended, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_counted_by_its_reason() {
    let mut registry = MetricsRegistry::default();
    let budget = BodyBudget::new(&mut registry);
    let mut held = Vec::new();
    while let Ok(one) = read(&budget, address(1), 25 * MIB).await {
        held.push(one);
    }
    let text = crate::metrics::encode(&registry).unwrap();
    let bytes = 7 * 25 * MIB;
    for line in [
        format!("forgewire_body_bytes{{size=\"large\"}} {bytes}"),
        "forgewire_body_bytes{size=\"small\"} 0".to_owned(),
        "forgewire_bodies_given_up_total{reason=\"full\"} 1".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is missing in {text}");
    }
}

#[test]
fn an_address_of_ipv6_is_its_network_and_one_of_ipv4_itself() {
    let of = |text: &str| {
        let mut extensions = http::Extensions::new();
        extensions.insert(RemoteAddr(text.parse().unwrap()));
        BodySender::of_address(&extensions)
    };
    assert_eq!(of("[2001:db8::1]:80"), of("[2001:db8::ffff:2]:81"));
    assert_ne!(of("[2001:db8::1]:80"), of("[2001:db8:0:1::1]:80"));
    assert_eq!(of("[::ffff:192.0.2.1]:80"), of("192.0.2.1:81"));
    assert_ne!(of("192.0.2.1:80"), of("192.0.2.2:80"));
    assert_eq!(
        BodySender::of_address(&http::Extensions::new()),
        BodySender::Unknown
    );
}
