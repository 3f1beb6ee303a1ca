//! What the server says that this connection may not do.
//!
//! A server answers a publish or a subscription that the user's permissions forbid with an error of the
//! connection, not of the call: a request is then never answered, and a subscription stays silent. The errors
//! are kept here by subject, so that calls and probes name the reason and the fix. A new connection begins
//! without any, because the server repeats those that still hold.

use std::{collections::BTreeMap, fmt, time::Duration};

use async_nats::{ClientError, ServerError};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{error, warn};

/// Maximum number of subjects that are remembered; the subjects of this process are fewer, once the random
/// parts of inboxes and consumers are left out.
const MAX_SUBJECTS: usize = 64;
/// The subject that stands for all inboxes.
const INBOXES: &str = "_INBOX.*";
/// Shortest time between two lines of the log about one subject, or about refused credentials.
const LINE_INTERVAL: Duration = Duration::from_secs(60);
/// Time that a denial may take from the driver's socket to here, once the answer to a later message is there, in a
/// process that is not busy.
const DENIAL_DELAY: Duration = Duration::from_millis(20);
/// Maximum number of these delays in one that is.
const MAX_DENIAL_DELAYS: usize = 20;

/// What was denied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum DeniedUse {
    /// Publishing, which includes requests.
    Publish,
    /// Subscribing, which includes the answers to requests.
    Subscribe,
}

/// The user of `nats.url` may not do this.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
#[error(
    "the NATS user of nats.url may not {} {subject}: allow it in the user's permissions",
    match .denied { DeniedUse::Publish => "publish to", DeniedUse::Subscribe => "subscribe to" }
)]
pub(crate) struct NatsDenial {
    denied: DeniedUse,
    /// The subject; of inboxes and of what is published, with `*` for the random parts.
    subject: String,
}

/// The server refuses the credentials, so that there is no connection.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the NATS server refuses the credentials of nats.url: correct user, password or token there"
)]
pub(crate) struct RefusedCredentials;

impl NatsDenial {
    /// Reads an error of the server: `Permissions Violation for Publish to "subject"`, or `for Subscription
    /// to "subject"`, which may go on with the queue (nats-server, `server/client.go`).
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("Permissions Violation for ")?;
        let (denied, rest) = match rest.strip_prefix("Publish to ") {
            Some(rest) => (DeniedUse::Publish, rest),
            None => (DeniedUse::Subscribe, rest.strip_prefix("Subscription to ")?),
        };
        let subject = rest.strip_prefix('"')?.split('"').next()?;
        Some(Self::of(denied, subject))
    }

    /// The denial of a use of a subject.
    fn of(denied: DeniedUse, subject: &str) -> Self {
        let subject = match denied {
            DeniedUse::Publish => without_random_parts(subject),
            // Only inboxes are many. The others stay as they are: they are tried again as such.
            DeniedUse::Subscribe if is_inbox(subject) => INBOXES.to_owned(),
            DeniedUse::Subscribe => subject.to_owned(),
        };
        Self { denied, subject }
    }

    /// Whether this is the denial of that use of a subject, or of one that differs in its random parts.
    pub(crate) fn is_of(&self, denied: DeniedUse, subject: &str) -> bool {
        *self == Self::of(denied, subject)
    }

    pub(crate) const fn denied(&self) -> DeniedUse {
        self.denied
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether it concerns the answers to all requests.
    pub(crate) fn is_of_inbox(&self) -> bool {
        is_inbox(&self.subject)
    }
}

fn is_inbox(subject: &str) -> bool {
    subject.starts_with("_INBOX.")
}

/// The subject without what differs from call to call, so that a denial is one, however often it comes.
fn without_random_parts(subject: &str) -> String {
    if is_inbox(subject) {
        return INBOXES.to_owned();
    }
    if let Some(rest) = subject.strip_prefix("$JS.API.CONSUMER.") {
        let known: Vec<_> = rest
            .split('.')
            .take_while(|token| !is_page(token))
            .collect();
        return format!("$JS.API.CONSUMER.{}.*", known.join("."));
    }
    for (name, parts) in [("mcp.session.", 1), ("forgewire.events.", 1)] {
        if let Some((before, rest)) = subject.split_once(name)
            && rest.split('.').count() == parts
        {
            return format!("{before}{name}*");
        }
    }
    subject.to_owned()
}

fn is_page(token: &str) -> bool {
    token.contains("page-")
}

/// What the server has refused on this connection.
#[derive(Debug)]
pub(crate) struct Denials {
    state: Mutex<DenialState>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct DenialState {
    seen: BTreeMap<NatsDenial, Instant>,
    told: BTreeMap<NatsDenial, Instant>,
    refused_at: Option<Instant>,
    refusal_told: Option<Instant>,
}

impl Default for Denials {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Denials {
    /// Notes an error of the server.
    pub(crate) fn server_error(&self, said: &ServerError) {
        match said {
            ServerError::AuthorizationViolation => self.credentials_refused(said),
            ServerError::Other(text) => match NatsDenial::parse(text) {
                Some(denial) => self.denied(denial),
                None if is_about_credentials(text) => self.credentials_refused(said),
                None => warn!(error = %said, "NATS reports an error"),
            },
            ServerError::SlowConsumer(_) => {}
        }
    }

    /// Notes an error of the driver: of an attempt to connect, for instance.
    pub(crate) fn client_error(&self, said: &ClientError) {
        if let ClientError::Other(text) = said
            && is_about_credentials(text)
        {
            self.credentials_refused(said);
        }
    }

    /// Begins anew, with a new connection.
    pub(crate) fn connected(&self) {
        let mut state = self.state.lock();
        state.seen.clear();
        state.refused_at = None;
    }

    /// The credentials' refusal, while there is no connection because of it.
    pub(crate) fn refused_credentials(&self) -> Option<RefusedCredentials> {
        self.state.lock().refused_at.map(|_| RefusedCredentials)
    }

    fn denied(&self, denial: NatsDenial) {
        let mut state = self.state.lock();
        let now = Instant::now();
        if state.seen.len() >= MAX_SUBJECTS && !state.seen.contains_key(&denial) {
            return;
        }
        state.told.retain(|_, told| !is_due(Some(*told), now));
        if !state.told.contains_key(&denial) && state.told.len() < MAX_SUBJECTS {
            state.told.insert(denial.clone(), now);
            error!("{denial}");
        }
        state.seen.insert(denial, now);
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }

    fn credentials_refused(&self, said: &dyn fmt::Display) {
        let mut state = self.state.lock();
        let now = Instant::now();
        if is_due(state.refusal_told, now) {
            state.refusal_told = Some(now);
            error!(%said, "{RefusedCredentials}");
        }
        state.refused_at = Some(now);
    }

    /// The denials that stand, of those that concern the caller.
    pub(crate) fn standing(&self, concerns: impl Fn(&NatsDenial) -> bool) -> Vec<NatsDenial> {
        let state = self.state.lock();
        let standing = state.seen.keys().filter(|denial| concerns(denial));
        standing.cloned().collect()
    }

    /// The first denial since a time, of those that concern the caller.
    pub(crate) fn since(
        &self,
        began: Instant,
        concerns: impl Fn(&NatsDenial) -> bool,
    ) -> Option<NatsDenial> {
        let state = self.state.lock();
        let mut since = state.seen.iter().filter(|(_, at)| **at >= began);
        let found = since.find(|(denial, _)| concerns(denial));
        found.map(|(denial, _)| denial.clone())
    }

    /// As [`Self::since`], once the denials are here that the server has sent by now.
    pub(crate) async fn since_then(
        &self,
        began: Instant,
        concerns: impl Fn(&NatsDenial) -> bool,
    ) -> Option<NatsDenial> {
        if let Some(denial) = self.since(began, &concerns) {
            return Some(denial);
        }
        for _ in 0..MAX_DENIAL_DELAYS {
            let slept_at = Instant::now();
            sleep(DENIAL_DELAY).await;
            // If this task woke late, the one that notes denials may be late too.
            if slept_at.elapsed() < DENIAL_DELAY * 2 {
                break;
            }
        }
        self.since(began, concerns)
    }

    /// Waits for a denial since a time, of those that concern the caller.
    pub(crate) async fn next_since(
        &self,
        began: Instant,
        concerns: impl Fn(&NatsDenial) -> bool,
    ) -> NatsDenial {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(denial) = self.since(began, &concerns) {
                return denial;
            }
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    /// Forgets denials from before a time: each use that they concern has been tried since, and was allowed.
    pub(crate) fn lifted(&self, before: Instant, concerns: impl Fn(&NatsDenial) -> bool) {
        let mut state = self.state.lock();
        state
            .seen
            .retain(|denial, at| *at >= before || !concerns(denial));
    }
}

fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= LINE_INTERVAL)
}

/// The words of nats-server and of the driver about credentials that are wrong, expired or revoked.
fn is_about_credentials(text: &str) -> bool {
    let text = text.to_lowercase();
    [
        "authorization violation",
        "authentication",
        "account expired",
    ]
    .iter()
    .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(DeniedUse, String)> {
        NatsDenial::parse(text).map(|denial| (denial.denied, denial.subject))
    }

    #[test]
    fn a_violation_is_read_without_its_random_parts() {
        let publish = |subject: &str| Some((DeniedUse::Publish, subject.to_owned()));
        let of = |subject: &str| {
            parsed(&format!(
                "Permissions Violation for Publish to \"{subject}\""
            ))
        };
        assert_eq!(
            of("$JS.API.STREAM.INFO.E"),
            publish("$JS.API.STREAM.INFO.E")
        );
        let consumer = "$JS.API.CONSUMER.CREATE.E.page-0123";
        assert_eq!(of(consumer), publish("$JS.API.CONSUMER.CREATE.E.*"));
        let prefixed = "$JS.API.CONSUMER.MSG.NEXT.one_E.one_page-0123";
        assert_eq!(of(prefixed), publish("$JS.API.CONSUMER.MSG.NEXT.one_E.*"));
        assert_eq!(of("one.mcp.session.abc"), publish("one.mcp.session.*"));
        assert_eq!(of("forgewire.events.0a1b"), publish("forgewire.events.*"));
        let queue = "Permissions Violation for Subscription to \"mcp.broadcast\" using queue \"q\"";
        let subscribe = |subject: &str| Some((DeniedUse::Subscribe, subject.to_owned()));
        assert_eq!(parsed(queue), subscribe("mcp.broadcast"));
        let session = "Permissions Violation for Subscription to \"mcp.session.abc\"";
        assert_eq!(parsed(session), subscribe("mcp.session.abc"));
        let inbox = "Permissions Violation for Subscription to \"_INBOX.0a1b.2c\"";
        assert_eq!(parsed(inbox), subscribe("_INBOX.*"));
        assert_eq!(parsed("Unknown Protocol Operation"), None);
    }

    #[test]
    fn a_denial_is_of_its_use_and_its_subject() {
        let session = NatsDenial::of(DeniedUse::Publish, "mcp.session.abc");
        assert!(session.is_of(DeniedUse::Publish, "mcp.session.def"));
        assert!(!session.is_of(DeniedUse::Subscribe, "mcp.session.abc"));
        assert!(!session.is_of(DeniedUse::Publish, "mcp.broadcast"));
        let subscription = NatsDenial::of(DeniedUse::Subscribe, "mcp.session.abc");
        assert!(subscription.is_of(DeniedUse::Subscribe, "mcp.session.abc"));
        assert!(!subscription.is_of(DeniedUse::Subscribe, "mcp.session.*"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_and_told_is_bounded_and_told_again_later() {
        let denials = Denials::default();
        let deny = |number: usize| {
            denials.denied(NatsDenial::of(DeniedUse::Publish, &format!("s{number}")));
        };
        (0..2 * MAX_SUBJECTS).for_each(deny);
        assert_eq!(denials.standing(|_| true).len(), MAX_SUBJECTS);
        assert_eq!(denials.state.lock().told.len(), MAX_SUBJECTS);
        denials.connected();
        tokio::time::advance(LINE_INTERVAL).await;
        deny(2 * MAX_SUBJECTS);
        let told = denials.state.lock().told.clone();
        assert_eq!(told.len(), 1, "those of the last minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_denial_stands_until_it_is_lifted_or_the_connection_is_new() {
        let denials = Denials::default();
        let text = "Permissions Violation for Publish to \"a\"".to_owned();
        let violation = ServerError::Other(text);
        denials.server_error(&violation);
        let before = Instant::now();
        assert_eq!(denials.standing(|_| true).len(), 1);
        denials.lifted(before, |_| true);
        assert_eq!(denials.standing(|_| true).len(), 1, "it is not from before");
        tokio::time::advance(Duration::from_secs(1)).await;
        denials.lifted(Instant::now(), |_| true);
        assert_eq!(denials.standing(|_| true), []);
        denials.server_error(&violation);
        denials.server_error(&ServerError::AuthorizationViolation);
        assert!(denials.refused_credentials().is_some());
        denials.connected();
        assert!(denials.refused_credentials().is_none() && denials.standing(|_| true).is_empty());
    }
}
