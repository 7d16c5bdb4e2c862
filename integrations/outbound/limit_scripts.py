"""
The two scripts that Redis runs for the limits. Redis runs one script at a time: what they do is one step.

Brakes are hashes: `closed` (no call before), `factor` and `until` (the rate is multiplied by it until then) and `next`
(the next call of a slowed scope without a bucket). Buckets are hashes: `t` tokens at the moment `at`. All moments are
in milliseconds of Redis's clock. Every key has an end, after which it would say nothing anyway.

They are written for one Redis, not for a cluster: a call's keys belong to several slots.
"""

TAKE = """
-- KEYS: the brakes, then for each bucket: itself, the members that share it, the own share of it.
-- ARGV: clock ahead (ms), member, number of brakes, for each brake the rate (per ms) that slowing starts from or 0,
--       then for each bucket: rate (per ms), burst, its brake's position or 0, 1 when it is shared.
-- Answers {wait (ms), position of the brake or bucket to wait for, 1 when a brake was on}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local member = ARGV[2]
local brakes = tonumber(ARGV[3])
local wait, position, braked = 0, 0, 0
local factors, writes = {}, {}

local function hold(milliseconds, place)
  if milliseconds > wait then wait, position = milliseconds, place end
end

local function level_of(key, rate, burst)
  local stored = redis.call('HMGET', key, 't', 'at')
  if not stored[1] then return burst end
  local passed = math.max(0, now - tonumber(stored[2]))
  return math.min(burst, tonumber(stored[1]) + passed * rate)
end

local function take(key, level, rate, burst, place)
  if level < 1 then hold((1 - level) / rate, place) end
  table.insert(writes, {key, level - 1, math.min(burst / rate, 172800000)})
end

for i = 1, brakes do
  local brake = redis.call('HMGET', KEYS[i], 'closed', 'factor', 'until', 'next')
  factors[i] = 1
  if brake[1] or brake[2] then braked = 1 end
  if brake[1] then hold(tonumber(brake[1]) - now, i) end
  if brake[2] and tonumber(brake[3]) > now then
    factors[i] = tonumber(brake[2])
    local rate = tonumber(ARGV[3 + i])
    if rate > 0 then
      hold(tonumber(brake[4] or 0) - now, i)
      table.insert(writes, {KEYS[i], now + 1 / (rate * factors[i])})
    end
  end
end

local key, argument, place = brakes + 1, 4 + brakes, brakes + 1
while argument <= #ARGV do
  local burst, brake = tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2])
  local rate = tonumber(ARGV[argument]) * (factors[brake] or 1)
  local level = level_of(KEYS[key], rate, burst)
  take(KEYS[key], level, rate, burst, place)
  if ARGV[argument + 3] == '1' then
    -- A member is active for a minute after it asked, whether or not it was let through.
    redis.call('ZADD', KEYS[key + 1], now, member)
    redis.call('ZREMRANGEBYSCORE', KEYS[key + 1], '-inf', now - 60000)
    redis.call('PEXPIRE', KEYS[key + 1], 120000)
    if level - 1 < burst / 2 then
      -- Bursts of shares shrink with the square of the members: however many come one after another, they sum up to
      -- less than the half that is kept (0.6 * (1 + 1/4 + 1/9 + ...) < 1), so a newcomer finds its part there.
      local members = redis.call('ZCARD', KEYS[key + 1])
      local own = math.max(1, 0.3 * burst / (members * members))
      take(KEYS[key + 2], level_of(KEYS[key + 2], rate / members, own), rate / members, own, place)
    end
  end
  key, argument, place = key + 3, argument + 4, place + 1
end

if wait > 0 then return {math.max(1, math.ceil(wait)), position, braked} end
for _, write in ipairs(writes) do
  if write[3] then
    redis.call('HSET', write[1], 't', tostring(write[2]), 'at', now)
    redis.call('PEXPIRE', write[1], math.ceil(write[3]) + 60000)
  else
    redis.call('HSET', write[1], 'next', tostring(write[2]))
  end
end
return {0, 0, braked}
"""

LEARN = """
-- KEYS: a brake. ARGV: clock ahead (ms), close for (ms), factor, the factor lasts (ms).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local closed, factor = tonumber(ARGV[2]), tonumber(ARGV[3])
local ends = now
if closed > 0 then
  -- Two answers may cross: the longer wait counts.
  ends = math.max(now + closed, tonumber(redis.call('HGET', KEYS[1], 'closed') or 0))
  redis.call('HSET', KEYS[1], 'closed', ends)
end
if factor < 1 then
  redis.call('HSET', KEYS[1], 'factor', tostring(factor), 'until', now + tonumber(ARGV[4]))
  ends = math.max(ends, now + tonumber(ARGV[4]))
elseif closed == 0 then
  redis.call('HDEL', KEYS[1], 'factor', 'until', 'next')
end
if ends > now then
  local left = redis.call('PTTL', KEYS[1])
  redis.call('PEXPIRE', KEYS[1], math.max(left, math.ceil(ends - now) + 1000))
end
return 1
"""
