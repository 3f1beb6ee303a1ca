use tokio::time::advance;

use super::*;
use crate::limits::CLIENT_STEP_BYTES;

const SHORT: Duration = Duration::from_millis(200);

fn state() -> ConnectionState {
    ConnectionState::new(SenderKey(1))
}

/// For how long the server has waited for this part, if the connection may end for it.
fn overdue(state: &ConnectionState) -> Option<(AwaitedPart, Duration)> {
    let now = Instant::now();
    let (part, since) = state.awaits(now)?;
    // Times are kept in microseconds.
    let millis = u64::try_from((now - since).as_millis()).unwrap();
    Some((part, Duration::from_millis(millis)))
}

#[tokio::test(start_paused = true)]
async fn a_body_is_awaited_only_while_the_router_wants_more_of_it() {
    let state = state();
    state.begin_answer(true);
    assert_eq!(state.phase(), RequestPhase::Reading, "not asked for yet");
    advance(UNFINISHED_REQUEST_TIMEOUT).await;
    state.await_body();
    assert_eq!(overdue(&state), None, "the router was not ready for it");
    advance(SHORT).await;
    state.await_body();
    assert_eq!(state.phase(), RequestPhase::Body);
    state.body_progress(1);
    assert_eq!(state.phase(), RequestPhase::Reading, "worked on");
    state.await_body();
    state.end_body();
    assert_eq!(state.phase(), RequestPhase::Answering);
    // As on a connection of lines, whose input goes on beside its answer.
    state.await_body();
    state.body_progress(1);
    assert_eq!(state.phase(), RequestPhase::Answering);
    state.begin_answer(false);
    state.await_body();
    assert_eq!(state.phase(), RequestPhase::Answering, "there is none");
}

#[tokio::test(start_paused = true)]
async fn a_byte_of_a_body_now_and_then_does_not_start_its_time_again() {
    let state = state();
    state.begin_answer(true);
    let drip = async |bytes: usize| {
        state.await_body();
        advance(SHORT).await;
        state.body_progress(bytes);
        // The server's own time is no fault of the client.
        advance(10 * SHORT).await;
    };
    drip(1).await;
    drip(1).await;
    state.await_body();
    assert_eq!(overdue(&state), None);
    advance(SHORT).await;
    assert_eq!(overdue(&state), Some((AwaitedPart::Body, 3 * SHORT)));
    // A client that sends at a usual rate is never overdue.
    state.body_progress(CLIENT_STEP_BYTES as usize);
    for _ in 0..20 {
        drip(CLIENT_STEP_BYTES as usize / 2).await;
        state.await_body();
        assert_eq!(overdue(&state), None);
    }
    // Nor does one body count against the next.
    drip(1).await;
    state.end_body();
    state.begin_answer(true);
    drip(1).await;
    drip(1).await;
    state.await_body();
    assert_eq!(overdue(&state), None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_is_overdue_also_if_a_little_of_it_is() {
    let state = state();
    for phase in [RequestPhase::Answering, RequestPhase::Answered] {
        state.begin_answer(false);
        state.enter(phase);
        state.written(100);
        assert_eq!(overdue(&state), None);
        state.is_full();
        advance(SHORT).await;
        state.is_full();
        advance(2 * SHORT).await;
        assert_eq!(overdue(&state), Some((AwaitedPart::Taking, 3 * SHORT)));
        state.written(100);
        assert_eq!(overdue(&state), None, "it moves");
        state.is_full();
        assert_eq!(overdue(&state), Some((AwaitedPart::Taking, 3 * SHORT)));
        state.written(CLIENT_STEP_BYTES as usize);
        state.is_full();
        assert_eq!(overdue(&state), None, "at a usual rate");
        state.written(1);
    }
}

#[tokio::test(start_paused = true)]
async fn small_answers_that_are_not_taken_count_together_until_one_is() {
    let state = state();
    let answer = async |waits: Duration| {
        state.begin_answer(false);
        state.end_answer();
        if !waits.is_zero() {
            state.is_full();
            advance(waits).await;
        }
        state.written(100);
        state.flushed();
    };
    answer(SHORT).await;
    answer(SHORT).await;
    state.begin_answer(false);
    state.end_answer();
    state.is_full();
    advance(SHORT).await;
    assert_eq!(overdue(&state), Some((AwaitedPart::Taking, 3 * SHORT)));
    state.written(100);
    state.flushed();
    answer(Duration::ZERO).await;
    state.begin_answer(false);
    state.end_answer();
    state.is_full();
    advance(SHORT).await;
    assert_eq!(overdue(&state), None, "it had caught up");
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_is_behind_is_not_overdue_until_it_has_ended() {
    let state = state();
    state.begin_answer(false);
    state.handover.carry(CarriedStream::Unmanaged);
    state.is_full();
    advance(10 * SHORT).await;
    assert_eq!(overdue(&state), None);
    state.end_answer();
    assert_eq!(overdue(&state), Some((AwaitedPart::Taking, 10 * SHORT)));
    state.written(1);
    state.flushed();
    // The next answer on the same connection is no stream.
    state.begin_answer(false);
    state.is_full();
    advance(UNFINISHED_REQUEST_TIMEOUT).await;
    assert!(overdue(&state).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_moves_after_it_was_asked_stays() {
    let state = state();
    state.begin_answer(false);
    state.end_answer();
    state.is_full();
    advance(UNFINISHED_REQUEST_TIMEOUT).await;
    assert!(state.ask_to_end(AwaitedPart::Taking));
    assert!(!state.ask_to_end(AwaitedPart::Taking), "once");
    assert_eq!(state.asked_to_end(), Some(AwaitedPart::Taking));
    state.written(CLIENT_STEP_BYTES as usize);
    assert_eq!(state.asked_to_end(), None);
    state.is_full();
    advance(UNFINISHED_REQUEST_TIMEOUT).await;
    assert_eq!(state.asked_to_end(), None, "it was let go");
}
