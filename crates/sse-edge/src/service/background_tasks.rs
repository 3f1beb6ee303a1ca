//! The tasks that run as long as an edge serves.

use std::{sync::Arc, time::Duration};

use event_flow::{
    follow::{FollowOptions, FollowStart, Followed, follow},
    health::FollowerHealth,
};
use fanout::{
    hub::Hub,
    prefill,
    wheel::{self, WheelStops},
};
use mirror_cache::cache::MirrorCache;
use ports::{Bus, BusMessage, EventLog, Topic};
use service_kit::lifecycle::{Lifecycle, OnExit};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    broadcast::answer_questions,
    calls::parked_sessions::{ParkedQueue, look_after},
    edge::Edge,
    limits::SUBSCRIPTION_PROOF,
    lockdown::Lockdown,
    names::{MirroredNames, NameKeeper},
    news::{BusRouter, beat_by_name, poll_answers, watch_sessions},
    peers::{AskedQuestions, present},
    session::{DeliveryReports, report},
    store_clock::measure,
    subscriptions::{SubscriptionWatch, keep_cursor_books, watch_subscriptions},
    tasks::watch_tasks,
};

/// What is on its way to the tasks of an edge.
pub(super) struct EdgeQueues {
    pub(super) reports: DeliveryReports,
    pub(super) questions: AskedQuestions,
    pub(super) parked: ParkedQueue,
}

/// How long ago a socket must have taken what has certainly arrived, on an edge whose kernel cuts a connection that
/// acknowledges nothing for `silent`; `None` if nothing cuts one.
pub(super) fn proof_of_arrival(silent: Option<Duration>) -> Option<Duration> {
    silent.map(|silent| silent.max(SUBSCRIPTION_PROOF))
}

/// Starts the tasks of an edge.
pub(super) struct BackgroundTasks<'a> {
    pub(super) edge: &'a Arc<Edge>,
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) closed: CancellationToken,
    pub(super) lockdown: Option<Lockdown>,
    pub(super) mirror_cache: Option<Arc<MirrorCache>>,
}

impl BackgroundTasks<'_> {
    /// Starts the watchers of sessions, tasks, subscriptions, inboxes and tokens. What a socket took `proof` ago has
    /// arrived.
    pub(super) fn watch(&self, queues: EdgeQueues, proof: Option<Duration>) -> BusRouter {
        let EdgeQueues {
            reports,
            questions,
            parked,
        } = queues;
        let (edge, lifecycle) = (self.edge, self.lifecycle);
        let (hub, closed) = (|| Arc::clone(&edge.hub), || self.closed.clone());
        // Without one of them, streams would stay open and miss things for good.
        let ends_process = OnExit::EndsProcess;
        let watching = watch_tasks(Arc::clone(&edge.tasks), hub(), closed());
        lifecycle.spawn_until_closed("edge-tasks", ends_process, watching);
        let (calls, stop) = (Arc::clone(&edge.calls), closed());
        let leasing = async move { calls.edge_lease.keep(stop).await };
        lifecycle.spawn_until_closed("edge-call-lease", ends_process, leasing);
        let (calls, stop) = (Arc::clone(&edge.calls), closed());
        let claiming = async move { calls.keep_posted_claims(stop).await };
        lifecycle.spawn_until_closed("edge-posted-claims", ends_process, claiming);
        let (calls, stop) = (Arc::clone(&edge.calls), closed());
        let looking = async move { calls.watched.run(stop).await };
        lifecycle.spawn_until_closed("edge-call-owners", ends_process, looking);
        let (wheel, stop) = (Arc::clone(&edge.wheel), closed());
        let turning = async move { wheel.run(stop).await };
        lifecycle.spawn_until_closed("edge-answer-wheel", ends_process, turning);
        let looking_after = look_after(parked, edge.call_recorder());
        lifecycle.spawn_until_closed("edge-waiting-calls", ends_process, looking_after);
        let reporting = report(Arc::clone(&edge.sessions), reports, closed());
        lifecycle.spawn_until_closed("edge-inboxes", ends_process, reporting);
        let sessions = Arc::clone(&edge.sessions);
        let (router, changes) = BusRouter::new(
            Arc::clone(&sessions),
            hub(),
            edge.posted_watch(),
            Arc::clone(&edge.tasks),
            Arc::clone(&edge.peers),
            Arc::clone(&edge.subscriptions),
        );
        let answering = answer_questions(Arc::clone(&edge.broadcasts), questions, closed());
        lifecycle.spawn_until_closed("edge-questions", ends_process, answering);
        let presence = present(Arc::clone(&edge.peers), closed());
        lifecycle.spawn_until_closed("edge-presence", ends_process, presence);
        let beating = beat_by_name(hub(), closed());
        lifecycle.spawn_until_closed("edge-named-heartbeats", ends_process, beating);
        let watching = watch_sessions(
            (sessions, hub()),
            edge.posted_watch(),
            changes,
            lifecycle.draining(),
        );
        lifecycle.spawn("edge-sessions", ends_process, watching);
        let watch = SubscriptionWatch { hub: hub(), proof };
        let following = watch_subscriptions(Arc::clone(&edge.subscriptions), watch, closed());
        lifecycle.spawn_until_closed("edge-subscriptions", ends_process, following);
        let keeping = keep_cursor_books(Arc::clone(&edge.subscriptions), closed());
        lifecycle.spawn_until_closed("edge-subscription-cursors", ends_process, keeping);
        let looking = poll_answers(hub(), closed());
        lifecycle.spawn_until_closed("edge-answers", ends_process, looking);
        let latch = lifecycle.latch("edge knows the session store's clock");
        let measuring = measure(Arc::clone(&edge.clock), latch, closed());
        lifecycle.spawn_until_closed("edge-clock", ends_process, measuring);
        edge.auth.spawn(lifecycle, closed());
        let auditing = Arc::clone(&edge.audit).run(closed());
        lifecycle.spawn_until_closed("edge-audit", ends_process, auditing);
        let revoking = end_revoked(edge.auth.revoked(), hub(), closed());
        lifecycle.spawn_until_closed("edge-revocations", ends_process, revoking);
        router
    }

    pub(super) fn follow(
        &self,
        log: Arc<dyn EventLog>,
        bus: Arc<dyn Bus>,
        router: BusRouter,
        names: NameKeeper,
        follower_health: FollowerHealth,
    ) {
        let latch = self.lifecycle.latch("edge follows the event log");
        let hub = Arc::clone(&self.edge.hub);
        let (lockdown, mirror_cache) = (self.lockdown.clone(), self.mirror_cache.clone());
        let sink = move |followed: Followed| {
            let followed = match &lockdown {
                Some(lockdown) => lockdown.followed(followed),
                None => followed,
            };
            // Later faults show in the probes.
            if matches!(followed, Followed::CaughtUp { .. }) {
                latch.ready();
                router.listens();
            }
            follower_health.note(&followed);
            // Before the streams: a client reads what it was notified of.
            if let Some(cache) = &mirror_cache {
                cache.apply(&followed);
            }
            match followed {
                Followed::Other(BusMessage::Edge(news)) => router.dispatch(news),
                // The follower itself handles hints; what ingests tell each other is on a topic of their own, and what
                // replicas of the sync role say is for the cache.
                Followed::Other(
                    BusMessage::Events(_) | BusMessage::Ingest(_) | BusMessage::Sync(_),
                ) => {}
                Followed::OtherGap => router.gap(),
                followed => hub.apply(followed),
            }
        };
        let also = Some(Topic::AllSessions);
        let (mut keeper, stop) = (names, self.closed.clone());
        let following = async move {
            let loaded = stop.run_until_cancelled(keeper.load()).await;
            let Some(position) = loaded else {
                return;
            };
            let options = FollowOptions {
                start: FollowStart::After(position),
                ..FollowOptions::default()
            };
            let following = follow(log, bus, also, options, stop.clone(), sink);
            tokio::join!(following, keeper.keep(stop));
        };
        self.lifecycle
            .spawn_until_closed("edge-follower", OnExit::EndsProcess, following);
        let filling = prefill::run(Arc::clone(&self.edge.hub), self.closed.clone());
        self.lifecycle
            .spawn_until_closed("edge-prefill", OnExit::EndsProcess, filling);
    }

    pub(super) fn learn_names(&self, names: MirroredNames) {
        let learning = names.keep(self.closed.clone());
        // Without it, a token that no event has shown would mean whoever has its names.
        self.lifecycle
            .spawn_until_closed("edge-mirrored-names", OnExit::EndsProcess, learning);
    }

    pub(super) fn run_wheel(&self, (heartbeat_seconds, drain_seconds): (u64, u64)) {
        let turning = wheel::run(
            Arc::clone(&self.edge.hub),
            Duration::from_secs(heartbeat_seconds),
            Duration::from_secs(drain_seconds),
            WheelStops {
                draining: self.lifecycle.draining(),
                stop_accepting: self.lifecycle.stop_accepting(),
            },
            // Its own: the wheel cancels it.
            self.lifecycle.closed(),
        );
        self.lifecycle
            .spawn("edge-wheel", OnExit::EndsProcess, turning);
    }
}

/// Ends streams when a token is revoked.
async fn end_revoked(mut revoked: watch::Receiver<u64>, hub: Arc<Hub>, stop: CancellationToken) {
    let endless = async {
        while revoked.changed().await.is_ok() {
            hub.end_revoked();
        }
    };
    stop.run_until_cancelled(endless).await;
}
