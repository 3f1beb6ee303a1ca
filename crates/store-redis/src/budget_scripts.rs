//! Lua scripts of budgets, atomic in the server. The first key is the account's hash, the second its slots, by the end
//! of their time to live. Times are in microseconds of the server's clock. Fields of the hash:
//!
//! - `stopped`: the end of the last stop.
//! - `p:<bucket>`: what was granted in the last period of a paced bucket, as pairs: the number of a part, and the count.
//! - `r:<bucket>`: a reported bucket: limit, remaining, end of the reported window, begin of the window after it or 0.

use fred::types::scripts::Script;

/// Shared by the scripts. `ARGV` milliseconds for which the keys are kept.
const PRELUDE: &str = r"
local account, slots, kept = KEYS[1], KEYS[2], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at = 1
local function text(number) return string.format('%.0f', number) end
local function argument() at = at + 1; return ARGV[at] end
local function number() return tonumber(argument()) end
local function load(field)
  local list = {}
  for word in string.gmatch(redis.call('HGET', account, field) or '', '%d+') do list[#list + 1] = tonumber(word) end
  return list
end
local function join(list)
  local words = {}
  for place, value in ipairs(list) do words[place] = text(value) end
  return table.concat(words, ' ')
end
local function save(field, value)
  redis.call('HSET', account, field, value)
end
";

/// `ARGV` slots or 0, microseconds to live, name of the slot, wait for a slot, parts of a period, and for each need: `p`
/// or `r`, bucket, permits, period, capacity. Returns the microseconds to wait, or 0 if all is granted.
const TAKE: &str = r"
local most, ttl, name, pause, parts = number(), number(), argument(), number(), number()
local wait = math.max(0, tonumber(redis.call('HGET', account, 'stopped') or '0') - now)
if most > 0 then
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', text(now))
  if redis.call('ZCARD', slots) >= most then wait = math.max(wait, pause) end
end
local changes = {}
local function change(field, list) changes[#changes + 1] = {field, join(list)} end
local function paced(field, permits, period, capacity)
  local length = period / parts
  local current, used, sum = math.floor(now / length), {}, 0
  local known = load(field)
  for place = 1, #known, 2 do
    local part, count = math.min(known[place], current), known[place + 1]
    if part >= current - parts then
      used[#used + 1], used[#used + 2], sum = part, count, sum + count
    end
  end
  local want, place = math.min(permits, capacity), 1
  while sum + want > capacity do
    sum = sum - used[place + 1]
    wait = math.max(wait, (used[place] + parts + 1) * length - now)
    place = place + 2
  end
  if used[#used - 1] == current then
    used[#used] = used[#used] + want
  else
    used[#used + 1], used[#used + 2] = current, want
  end
  change(field, used)
end
local function reported(field, permits, period)
  local known = load(field)
  if #known < 4 then return end
  local limit, remaining, resets, rolled = unpack(known)
  local ends = rolled > 0 and rolled + period or resets
  if now >= ends then remaining, rolled, ends = limit, now, now + period end
  local want = math.min(permits, limit)
  if remaining < want then wait = math.max(wait, ends - now) end
  change(field, {limit, math.max(0, remaining - want), resets, rolled})
end
while at < #ARGV do
  local kind, bucket, permits, period, capacity = argument(), argument(), number(), number(), number()
  if kind == 'p' then
    paced('p:' .. bucket, permits, period, capacity)
  else
    reported('r:' .. bucket, permits, period)
  end
end
if wait > 0 then return text(math.ceil(wait)) end
for _, made in ipairs(changes) do save(made[1], made[2]) end
redis.call('PEXPIRE', account, kept)
if most > 0 then
  redis.call('ZADD', slots, text(now + ttl), name)
  redis.call('PEXPIRE', slots, kept)
end
return '0'
";

/// `ARGV` the share of a period within which two resets are one, number of freed slots, their names, number of buckets
/// that are given permits, and bucket and permits of each; then for each report: bucket, period, limit, remaining,
/// microseconds until the reset.
const SETTLE: &str = r"
local same = number()
for _ = 1, number() do redis.call('ZREM', slots, argument()) end
for _ = 1, number() do
  local field, permits = 'r:' .. argument(), number()
  local known = load(field)
  if #known == 4 then
    known[2] = math.min(known[1], known[2] + permits)
    save(field, join(known))
  end
end
redis.call('ZREMRANGEBYSCORE', slots, '-inf', text(now))
local held = redis.call('ZCARD', slots)
while at < #ARGV do
  local field, period, limit, remaining, left = 'r:' .. argument(), number(), number(), number(), number()
  local known, resets = load(field), now + left
  local fresh = {limit, math.max(0, remaining - held), resets, 0}
  if #known == 4 then
    local later, rolled = resets > known[3] + period / same, known[4] > 0
    if later == rolled and remaining >= known[2] then fresh[2] = known[2] end
    if not later then fresh[3] = math.max(known[3], resets) end
    if rolled and not later then fresh = known end
  end
  save(field, join(fresh))
end
redis.call('PEXPIRE', account, kept)
return 1
";

/// `ARGV` microseconds of the stop.
const STOP: &str = r"
local ends = math.max(now + number(), tonumber(redis.call('HGET', account, 'stopped') or '0'))
save('stopped', text(ends))
redis.call('PEXPIRE', account, kept)
return 1
";

/// The scripts with their digests, computed once.
pub(crate) struct BudgetScripts {
    pub(crate) take: Script,
    pub(crate) settle: Script,
    pub(crate) stop: Script,
}

impl BudgetScripts {
    pub(crate) fn new() -> Self {
        let script = |body| Script::from_lua(format!("{PRELUDE}{body}"));
        Self {
            take: script(TAKE),
            settle: script(SETTLE),
            stop: script(STOP),
        }
    }
}
