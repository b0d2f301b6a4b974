-- A sign of life of asked.owner for asked.ttl_ms, and what is to be done for those who give none.
-- Tells 1 when this owner was given up meanwhile (its leases and its presence are gone), else 0.
-- presence          hash   address -> JSON of owner, info, since
-- present:<owner>   set    addresses a process joined
-- Nothing is locked: one call gives up to STEP leases of one dead process back, whoever makes it.
local absent = not redis.call('ZSCORE', P .. 'owners', asked.owner)
redis.call('ZADD', P .. 'owners', now + asked.ttl_ms, asked.owner)

local function change(kind, address, info, since)
  redis.call('PUBLISH', P .. 'presence', cjson.encode(
    {number = ordinal(), change = kind, address = address, info = info, since = since}))
end

local function gone(owner)
  for _, address in ipairs(redis.call('SMEMBERS', P .. 'present:' .. owner)) do
    local member = redis.call('HGET', P .. 'presence', address)
    local known_member = member and cjson.decode(member)
    if known_member and known_member.owner == owner then
      redis.call('HDEL', P .. 'presence', address)
      change('left', address, known_member.info, known_member.since)
    end
  end
  redis.call('DEL', P .. 'present:' .. owner)
  for _, held in ipairs(redis.call('SRANDMEMBER', P .. 'leases:' .. owner, STEP)) do
    local queue, id = string.match(held, '^(%S+) (.*)$')
    local m = read(queue, id)
    if m and m.t == 'leased' and m.o == owner then
      give_back(queue, id, m, asked.leaving and 'given back' or 'worker gone', not asked.leaving, 0)
    else
      redis.call('SREM', P .. 'leases:' .. owner, held)
    end
  end
  if redis.call('EXISTS', P .. 'leases:' .. owner) == 0 then
    redis.call('ZREM', P .. 'owners', owner)
    return true
  end
end

if asked.leaving then
  return gone(asked.owner) and 1 or 0
end
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', P .. 'owners', '-inf', now, 'LIMIT', 0, 10)) do
  gone(owner)
end
return absent and 1 or 0
