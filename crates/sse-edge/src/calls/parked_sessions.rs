//! The calls of sessions that wait on this edge. Their clients may disconnect and come back, so that no connection has
//! them; one task looks after all of them.

use std::{
    fmt,
    future::ready,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use mcp_server::item_queue::{QueueReceiver, QueueSender, item_queue};

use super::{
    parked::{ParkedCall, WorkEnd},
    record::{CallRecorder, CallWriter, RecordedCall},
};
use crate::{
    limits::{ABSENT_CLIENT_WAIT, CALL_REFRESH, MAX_CALLS, PARKED_CHECK_INTERVAL},
    session::SessionLife,
    wake_wheel::{WakeWheel, WheelPlace, WheelTick},
};

/// The way of a call to where it waits.
#[derive(Debug, Clone)]
pub(crate) struct ParkedSessions {
    queue: QueueSender<Box<ParkedSession>>,
    wheel: Arc<WakeWheel>,
}

/// The calls on their way, for [`look_after`].
#[derive(Debug)]
pub(crate) struct ParkedQueue(QueueReceiver<Box<ParkedSession>>);

/// A call of a session that waits, and the writer of its stream.
pub(super) struct ParkedSession {
    writer: Box<CallWriter>,
    call: Box<ParkedCall>,
    session: SessionLife,
    reports_at: WheelTick,
    refreshes_at: WheelTick,
    absence: ClientAbsence,
    wheel: Arc<WakeWheel>,
    place: WheelPlace,
}

/// Until when a call waits for its client, once that has gone.
#[derive(Debug, Default)]
struct ClientAbsence(Option<WheelTick>);

impl ClientAbsence {
    fn note(&mut self, is_left: bool, wheel: &WakeWheel) {
        let until = || wheel.after(ABSENT_CLIENT_WAIT);
        self.0 = is_left.then(|| self.0.unwrap_or_else(until));
    }

    fn is_long(&self, wheel: &WakeWheel) -> bool {
        self.0.is_some_and(|until| wheel.now() >= until)
    }
}

impl fmt::Debug for ParkedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParkedSession").field(&self.call).finish()
    }
}

/// The reason why a call is taken out of where it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartingReason {
    /// The call is made again.
    Due,
    /// What the stores have of it becomes old.
    Refresh,
    /// Its client has gone and not come back.
    Absence,
    /// The lease of this edge is another one.
    Lease,
    /// The edge stops.
    Drain,
}

impl ParkedSessions {
    pub(crate) fn new(wheel: &Arc<WakeWheel>) -> (Self, ParkedQueue) {
        // Each of them has a place among the running calls.
        let (queue, parked) = item_queue(MAX_CALLS);
        let wheel = Arc::clone(wheel);
        (Self { queue, wheel }, ParkedQueue(parked))
    }

    /// Lets a call wait, with the writer of its stream. Its client is told that at once.
    pub(super) fn park(
        &self,
        writer: Box<CallWriter>,
        call: Box<ParkedCall>,
        session: SessionLife,
    ) {
        let mut parked = Box::new(ParkedSession {
            writer,
            call,
            session,
            reports_at: self.wheel.after(PARKED_CHECK_INTERVAL),
            refreshes_at: self.wheel.after(CALL_REFRESH),
            absence: ClientAbsence::default(),
            wheel: Arc::clone(&self.wheel),
            place: WheelPlace::default(),
        });
        parked.report();
        // Refused only when the process stops.
        let _ = self.queue.try_send(parked);
    }
}

impl ParkedSession {
    fn report(&mut self) {
        self.writer.report(|| self.call.progress());
        self.absence.note(self.writer.is_left(), &self.wheel);
    }

    fn poll_parting(&mut self, cx: &mut Context<'_>) -> Poll<PartingReason> {
        loop {
            // Also whether its token still holds.
            if self.call.poll_due(cx).is_ready() {
                return Poll::Ready(PartingReason::Due);
            }
            let ends_at = self.wheel.tick_at(self.call.ends_at());
            let wakes_at = ends_at.min(self.reports_at).min(self.refreshes_at);
            if !self.place.poll(&self.wheel, wakes_at, cx) {
                return Poll::Pending;
            }
            if self.wheel.now() >= self.refreshes_at {
                return Poll::Ready(PartingReason::Refresh);
            }
            if self.wheel.now() >= self.reports_at {
                self.reports_at = self.wheel.after(PARKED_CHECK_INTERVAL);
                self.report();
                if self.absence.is_long(&self.wheel) {
                    return Poll::Ready(PartingReason::Absence);
                }
            }
        }
    }
}

/// A call until it is taken out.
struct Parting(Option<Box<ParkedSession>>);

impl Future for Parting {
    type Output = (Box<ParkedSession>, PartingReason);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let parked = self.0.as_mut().expect("a call is taken out once");
        let Poll::Ready(why) = parked.poll_parting(cx) else {
            return Poll::Pending;
        };
        let parked = self.0.take().expect("it was there");
        Poll::Ready((parked, why))
    }
}

/// Looks after the calls that wait, until the process stops. When the edge drains, each of them goes on elsewhere or has
/// its answer.
pub(crate) async fn look_after(ParkedQueue(mut queue): ParkedQueue, recorder: CallRecorder) {
    let (draining, closed) = (recorder.background.draining(), recorder.background.closed());
    let mut names = recorder.calls.edge_lease.names();
    let mut waiting = FuturesUnordered::<Parting>::new();
    let mut is_draining = false;
    let all_go_on = |waiting: &mut FuturesUnordered<Parting>, why| {
        let all = std::mem::take(waiting).into_iter();
        all.filter_map(|parting| parting.0)
            .for_each(|parked| go_on(&recorder, parked, why));
    };
    loop {
        tokio::select! {
            biased;
            () = closed.cancelled() => return,
            () = draining.cancelled(), if !is_draining => {
                is_draining = true;
                all_go_on(&mut waiting, PartingReason::Drain);
            }
            Ok(()) = names.changed() => all_go_on(&mut waiting, PartingReason::Lease),
            Some(parked) = queue.recv() => match is_draining {
                true => go_on(&recorder, parked, PartingReason::Drain),
                false => waiting.push(Parting(Some(parked))),
            },
            Some((parked, why)) = waiting.next(), if !waiting.is_empty() => {
                go_on(&recorder, parked, why);
            }
        }
    }
}

/// Goes on with a call, in turns of the account of its client.
fn go_on(recorder: &CallRecorder, parked: Box<ParkedSession>, why: PartingReason) {
    let (account, line) = (parked.call.account.clone(), parked.call.line);
    let going = part(recorder.clone(), parked, why);
    recorder
        .background
        .start_again(account.as_ref(), line, going);
}

async fn part(recorder: CallRecorder, parked: Box<ParkedSession>, why: PartingReason) {
    let ParkedSession {
        mut writer,
        call,
        session,
        ..
    } = *parked;
    match why {
        PartingReason::Due => {}
        PartingReason::Refresh => writer.refresh(session).await,
        PartingReason::Lease if !writer.claim_again().await => return,
        PartingReason::Lease => {}
        PartingReason::Drain if call.reports() && writer.hand_over().await => return,
        PartingReason::Absence if writer.hand_over().await => return,
        PartingReason::Drain | PartingReason::Absence => {}
    }
    let (request, rights) = (call.request.clone(), call.rights.clone());
    let (work, messages) = match why {
        PartingReason::Due | PartingReason::Drain => call.again(),
        // It waits on, as soon as the stores have what another edge needs.
        PartingReason::Refresh | PartingReason::Lease | PartingReason::Absence => {
            (Box::pin(ready(WorkEnd::Waits(call))) as _, item_queue(1).1)
        }
    };
    let name = Arc::clone(writer.name());
    let call = RecordedCall {
        recorder,
        name,
        session,
        request,
        rights,
        messages,
        work,
    };
    Box::pin(writer.run(Box::new(call))).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::keeping::StreamKeeper;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_gone_is_waited_for_and_not_for_ever() {
        let wheel = WakeWheel::new();
        let mut absence = ClientAbsence::default();
        let mut after = async |time, is_left| {
            tokio::time::advance(time).await;
            wheel.turn();
            absence.note(is_left, &wheel);
            absence.is_long(&wheel)
        };
        let nearly = ABSENT_CLIENT_WAIT - PARKED_CHECK_INTERVAL;
        assert!(!after(PARKED_CHECK_INTERVAL, true).await);
        assert!(!after(nearly, true).await);
        assert!(!after(nearly, false).await, "it was there");
        assert!(!after(PARKED_CHECK_INTERVAL, true).await);
        assert!(!after(nearly, true).await);
        assert!(after(PARKED_CHECK_INTERVAL, true).await);
    }

    /// Ten thousand of them are ten thousand times this, and what they point to.
    #[test]
    fn what_is_left_of_a_call_of_a_session_is_small() {
        let sizes = [
            size_of::<ParkedCall>(),
            size_of::<ParkedSession>(),
            size_of::<CallWriter>(),
            size_of::<StreamKeeper>(),
        ];
        assert!(
            sizes
                .iter()
                .zip([176, 112, 256, 160])
                .all(|(size, most)| *size <= most),
            "{sizes:?}"
        );
    }
}
