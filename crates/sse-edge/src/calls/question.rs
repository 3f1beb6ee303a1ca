//! The ids of questions to clients, by which their answers are known. An id has a mark that only an edge can
//! make, for one session: what answers no question of ours is not stored.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
};

use mcp::{RequestId, envelope::RpcResponse};
use model::{CursorKeys, IdSource, SessionId, StreamId};
use parking_lot::Mutex;
use ports::MailboxLimits;
use tokio::time::Instant;

use crate::{
    error::EdgeError,
    limits::{UNMARKED_ANSWER_BYTES, UNMARKED_ANSWERS, UNMARKED_ANSWERS_TIME},
};

/// Prefix of the ids, which distinguishes the answers from other responses.
const QUESTION: &str = "ask-";
/// Length of a UUID, the name of a question.
const NAME_LENGTH: usize = 36;

/// The id of a new question; it is also the name of the mailbox's stream for the answer.
pub(super) fn new_question(keys: &CursorKeys, session: &SessionId, ids: &dyn IdSource) -> StreamId {
    let name = ids.uuid();
    let mark = keys.mark(session, &name);
    StreamId::new(&format!("{QUESTION}{name}-{mark}")).expect("a UUID and a mark fit a stream id")
}

/// The id in a response; `None` if it answers no question of an edge.
pub(super) fn question_of(response: &RpcResponse) -> Option<StreamId> {
    let Some(RequestId::Text(id)) = &response.id else {
        return None;
    };
    let id = Some(id).filter(|id| id.starts_with(QUESTION));
    id.and_then(|id| StreamId::new(id).ok())
}

/// How an id came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuestionOrigin {
    /// An edge asked in this session.
    Marked,
    /// As an edge of an earlier version may have asked.
    Unmarked,
    /// Made up, or of another session.
    Unknown,
}

fn origin(keys: &CursorKeys, session: &SessionId, id: &StreamId) -> QuestionOrigin {
    let rest = id.as_str().strip_prefix(QUESTION).unwrap_or_default();
    match rest.split_at_checked(NAME_LENGTH) {
        Some((_, "")) => QuestionOrigin::Unmarked,
        Some((name, rest))
            if let Some(mark) = rest.strip_prefix('-')
                && keys.has_marked(session, name, mark) =>
        {
            QuestionOrigin::Marked
        }
        _ => QuestionOrigin::Unknown,
    }
}

/// The reason for which an answer is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DroppedAnswer {
    /// It answers no question of an edge in its session.
    Unknown,
    /// It is larger than an answer may be.
    TooLarge,
    /// The question has an answer.
    Repeated,
}

impl DroppedAnswer {
    pub(crate) const ALL: [Self; 3] = [Self::Unknown, Self::TooLarge, Self::Repeated];

    /// The metric label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::TooLarge => "too_large",
            Self::Repeated => "repeated",
        }
    }

    /// The error for the client; `None` where it did nothing wrong, because it may have sent an answer again.
    pub(super) fn error(self) -> Option<EdgeError> {
        let (field, reason) = match self {
            Self::Unknown => (
                "id",
                "this server asked no such question in this session".to_owned(),
            ),
            Self::TooLarge => {
                let most = MailboxLimits::MAX_PAYLOAD_BYTES;
                let reason = format!("an answer has up to {most} bytes; send less");
                ("result", reason)
            }
            Self::Repeated => return None,
        };
        let field = field.to_owned();
        Some(EdgeError::Parameter { field, reason })
    }
}

/// The answers that this edge takes.
#[derive(Debug)]
pub(super) struct AnswerGate {
    /// Edges of an earlier version ask without a mark: in a rollout, this edge may get their answers.
    unmarked_until: Instant,
    unmarked_left: AtomicU32,
    /// Answers that are being stored.
    storing: Mutex<HashSet<(SessionId, StreamId)>>,
}

impl Default for AnswerGate {
    fn default() -> Self {
        Self {
            unmarked_until: Instant::now() + UNMARKED_ANSWERS_TIME,
            unmarked_left: AtomicU32::new(UNMARKED_ANSWERS),
            storing: Mutex::default(),
        }
    }
}

impl AnswerGate {
    /// Admits an answer of `bytes` bytes to be stored.
    pub(super) fn admit(
        &self,
        keys: &CursorKeys,
        (session, question): (&SessionId, &StreamId),
        bytes: usize,
    ) -> Result<StoringAnswer<'_>, DroppedAnswer> {
        let most = match origin(keys, session, question) {
            QuestionOrigin::Marked => MailboxLimits::MAX_PAYLOAD_BYTES,
            QuestionOrigin::Unmarked if self.takes_unmarked() => UNMARKED_ANSWER_BYTES,
            _ => return Err(DroppedAnswer::Unknown),
        };
        if bytes > most {
            return Err(DroppedAnswer::TooLarge);
        }
        let answer = (session.clone(), question.clone());
        match self.storing.lock().insert(answer.clone()) {
            true => Ok(StoringAnswer { gate: self, answer }),
            false => Err(DroppedAnswer::Repeated),
        }
    }

    fn takes_unmarked(&self) -> bool {
        let take = |left: u32| left.checked_sub(1);
        let order = Ordering::Relaxed;
        Instant::now() < self.unmarked_until
            && self.unmarked_left.fetch_update(order, order, take).is_ok()
    }
}

/// An answer that is being stored; another one to its question is dropped meanwhile.
#[derive(Debug)]
pub(super) struct StoringAnswer<'g> {
    gate: &'g AnswerGate,
    answer: (SessionId, StreamId),
}

impl Drop for StoringAnswer<'_> {
    fn drop(&mut self) {
        self.gate.storing.lock().remove(&self.answer);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Epoch, RandomIds, SharedKey};

    use super::*;

    fn keys() -> CursorKeys {
        CursorKeys::new(&[SharedKey::of_text("a key")], Epoch(7), false)
    }

    fn session(name: &str) -> SessionId {
        SessionId::new(name).unwrap()
    }

    fn id(text: &str) -> StreamId {
        StreamId::new(text).unwrap()
    }

    fn unmarked() -> StreamId {
        id(&format!("{QUESTION}{}", RandomIds.uuid()))
    }

    #[test]
    fn only_a_question_of_this_session_gets_one_answer_at_a_time() {
        let (gate, keys, session) = (AnswerGate::default(), keys(), session("a"));
        let asked = new_question(&keys, &session, &RandomIds);
        let admit = |question: &StreamId, bytes| gate.admit(&keys, (&session, question), bytes);
        let most = MailboxLimits::MAX_PAYLOAD_BYTES;
        assert_eq!(
            admit(&asked, most + 1).unwrap_err(),
            DroppedAnswer::TooLarge
        );
        let storing = admit(&asked, most).unwrap();
        assert_eq!(admit(&asked, 9).unwrap_err(), DroppedAnswer::Repeated);
        drop(storing);
        assert!(admit(&asked, 9).is_ok());
        let elsewhere = new_question(&keys, &super::tests::session("b"), &RandomIds);
        let made_up = format!("{}-{}", unmarked(), "A".repeat(CursorKeys::MARK_LENGTH));
        for question in [&elsewhere, &id(&made_up), &id("ask-"), &id("ask-1")] {
            let refused = gate.admit(&keys, (&session, question), 9).unwrap_err();
            assert_eq!(refused, DroppedAnswer::Unknown);
        }
        assert!(gate.storing.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn questions_of_an_earlier_version_are_answered_for_a_while_within_bounds() {
        let (gate, keys, session) = (AnswerGate::default(), keys(), session("a"));
        let admit = |gate: &AnswerGate, bytes| {
            let admitted = gate.admit(&keys, (&session, &unmarked()), bytes);
            admitted.map(drop)
        };
        assert_eq!(
            admit(&gate, UNMARKED_ANSWER_BYTES + 1),
            Err(DroppedAnswer::TooLarge)
        );
        for _ in 1..UNMARKED_ANSWERS {
            assert_eq!(admit(&gate, UNMARKED_ANSWER_BYTES), Ok(()));
        }
        assert_eq!(admit(&gate, 9), Err(DroppedAnswer::Unknown), "all are used");
        let gate = AnswerGate::default();
        assert_eq!(admit(&gate, 9), Ok(()));
        tokio::time::advance(UNMARKED_ANSWERS_TIME + Duration::from_secs(1)).await;
        assert_eq!(admit(&gate, 9), Err(DroppedAnswer::Unknown));
    }
}
