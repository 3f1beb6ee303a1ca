//! The mailbox is read completely, in whatever order hints, reads and the end of the session
//! arrive.

use std::{task::Waker, time::Duration};

use async_trait::async_trait;
use model::{PrincipalId, SystemClock};
use ports::MailboxLimits;
use store_memory::MemorySessionStore;
use tokio::sync::Semaphore;

use super::{super::fixture, *};

const NOTHING: PendingMail = PendingMail(0);
const BOTH: PendingMail = PendingMail(MailStream::Inbox.bit() | MailStream::Answers.bit());

/// A mailbox that answers reads when the test releases them, with what was there when they began.
#[derive(Debug)]
struct Gated {
    store: MemorySessionStore,
    reads: Semaphore,
}

impl Gated {
    async fn new(free_reads: usize) -> Arc<Self> {
        let store = MemorySessionStore::new(Arc::new(SystemClock), 10);
        let (session, ttl) = (fixture::session(), Duration::from_secs(60));
        Mailbox::open(&store, &session.id, &session.owner, ttl)
            .await
            .unwrap();
        Arc::new(Self {
            store,
            reads: Semaphore::new(free_reads),
        })
    }

    fn inbox(self: &Arc<Self>, start: InboxStart) -> Inbox {
        let (told, _) = mpsc::channel(1);
        let mailbox = Arc::clone(self) as Arc<dyn Mailbox>;
        Inbox::new(mailbox, fixture::session().id, start, told)
    }

    async fn put(&self, mail: MailStream, message: &'static str) {
        let (session, payload) = (
            fixture::session().id,
            Bytes::from_static(message.as_bytes()),
        );
        let (stream, limits) = (mail.name(), MailboxLimits::default());
        let put = self.append(&session, &stream, payload, limits);
        put.await.unwrap();
    }

    async fn kept(&self, mail: MailStream) -> usize {
        let (session, stream) = (fixture::session().id, mail.name());
        let page = self
            .store
            .read_after(&session, &stream, Sequence::START, 100);
        page.await.unwrap().messages.len()
    }
}

#[async_trait]
impl Mailbox for Gated {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        self.store.open(session, owner, ttl).await
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        self.store.touch(session, ttl).await
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        self.store.end(session).await
    }

    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.store.open_stream(session, stream, limits).await
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.store.append(session, stream, payload, limits).await
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        let page = self.store.read_after(session, stream, after, limit).await;
        self.reads.acquire().await.unwrap().forget();
        page
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        self.store.trim(session, stream, through).await
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        self.store.close_stream(session, stream).await
    }
}

fn look(inbox: &mut Inbox, came: PendingMail) -> Option<MailUpdate> {
    inbox.poll(&mut Context::from_waker(Waker::noop()), came)
}

/// The next messages, all from one mail stream.
fn texts(mailed: Option<MailUpdate>) -> Vec<String> {
    let Some(MailUpdate::Page(_, page)) = mailed else {
        return Vec::new();
    };
    let text = |message: &model::Sequenced<Bytes>| String::from_utf8(message.item.to_vec());
    page.messages.iter().map(|m| text(m).unwrap()).collect()
}

fn is_gone(mailed: Option<&MailUpdate>) -> bool {
    matches!(mailed, Some(MailUpdate::SessionGone))
}

#[tokio::test]
async fn a_hint_that_comes_while_a_page_is_read_counts() {
    for mail in [MailStream::Inbox, MailStream::Answers] {
        let mailbox = Gated::new(0).await;
        let mut inbox = mailbox.inbox(InboxStart::After(Sequence::START));
        if mail == MailStream::Answers {
            inbox = inbox.with_answers(Box::new(()));
        }
        assert!(look(&mut inbox, NOTHING).is_none(), "both are being read");
        mailbox.put(mail, "late").await;
        mailbox.reads.add_permits(10);
        let seen = texts(look(&mut inbox, PendingMail(mail.bit())));
        assert_eq!(seen, ["late"], "{mail:?}");
    }
}

#[tokio::test]
async fn a_hint_of_one_stream_is_no_read_of_the_other() {
    let mailbox = Gated::new(2).await;
    let mut inbox = mailbox.inbox(InboxStart::Head).with_answers(Box::new(()));
    assert!(look(&mut inbox, NOTHING).is_none());
    assert_eq!(mailbox.reads.available_permits(), 0, "each was read once");
    mailbox.reads.add_permits(10);
    for mail in [MailStream::Inbox, MailStream::Answers] {
        let before = mailbox.reads.available_permits();
        assert!(look(&mut inbox, PendingMail(mail.bit())).is_none());
        let reads = before - mailbox.reads.available_permits();
        assert_eq!(reads, 1, "{mail:?}");
    }
}

#[tokio::test]
async fn answers_go_once_they_were_handed_over_and_the_inbox_stays_for_the_next_stream() {
    let mailbox = Gated::new(100).await;
    let start = InboxStart::After(Sequence::START);
    let mut inbox = mailbox.inbox(start).with_answers(Box::new(()));
    for mail in [MailStream::Answers, MailStream::Inbox] {
        mailbox.put(mail, "one").await;
        mailbox.put(mail, "two").await;
        assert_eq!(texts(look(&mut inbox, BOTH)), ["one", "two"], "{mail:?}");
    }
    assert!(look(&mut inbox, BOTH).is_none());
    assert_eq!(mailbox.kept(MailStream::Answers).await, 0);
    assert_eq!(mailbox.kept(MailStream::Inbox).await, 2);
}

#[tokio::test]
async fn the_stream_is_told_when_no_answer_can_come_any_more() {
    let mailbox = Gated::new(100).await;
    let start = InboxStart::After(Sequence::START);
    let mut inbox = mailbox.inbox(start).with_answers(Box::new(()));
    let session = fixture::session().id;
    let close = async |mail: MailStream| {
        mailbox.put(mail, "last").await;
        let closed = mailbox.close_stream(&session, &mail.name()).await;
        closed.unwrap();
    };
    // Others may no longer send to the session, but it still exists.
    close(MailStream::Inbox).await;
    assert_eq!(texts(look(&mut inbox, BOTH)), ["last"]);
    assert!(look(&mut inbox, BOTH).is_none());
    close(MailStream::Answers).await;
    assert_eq!(texts(look(&mut inbox, BOTH)), ["last"]);
    assert!(is_gone(look(&mut inbox, NOTHING).as_ref()));

    let mut inbox = mailbox.inbox(start);
    assert_eq!(texts(look(&mut inbox, NOTHING)), ["last"]);
    mailbox.store.end(&session).await.unwrap();
    assert!(is_gone(look(&mut inbox, BOTH).as_ref()));
    assert!(look(&mut inbox, NOTHING).is_none(), "once is enough");
}

#[tokio::test]
async fn a_stream_ahead_of_the_store_says_so_and_then_misses_nothing() {
    let mailbox = Gated::new(100).await;
    let mail = MailStream::Inbox;
    mailbox.put(mail, "one").await;
    mailbox.put(mail, "two").await;
    let lost = InboxStart::After(Sequence(1 << 51));
    let mut inbox = mailbox.inbox(lost);
    let update = look(&mut inbox, BOTH);
    assert!(matches!(update, Some(MailUpdate::WentBack(of)) if of == mail));
    assert_eq!(texts(look(&mut inbox, NOTHING)), ["one", "two"]);
    assert!(look(&mut inbox, BOTH).is_none(), "once is enough");
    assert_eq!(
        mailbox.kept(mail).await,
        2,
        "new ones are not taken for read ones"
    );
}

#[test]
fn what_the_mailbox_costs_an_idle_stream_is_small() {
    assert!(size_of::<Inbox>() <= 112, "{}", size_of::<Inbox>());
    assert!(
        size_of::<AnswerReader>() <= 64,
        "{}",
        size_of::<AnswerReader>()
    );
}
