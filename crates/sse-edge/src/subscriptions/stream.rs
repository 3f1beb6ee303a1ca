//! Opens streams that follow subscriptions.

use std::{collections::BTreeMap, sync::Arc};

use access::Principal;
use fanout::{
    HubError,
    feed::{Feed, OpeningFrames},
    format::StreamFormat,
    hub::{Hub, StreamRequest, StreamStart},
    interest::{FollowedSubscription, StreamInterest},
    metrics::StreamKind,
    news::NewsSelection,
};
use mcp::dispatch::Resume;
use model::{Cursor, CursorScope, FilterSet, LogPosition, Sequence, Timestamp};
use subscriptions::{Subscription, VersionedSubscription};
use tracing::debug;

use super::{
    followers::{
        FollowedSource, Follower, HAS_EVERY_EVENT, KnownSubscription, certainly_knew, knows_all_by,
    },
    kept::Subscriptions,
    loads::LoadedClient,
};
use crate::error::EdgeError;

/// A stream of events that a client asks for by its subscriptions.
#[derive(Debug)]
pub(crate) struct SubscribedStream {
    pub(crate) principal: Arc<Principal>,
    pub(crate) source: FollowedSource,
    pub(crate) resume: Resume,
}

/// What a stream follows when it opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FollowedNow {
    pub(crate) subscriptions: usize,
    /// Its client has not subscribed yet.
    pub(crate) has_every_event: bool,
}

/// What the client says of the events that it has.
#[derive(Debug, Clone, Copy)]
enum LastEvent {
    /// Nothing: it has what the cursors of its subscriptions say.
    Unsaid,
    /// Something that is no event id of this server; what it stands for is not known.
    Unknown,
    Cursor(Cursor),
    Time(Timestamp),
}

impl LastEvent {
    fn read(hub: &Hub, resume: &Resume, scope: CursorScope) -> Result<Self, HubError> {
        let last = match resume {
            Resume::Fresh => return Ok(Self::Unsaid),
            Resume::Unreadable => return Ok(Self::Unknown),
            Resume::After(last) => last,
        };
        let opened = hub.open_cursor(last, scope)?;
        Ok(match (opened, Timestamp::from_input(last)) {
            (Ok(cursor), _) => Self::Cursor(cursor),
            (Err(_), Some(time)) => Self::Time(time),
            (Err(_), None) => Self::Unknown,
        })
    }

    /// Whether the client, which has no subscription, gets every event: not after a stream that followed some, which
    /// have ended since. A page that reconnects by itself would get what it never asked for.
    const fn may_have_every_event(&self) -> bool {
        match self {
            Self::Cursor(cursor) => cursor.newest_subscription <= HAS_EVERY_EVENT,
            Self::Unsaid | Self::Unknown | Self::Time(_) => true,
        }
    }

    /// Whether the client has the events of the subscription up to the one that it names.
    fn covers(&self, subscription: &Subscription) -> bool {
        match self {
            Self::Unsaid | Self::Unknown => false,
            Self::Cursor(cursor) => certainly_knew(cursor.newest_subscription, subscription),
            Self::Time(_) => true,
        }
    }
}

/// Opens a stream that follows subscriptions: one that the client names, or all that it has made under its name. It
/// begins after the event that the client names, or else after the cursors of the subscriptions. What the client
/// may have missed, because the stream of that event did not know a new subscription yet, comes from the cursor of
/// the subscription on.
///
/// A client that has not subscribed yet gets every event, until it does; one whose subscriptions have ended gets none.
pub(crate) async fn open_subscribed(
    subscriptions: &Subscriptions,
    hub: &Arc<Hub>,
    stream: SubscribedStream,
    opening: impl FnOnce(&Feed, FollowedNow) -> OpeningFrames,
) -> Result<Feed, EdgeError> {
    let SubscribedStream {
        principal,
        source,
        resume,
    } = stream;
    let owner = principal.id.clone();
    let scope = CursorScope::events(&owner);
    let last = LastEvent::read(hub, &resume, scope)?;
    let is_sealed = matches!(&last, LastEvent::Cursor(cursor) if cursor.is_sealed);
    // Before the load: what was stored by then is in it.
    let now = subscriptions.now().await?;
    let (loaded, knows_until) = match &source {
        FollowedSource::One(id) => {
            let found = subscriptions.load(&owner, id).await?;
            (Arc::new(LoadedClient::small(vec![found])), 0)
        }
        FollowedSource::Client(client) => {
            let loaded = subscriptions.loads.of_client(&owner, client).await?;
            let knows_until = match loaded.found.is_empty() && last.may_have_every_event() {
                true => HAS_EVERY_EVENT,
                false => knows_all_by(now),
            };
            (loaded, knows_until)
        }
    };
    let beginning = begin(hub, &owner, &loaded, last, knows_until).await?;
    let Beginning {
        interest,
        added,
        begin,
        known,
    } = beginning;
    let open = StreamRequest {
        wants: NewsSelection::default(),
        ages: true,
        kind: StreamKind::Events,
        format: StreamFormat::Events,
        scope,
        session: None,
        labels: None,
        inbox: Sequence::START,
        interest,
        principal,
        begin,
    };
    let now = FollowedNow {
        subscriptions: loaded.found.len(),
        has_every_event: knows_until == HAS_EVERY_EVENT,
    };
    let mut feed = hub.open(open, |feed| opening(feed, now)).await?;
    let mut follower = Follower::new(feed.follow_subscriptions());
    follower.known = known;
    follower.knows_until = knows_until;
    let is_added = added.is_some();
    if let Some(interest) = added {
        follower.revision = 1;
        follower.stream.set_interest(interest);
    }
    if let (FollowedSource::One(id), Resume::After(_), Some(taken)) =
        (&source, &resume, follower.stream.taken())
        && is_sealed
        && !is_added
        && let Err(error) = subscriptions.advance(&owner, id, taken.position).await
    {
        // The client has this event, whether that is stored or not.
        debug!(%error, "the cursor of a subscription stays where it was");
    }
    subscriptions.followers.add(&owner, source, follower);
    Ok(feed)
}

/// Where a stream begins.
struct Beginning {
    interest: StreamInterest,
    /// The interest that follows at once: some subscriptions are to be added from their own cursors on.
    added: Option<StreamInterest>,
    begin: StreamStart,
    known: BTreeMap<model::SubscriptionId, KnownSubscription>,
}

fn followed<'s>(
    subscription: &'s Subscription,
    known: &BTreeMap<model::SubscriptionId, KnownSubscription>,
) -> FollowedSubscription<'s> {
    FollowedSubscription {
        filters: &subscription.filters,
        named_at: subscription.names_position(),
        after: known
            .get(&subscription.id)
            .map_or(subscription.cursor, |known| known.after),
    }
}

/// What the client has of its subscriptions, and from where on it gets their events.
fn known(
    found: &[VersionedSubscription],
    last: &LastEvent,
    log_start: LogPosition,
) -> BTreeMap<model::SubscriptionId, KnownSubscription> {
    let is_named = matches!(last, LastEvent::Cursor(_) | LastEvent::Time(_));
    let known = found.iter().map(|found| {
        let subscription = &found.subscription;
        let is_covered = last.covers(subscription);
        let known = KnownSubscription {
            after: match is_covered {
                true => log_start,
                false => subscription.cursor,
            },
            revision: u64::from(is_named && !is_covered),
            expires_at: found.expires_at,
            cursor: subscription.cursor,
        };
        (subscription.id.clone(), known)
    });
    known.collect()
}

async fn begin(
    hub: &Arc<Hub>,
    owner: &model::PrincipalId,
    loaded: &Arc<LoadedClient>,
    last: LastEvent,
    knows_until: u64,
) -> Result<Beginning, HubError> {
    let found = loaded.found.iter().map(|found| &found.subscription);
    let own = found.filter(|subscription| !last.covers(subscription));
    let own: Vec<_> = own.map(|subscription| subscription.cursor).collect();
    let after_loss = hub.learn_of_losses(own, owner).await?;
    let (hub, of) = (Arc::clone(hub), last);
    let working = loaded.work(move |found| {
        let known = known(found, &of, hub.log_start());
        let first = |id| known.get(id).is_none_or(|known| known.revision == 0);
        let wanted = found.iter().map(|found| &found.subscription);
        let begun = wanted
            .clone()
            .filter(|subscription| first(&subscription.id));
        let begun = begun.map(|subscription| followed(subscription, &known));
        let interest = hub.interest_in(begun, 0, knows_until);
        let added = known.values().any(|known| known.revision > 0);
        let added = added.then(|| {
            let all = wanted.map(|subscription| followed(subscription, &known));
            hub.interest_in(all, 1, knows_until)
        });
        let start = start(&of, interest.earliest(), after_loss);
        let interest = match knows_until == HAS_EVERY_EVENT {
            true => {
                let all = StreamInterest::events(&FilterSet::all(), hub.names_at(&start).0);
                all.knowing(knows_until)
            }
            false => interest,
        };
        Beginning {
            interest,
            added,
            begin: start,
            known,
        }
    });
    Ok(working.await)
}

fn start(
    last: &LastEvent,
    earliest: Option<Sequence>,
    after_loss: Option<Sequence>,
) -> StreamStart {
    match last {
        LastEvent::Cursor(cursor) => StreamStart::After(*cursor),
        LastEvent::Time(time) => StreamStart::Since(*time),
        LastEvent::Unsaid | LastEvent::Unknown => {
            let is_unknown = matches!(last, LastEvent::Unknown);
            match (earliest, after_loss) {
                (_, Some(position)) => StreamStart::AfterLoss(position),
                (Some(position), None) if is_unknown => StreamStart::AfterLoss(position),
                (Some(position), None) => StreamStart::Position(position),
                (None, None) if is_unknown => StreamStart::UnknownCursor,
                (None, None) => StreamStart::Head,
            }
        }
    }
}
