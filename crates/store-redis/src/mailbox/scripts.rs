//! Lua scripts that change and read a mailbox, atomic in the server, with all keys in one slot.
//!
//! `KEYS` of every script:
//! 1. a hash, which makes the mailbox: `owner`, `began` (the sequence of its opening), `last` sequence, `bytes` of
//!    payload, `count` of messages, `till` (the time in ms until which messages are kept), `counted` (the mailbox is
//!    in the account of its owner, see `accounts`), `forgotten` (streams that ended at or before this sequence may
//!    be forgotten), and per stream `opened:<stream>` and `lost:<stream>`, the last message removed;
//! 2. a sorted set of messages by sequence, `<sequence>:<time in ms>:<bytes>:<stream>`: finds the
//!    oldest message;
//! 3. a sorted set with equal scores, so ordered by text, `<stream>:<sequence>`: the messages of a
//!    stream;
//! 4. a hash of payloads by sequence;
//! 5. a sorted set of streams by their last sequence, with open streams above closed ones, so that
//!    the first is the next to be forgotten.
//!
//! All of them expire with the mailbox. What an evicted or expired hash leaves behind is removed when the mailbox
//! is opened anew.
//!
//! Keys 2 to 4 expire when the newest message is too old, so that a mailbox that nobody reads holds its
//! payloads no longer than that; the next call notices it and records the losses.
//!
//! A sequence is the server's time in microseconds, or one more than the last sequence if the time
//! has not advanced: after a failover that loses the last writes, the sequences of the lost time are
//! not given out again, nor are those of an earlier mailbox.
//!
//! A server that evicts keys removes one of these alone. What is left cannot be put together again, so the
//! next script removes all messages, and every reader is told that it lost them. Without the first key there is no
//! mailbox; one that is opened in its place has a later beginning, by which readers know.
//!
//! Sequences in text have twenty digits, so that they sort like numbers. A stream id contains
//! neither `:` nor `;`. `ARGV[1]` is the stream. The answer begins with 0 (no such mailbox), 1
//! (closed), 2 (done) or 4 (the owner's account has to be asked first; with the owner, the weight that the
//! mailbox would have, and the milliseconds that it has left).

use fred::types::{Value, scripts::Script};

/// Shared by all scripts.
const HEAD: &str = r"
local meta, order, index, payloads, streams = unpack(KEYS)
local EACH = 128
local function text(number) return string.format('%.0f', number) end
local function micros()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function is_open() return redis.call('HEXISTS', meta, 'owner') == 1 end
local function held(field) return tonumber(redis.call('HGET', meta, field) or '0') end
local function weight() return held('bytes') + EACH * redis.call('ZCARD', order) end
-- What is beside the hash expires with it, and messages not after their own age.
local function keep()
  local left = redis.call('PTTL', meta)
  local till = tonumber(redis.call('HGET', meta, 'till') or nil)
  for n = 2, #KEYS do redis.call('PEXPIRE', KEYS[n], left) end
  if till and till < micros() / 1000 + left then
    for n = 2, 4 do redis.call('PEXPIREAT', KEYS[n], text(till)) end
  end
end
";

/// Shared by the scripts on a stream.
const PRELUDE: &str = r"
local stream = ARGV[1]
if not is_open() then return {0} end
local OPEN = 4503599627370496
local function last_given() return held('last') end
local function give(now)
  local sequence = math.max(last_given() + 1, now)
  redis.call('HSET', meta, 'last', text(sequence))
  return sequence
end
local function recount() redis.call('HSET', meta, 'count', redis.call('ZCARD', order)) end
if held('count') > 0 and redis.call('EXISTS', order) == 0 then
  -- First, because a full server takes no other change.
  redis.call('DEL', payloads)
  local known = redis.call('ZRANGE', streams, 0, -1, 'WITHSCORES')
  for n = 1, #known, 2 do
    local last = text(tonumber(known[n + 1]) % OPEN)
    if redis.call('HGET', meta, 'opened:' .. known[n]) ~= last then
      redis.call('HSET', meta, 'lost:' .. known[n], last)
    end
  end
  redis.call('HSET', meta, 'bytes', '0', 'count', '0')
end
local function remove(entry)
  local sequence, bytes, of = string.match(entry, '^(%d+):%d+:(%d+):(.*)$')
  redis.call('ZREM', order, entry)
  redis.call('ZREM', index, of .. ':' .. sequence)
  redis.call('HDEL', payloads, sequence)
  redis.call('HINCRBY', meta, 'bytes', text(0 - tonumber(bytes)))
  redis.call('HSET', meta, 'lost:' .. of, sequence)
  return tonumber(bytes)
end
local function remove_through(of, last)
  local members = redis.call('ZRANGEBYLEX', index, '[' .. of .. ':', last)
  for _, member in ipairs(members) do
    local sequence = string.sub(member, -20)
    remove(redis.call('ZRANGEBYSCORE', order, sequence, sequence)[1])
  end
  return #members
end
local function forget()
  local first = redis.call('ZPOPMIN', streams)
  local last = tonumber(first[2]) % OPEN
  remove_through(first[1], '(' .. first[1] .. ';')
  redis.call('HDEL', meta, 'lost:' .. first[1], 'opened:' .. first[1])
  if last > tonumber(redis.call('HGET', meta, 'forgotten') or '0') then
    redis.call('HSET', meta, 'forgotten', text(last))
  end
  recount()
end
local function add(opened, most)
  local known = redis.call('ZCARD', streams)
  while known > 0 and known >= most do
    forget()
    known = known - 1
  end
  local lost = redis.call('HGET', meta, 'forgotten') or '0'
  redis.call('HSET', meta, 'opened:' .. stream, text(opened), 'lost:' .. stream, lost)
  redis.call('ZADD', streams, text(opened + OPEN), stream)
end
local function is_whole()
  local messages = redis.call('ZCARD', order)
  if redis.call('ZCARD', index) ~= messages or redis.call('HLEN', payloads) ~= messages then return false end
  return messages == 0 or redis.call('EXISTS', streams) == 1
end
if not is_whole() then
  redis.call('UNLINK', order, index, payloads)
  local last = text(give(micros()))
  redis.call('HSET', meta, 'bytes', '0', 'count', '0', 'forgotten', last)
  for _, of in ipairs(redis.call('ZRANGE', streams, 0, -1)) do
    redis.call('HSET', meta, 'lost:' .. of, last)
  end
  keep()
end
local score = tonumber(redis.call('ZSCORE', streams, stream) or nil)
local closed = score and score < OPEN
";

/// `ARGV` owner, milliseconds to live.
const OPEN_MAILBOX: &str = r"
if not is_open() then
  redis.call('UNLINK', unpack(KEYS))
  local began = text(micros())
  redis.call('HSET', meta, 'owner', ARGV[1], 'began', began, 'last', began)
end
redis.call('PEXPIRE', meta, ARGV[2])
keep()
return {2}
";

/// `ARGV` milliseconds to live. Answers nothing more, or, if the mailbox is in the owner's account, the owner and
/// the milliseconds that its messages have left.
const TOUCH: &str = r"
if not is_open() then return {0} end
redis.call('PEXPIRE', meta, ARGV[1])
keep()
if redis.call('HEXISTS', meta, 'counted') == 0 then return {2} end
return {2, redis.call('HGET', meta, 'owner'), text(math.max(redis.call('PTTL', order), 0))}
";

/// Answers nothing more, or, if the mailbox is in the owner's account, the owner.
const END: &str = r"
local owner = redis.call('HGET', meta, 'owner')
local counted = redis.call('HEXISTS', meta, 'counted')
redis.call('UNLINK', unpack(KEYS))
if not owner then return {0} end
if counted == 0 then return {2} end
return {2, owner}
";

/// `ARGV` stream, most streams. Answers the position.
const OPEN: &str = r"
if closed then return {1} end
if score then return {2, redis.call('HGET', meta, 'opened:' .. stream)} end
local opened = give(micros())
add(opened, tonumber(ARGV[2]))
keep()
return {2, text(opened)}
";

/// `ARGV` stream, most streams, payload, most messages, most bytes, oldest age in ms, most weight, whether
/// that comes from the owner's account (0 or 1). Answers the sequence and the weight.
const APPEND: &str = r"
if closed then return {1} end
local payload, most, most_bytes, age = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local room, asked = tonumber(ARGV[7]), ARGV[8] == '1'
local wanted = weight() + #payload + EACH
if not asked and wanted > room then
  return {4, redis.call('HGET', meta, 'owner'), text(wanted), text(redis.call('PTTL', meta))}
end
if not score then add(last_given(), tonumber(ARGV[2])) end
local time = micros()
local now = math.floor(time / 1000)
local last = give(time)
local sequence = string.format('%020.0f', last)
redis.call('ZADD', streams, text(last + OPEN), stream)
redis.call('ZADD', order, text(last), sequence .. ':' .. text(now) .. ':' .. #payload .. ':' .. stream)
redis.call('ZADD', index, '0', stream .. ':' .. sequence)
redis.call('HSET', payloads, sequence, payload)
local bytes = redis.call('HINCRBY', meta, 'bytes', #payload)
local count = redis.call('ZCARD', order)
while count > 1 do
  local first = redis.call('ZRANGE', order, 0, 0)[1]
  local at = tonumber(string.match(first, '^%d+:(%d+)'))
  local fits = count <= most and bytes <= most_bytes and bytes + EACH * count <= room
  if fits and at + age > now then break end
  bytes = bytes - remove(first)
  count = count - 1
end
redis.call('HSET', meta, 'count', count)
if age > 0 then redis.call('HSET', meta, 'till', text(now + age)) else redis.call('HDEL', meta, 'till') end
if asked then redis.call('HSET', meta, 'counted', '1') end
keep()
return {2, text(last), text(bytes + EACH * count)}
";

/// `ARGV` stream, position, most messages, most bytes. Answers the loss, 0 open or 1 closed or 2 not
/// known, whether there is more, the sequence of the opening, the last one, and sequences with payloads in turn.
const READ: &str = r"
local began, given = unpack(redis.call('HMGET', meta, 'began', 'last'))
if not score then return {2, redis.call('HGET', meta, 'forgotten') or '0', 2, 0, began, given} end
local limit, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local lost = redis.call('HGET', meta, 'lost:' .. stream) or '0'
local page = {2, lost, closed and 1 or 0, 0, began, given}
local from, to = '(' .. stream .. ':' .. ARGV[2], '(' .. stream .. ';'
local bytes = 0
for n, member in ipairs(redis.call('ZRANGEBYLEX', index, from, to, 'LIMIT', 0, limit + 1)) do
  local sequence = string.sub(member, -20)
  local payload = redis.call('HGET', payloads, sequence)
  bytes = bytes + #payload
  if n > limit or (n > 1 and bytes > most_bytes) then
    page[4] = 1
    break
  end
  page[#page + 1] = sequence
  page[#page + 1] = payload
end
return page
";

/// `ARGV` stream, position. Answers how many went; and the owner and the weight, if the mailbox is in the
/// owner's account.
const TRIM: &str = r"
local gone = remove_through(stream, '[' .. stream .. ':' .. ARGV[2])
if gone == 0 then return {2, gone} end
recount()
if redis.call('HEXISTS', meta, 'counted') == 0 then return {2, gone} end
return {2, gone, redis.call('HGET', meta, 'owner'), text(weight())}
";

/// `ARGV` stream.
const CLOSE: &str = r"
if score and not closed then redis.call('ZADD', streams, text(score - OPEN), stream) end
return {2}
";

/// The scripts with their digests, computed once.
pub(crate) struct MailboxScripts {
    pub(crate) open_mailbox: Script,
    pub(crate) touch: Script,
    pub(crate) end: Script,
    pub(crate) open: Script,
    pub(crate) append: Script,
    pub(crate) read: Script,
    pub(crate) trim: Script,
    pub(crate) close: Script,
}

impl MailboxScripts {
    pub(crate) fn new() -> Self {
        let of_mailbox = |body| Script::from_lua(format!("{HEAD}{body}"));
        let script = |body| Script::from_lua(format!("{HEAD}{PRELUDE}{body}"));
        Self {
            open_mailbox: of_mailbox(OPEN_MAILBOX),
            touch: of_mailbox(TOUCH),
            end: of_mailbox(END),
            open: script(OPEN),
            append: script(APPEND),
            read: script(READ),
            trim: script(TRIM),
            close: script(CLOSE),
        }
    }
}

/// A number in a script's answer.
pub(super) fn number(value: Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(number).ok(),
        other => other.as_str()?.parse().ok(),
    }
}
