//! The model of a session.

use model::Session;
use testkit::sse::SseStream;

/// A subscription of a session: events of a repository after the first `since` ones.
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) repo: String,
    pub(super) since: usize,
}

/// The model of a session, together with its real stream.
pub(super) struct Modelled {
    pub(super) id: String,
    pub(super) owner: usize,
    pub(super) version: &'static str,
    pub(super) lives: bool,
    pub(super) asked: Vec<Asked>,
    pub(super) stream: Option<SseStream>,
    /// The id of the last event that the client received, and the number of events that had
    /// happened by then.
    pub(super) last: Option<(String, usize)>,
    /// The events that the stream still has to deliver.
    pub(super) due: Vec<String>,
}

impl Modelled {
    pub(super) fn wants(&self, at: usize, repo: &str) -> bool {
        let mut asked = self.asked.iter();
        asked.any(|asked| asked.repo == repo && asked.since <= at)
    }

    /// Whether a subscription wants the event that no stream which reached the client has covered.
    pub(super) fn wants_uncovered(&self, at: usize, repo: &str, stored: &Session) -> bool {
        let covered = stored.covered_subscription();
        let number = |id: &str| {
            let mut stored = stored.subscriptions.iter();
            stored.find(|one| one.id.as_str() == id).unwrap().number
        };
        let mut asked = self.asked.iter();
        asked.any(|asked| asked.repo == repo && asked.since <= at && number(&asked.id) > covered)
    }
}
