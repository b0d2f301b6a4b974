-- What every script begins with: the keys, the life of a message, and the server's own time.
--
-- ARGV[1] prefix of every key    ARGV[2] JSON of what is asked    ARGV[3..] bytes as they are
--
-- In a queue a message goes by its id; one whose id is there already (it was forgotten by `seen`)
-- goes by its id and its sequence, and is found through `again`.
--
-- queues                set    names of queues that were ever named
-- q:<queue>:meta        hash   id -> msgpack of the message's state (fields below)
-- q:<queue>:body        hash   id -> the envelope, which no script looks into
-- q:<queue>:ready       zset   id by rank: higher priority first, then older first
-- q:<queue>:delayed     zset   id by when it may be taken, ms
-- q:<queue>:held        zset   id by age: waits behind another message of its key
-- q:<queue>:heldlater   zset   as `held`, by when it may be taken, ms: delayed besides
-- q:<queue>:leased      zset   id by when its lease ends, ms
-- q:<queue>:expiring    zset   id by when it expires unless it is taken, ms
-- q:<queue>:seen        zset   id by when it was accepted, ms: what duplicates are known by
-- q:<queue>:key:<key>   zset   id by age; only the first may be taken
-- q:<queue>:again:<id>  set    what the later ones of an id go by; `deadagain` for the dead
-- q:<queue>:dead        zset   id by when it died, microseconds
-- q:<queue>:deadmeta, q:<queue>:deadbody   as above, for the dead
-- leases:<owner>        set    "<queue> <id>" of what a process holds
-- owners                zset   process by when its heartbeat ends, ms
-- sequence              text   counter of everything that is accepted or published
--
-- A message's state: s sequence, p priority, k key, n attempts, x attempts at most, e expires ms,
-- d not before ms, t state, f token, o owner, w worker, r reason, a in this state since ms,
-- c accepted ms, i id where it goes by another name
local P, asked = ARGV[1], cjson.decode(ARGV[2])
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)
local STEP = 200 -- how much of what is due one call puts in its place
local PRIORITY = 17592186044416 -- 2^44: more than there will ever be messages
local deaths = 0

local function key(queue, part) return P .. 'q:' .. queue .. ':' .. part end
local function text(number) return string.format('%.0f', number) end
local function ordinal() return redis.call('INCR', P .. 'sequence') end
local function wake(queue) redis.call('PUBLISH', P .. 'wake:' .. queue, '') end

local function read(queue, id)
  local packed = redis.call('HGET', key(queue, 'meta'), id)
  return packed and cmsgpack.unpack(packed)
end

local function write(queue, id, m)
  redis.call('HSET', key(queue, 'meta'), id, cmsgpack.pack(m))
end

local function place(queue, id, m)
  if m.k and redis.call('ZRANGE', key(queue, 'key:' .. m.k), 0, 0)[1] ~= id then
    local later = m.d and m.d > now
    m.t = later and 'heldlater' or 'held'
    redis.call('ZADD', key(queue, m.t), later and m.d or m.s, id)
  elseif m.d and m.d > now then
    m.t = 'delayed'
    redis.call('ZADD', key(queue, 'delayed'), m.d, id)
    wake(queue) -- whoever waits may have to wait less
  else
    m.t, m.d = 'ready', nil
    redis.call('ZADD', key(queue, 'ready'), (9 - m.p) * PRIORITY + m.s, id)
    wake(queue)
  end
  m.a = now
  write(queue, id, m)
end

local function unplace(queue, id, m)
  redis.call('ZREM', key(queue, m.t), id)
  if m.o then redis.call('SREM', P .. 'leases:' .. m.o, queue .. ' ' .. id) end
  m.f, m.o, m.w = nil, nil, nil
end

-- Under which name a message may go, given what is there.
local function free_name(queue, id, sequence, meta, again)
  if redis.call('HEXISTS', key(queue, meta), id) == 0 then return id end
  local name = id .. '\31' .. text(sequence)
  redis.call('SADD', key(queue, again .. id), name)
  return name, id
end

local function names_of(queue, id, again)
  local names = redis.call('SMEMBERS', key(queue, again .. id))
  table.sort(names)
  table.insert(names, 1, id)
  return names
end

local function remove(queue, id, m)
  unplace(queue, id, m)
  if m.i then redis.call('SREM', key(queue, 'again:' .. m.i), id) end
  redis.call('HDEL', key(queue, 'meta'), id)
  redis.call('HDEL', key(queue, 'body'), id)
  if m.e then redis.call('ZREM', key(queue, 'expiring'), id) end
  if not m.k then return end
  local line = key(queue, 'key:' .. m.k)
  redis.call('ZREM', line, id)
  local next = redis.call('ZRANGE', line, 0, 0)[1]
  local waiting = next and read(queue, next)
  if waiting and (waiting.t == 'held' or waiting.t == 'heldlater') then
    unplace(queue, next, waiting)
    place(queue, next, waiting)
  end
end

local function forget_dead(queue, name)
  local packed = redis.call('HGET', key(queue, 'deadmeta'), name)
  local m = packed and cmsgpack.unpack(packed)
  if m and m.i then redis.call('SREM', key(queue, 'deadagain:' .. m.i), name) end
  redis.call('HDEL', key(queue, 'deadmeta'), name)
  redis.call('HDEL', key(queue, 'deadbody'), name)
  return redis.call('ZREM', key(queue, 'dead'), name)
end

local function trim_dead(queue)
  local over = redis.call('ZCARD', key(queue, 'dead')) - asked.dead_max
  local old = over > 0 and redis.call('ZRANGE', key(queue, 'dead'), 0, math.min(over, STEP) - 1)
    or redis.call('ZRANGEBYSCORE', key(queue, 'dead'), '-inf', now_us - asked.dead_ms * 1000,
      'LIMIT', 0, STEP)
  for _, name in ipairs(old) do forget_dead(queue, name) end
end

local function die(queue, id, m, reason)
  local body = redis.call('HGET', key(queue, 'body'), id)
  local worker = m.w
  remove(queue, id, m)
  local name
  name, m.i = free_name(queue, m.i or id, m.s, 'deadmeta', 'deadagain:')
  m.r, m.t, m.a, m.w = reason, 'dead', now, worker
  deaths = deaths + 1
  redis.call('ZADD', key(queue, 'dead'), now_us + deaths, name)
  redis.call('HSET', key(queue, 'deadmeta'), name, cmsgpack.pack(m))
  redis.call('HSET', key(queue, 'deadbody'), name, body)
  trim_dead(queue)
end

local function give_back(queue, id, m, reason, burn, delay_ms)
  local worker = m.w
  m.r = reason ~= '' and reason or nil
  if not burn then m.n = m.n - 1 end
  if m.n >= m.x then return die(queue, id, m, m.r or 'attempts') end
  if m.e and m.e <= now then return die(queue, id, m, 'expired') end
  unplace(queue, id, m)
  m.w = worker
  if m.e then redis.call('ZADD', key(queue, 'expiring'), m.e, id) end
  m.d = delay_ms > 0 and now + delay_ms or nil
  place(queue, id, m)
end

local function due(queue, part)
  return redis.call('ZRANGEBYSCORE', key(queue, part), '-inf', now, 'LIMIT', 0, STEP)
end

-- Put in its place whatever the time has moved. Everybody who looks at a queue calls this first,
-- so that nobody has to be there for it.
local function settle(queue)
  for _, id in ipairs(due(queue, 'leased')) do
    give_back(queue, id, read(queue, id), 'lease ended', true, 0)
  end
  for _, id in ipairs(due(queue, 'expiring')) do
    die(queue, id, read(queue, id), 'expired')
  end
  for _, part in ipairs({'delayed', 'heldlater'}) do
    for _, id in ipairs(due(queue, part)) do
      local m = read(queue, id)
      unplace(queue, id, m)
      place(queue, id, m)
    end
  end
  trim_dead(queue)
end

-- The message of a lease that still holds, or nil: the only place where tokens are compared.
local function held_by(queue, id, token)
  local m = read(queue, id)
  if m and m.t == 'leased' and m.f == token then
    local ends = redis.call('ZSCORE', key(queue, 'leased'), id)
    if tonumber(ends) > now then return m end
  end
end

local function full(queue)
  return redis.error_reply('FULL ' .. queue .. ' holds ' .. redis.call('HLEN', key(queue, 'meta')))
end

local function room(queue, count)
  return redis.call('HLEN', key(queue, 'meta')) + count <= asked.queue_max
end

local function known(queue, id)
  return redis.call('ZSCORE', key(queue, 'seen'), id)
end

local function forget_seen(queue)
  redis.call('ZREMRANGEBYSCORE', key(queue, 'seen'), '-inf', now - asked.dedupe_ms)
end

-- one: id, p priority, k key, x attempts, e expires ms, d not before ms; 0 and '' mean none.
local function accept(queue, one, body)
  local m = {s = ordinal(), p = one.p, n = 0, x = one.x, c = now}
  if one.k ~= '' then m.k = one.k end
  if one.e > 0 then m.e = one.e end
  if one.d > now then m.d = one.d end
  local name
  name, m.i = free_name(queue, one.id, m.s, 'meta', 'again:')
  redis.call('HSET', key(queue, 'body'), name, body)
  redis.call('ZADD', key(queue, 'seen'), now, one.id)
  if m.e then redis.call('ZADD', key(queue, 'expiring'), m.e, name) end
  if m.k then redis.call('ZADD', key(queue, 'key:' .. m.k), m.s, name) end
  place(queue, name, m)
end

-- One entry as flat texts; Python's `entries` reads the same order.
local function told(id, m, body)
  return {id, body or '', m.t, text(m.n), text(m.d or 0), text(m.p), m.k or '', m.w or '',
    m.r or '', text(m.a)}
end
