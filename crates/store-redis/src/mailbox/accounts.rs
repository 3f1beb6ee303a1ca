//! The weight of the mailboxes of each owner, in the owner's slot; the mailboxes are in their own slots, so the two
//! cannot change together.
//!
//! `KEYS` of the scripts:
//! 1. a hash of the weight of each mailbox that counts, by session, and of `total`;
//! 2. a sorted set of these sessions by the time at which their entries lapse, in ms: when the newest message is
//!    too old, or the mailbox expires.
//!
//! Room is taken before a message is appended, and corrected afterwards. A process that dies in between leaves
//! an entry that is too large, until it lapses. A mailbox weighs more than what is not counted only if its newest
//! message was counted.

use fred::types::{Value, scripts::Script};
use model::SessionId;
use ports::{MailboxError, MailboxLimits};
use tracing::debug;

use super::scripts::number;
use crate::RedisSessionStore;

const PRELUDE: &str = r"
local weights, times, session = KEYS[1], KEYS[2], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function of(field) return tonumber(redis.call('HGET', weights, field) or '0') end
local function set(mailbox, weight)
  redis.call('HINCRBY', weights, 'total', text(weight - of(mailbox)))
  if weight == 0 then
    redis.call('HDEL', weights, mailbox)
    redis.call('ZREM', times, mailbox)
  else
    redis.call('HSET', weights, mailbox, text(weight))
  end
end
";

/// `ARGV` session, wanted weight, most weight of the owner, oldest age in ms, ms that the mailbox has left. Takes as
/// much of the wanted weight as there is room for; answers what the mailbox may weigh.
const TAKE: &str = r"
local wanted, most, age, left = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', times, '-inf', text(now), 'LIMIT', 0, 1000)) do
  set(old, 0)
end
local room = math.max(most - (of('total') - of(session)), 0)
local taken = math.min(wanted, room)
set(session, taken)
if taken > 0 then redis.call('ZADD', times, text(now + math.min(age, left)), session) end
local kept = math.max(redis.call('PTTL', weights), 2 * age, 1)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, text(kept)) end
return text(room)
";

/// `ARGV` session, weight. A mailbox that has no entry gets none.
const SET: &str = r"
if redis.call('HEXISTS', weights, session) == 1 then set(session, tonumber(ARGV[2])) end
";

/// `ARGV` session, ms that its messages have left. A mailbox that has no entry gets none.
const LAPSE: &str = r"
if redis.call('HEXISTS', weights, session) == 1 then
  redis.call('ZADD', times, text(now + tonumber(ARGV[2])), session)
end
";

/// The scripts with their digests, computed once.
pub(crate) struct AccountScripts {
    take: Script,
    set: Script,
    lapse: Script,
}

impl AccountScripts {
    pub(crate) fn new() -> Self {
        let script = |body| Script::from_lua(format!("{PRELUDE}{body}"));
        Self {
            take: script(TAKE),
            set: script(SET),
            lapse: script(LAPSE),
        }
    }
}

/// The room that a mailbox asks for.
pub(super) struct RoomRequest {
    /// The owner of the account.
    pub(super) owner: String,
    /// The weight of the mailbox with another message.
    pub(super) wanted: u64,
    /// The milliseconds until the mailbox expires.
    pub(super) left_millis: u64,
}

impl RoomRequest {
    /// Reads it from the answer of a script.
    pub(super) fn read(mut answer: impl Iterator<Item = Value>) -> Option<Self> {
        Some(Self {
            owner: answer.next()?.into_string()?,
            wanted: number(answer.next()?)?,
            left_millis: number(answer.next()?)?,
        })
    }
}

impl RedisSessionStore {
    /// Takes room for a mailbox that is to hold a message of `payload` bytes; returns what it may weigh.
    pub(super) async fn take_room(
        &self,
        session: &SessionId,
        request: &RoomRequest,
        payload: usize,
        limits: MailboxLimits,
    ) -> Result<u64, MailboxError> {
        const OP: &str = "take room for a message";
        let arguments = [
            session.as_str().to_owned(),
            request.wanted.to_string(),
            limits.max_owner_bytes.to_string(),
            limits.max_age.as_millis().to_string(),
            request.left_millis.to_string(),
        ];
        let arguments = arguments.map(Value::from).to_vec();
        let keys = self.keys.mail_account_keys(&request.owner);
        let script = &self.account_scripts.take;
        let room = self.run_on_shared::<u64>(OP, script, &keys, arguments);
        let others = limits.max_owner_bytes.saturating_sub(room.await?);
        match limits.room(others, payload) {
            Some(room) => Ok(room),
            None => {
                self.give_back_room(session, request, payload).await;
                Err(MailboxError::owner_is_full())
            }
        }
    }

    /// A message was refused: the mailbox weighs what it did before.
    async fn give_back_room(&self, session: &SessionId, request: &RoomRequest, payload: usize) {
        let more = MailboxLimits::weight(1, payload as u64);
        let before = request.wanted.saturating_sub(more);
        self.weighs(&request.owner, session, before).await;
    }

    /// The messages of a mailbox that counts have this much time left now. If that fails, its entry lapses when it
    /// would have.
    pub(super) async fn lapses_in(&self, owner: &str, session: &SessionId, millis: u64) {
        const OP: &str = "correct an account";
        let arguments = vec![session.as_str().into(), millis.to_string().into()];
        let keys = self.keys.mail_account_keys(owner);
        let script = &self.account_scripts.lapse;
        let set = self.run_on_shared::<Value>(OP, script, &keys, arguments);
        if let Err(error) = set.await {
            debug!(%error, %session, "a mailbox that was touched counts as long as before");
        }
    }

    /// Corrects the account: a mailbox weighs this much now. If that fails, its entry lapses with the age of
    /// its messages.
    pub(crate) async fn weighs(&self, owner: &str, session: &SessionId, weight: u64) {
        const OP: &str = "correct an account";
        let counts = weight > MailboxLimits::UNCOUNTED_BYTES;
        let weight = if counts { weight } else { 0 };
        let arguments = vec![session.as_str().into(), weight.to_string().into()];
        let keys = self.keys.mail_account_keys(owner);
        let script = &self.account_scripts.set;
        let set = self.run_on_shared::<Value>(OP, script, &keys, arguments);
        if let Err(error) = set.await {
            debug!(%error, %session, "a mailbox counts for more than it holds, until its messages are too old");
        }
    }
}
