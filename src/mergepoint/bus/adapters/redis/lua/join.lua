-- asked: owner, address, info (JSON text; '' leaves). Tells 1; a leave of somebody else's tells 0.
local address, owner = asked.address, asked.owner
local packed = redis.call('HGET', P .. 'presence', address)
local there = packed and cjson.decode(packed)
local function change(kind, info, since)
  redis.call('PUBLISH', P .. 'presence', cjson.encode(
    {number = ordinal(), change = kind, address = address, info = info, since = since}))
end
if asked.info == '' then
  redis.call('SREM', P .. 'present:' .. owner, address)
  if not there or there.owner ~= owner then return 0 end
  redis.call('HDEL', P .. 'presence', address)
  change('left', there.info, there.since)
  return 1
end
local kind, since = 'joined', now
if there and there.owner == owner then
  kind, since = 'updated', there.since
elseif there then
  change('left', there.info, there.since) -- the name's former bearer, who is dead or replaced
end
redis.call('HSET', P .. 'presence', address,
  cjson.encode({owner = owner, info = asked.info, since = since}))
redis.call('SADD', P .. 'present:' .. owner, address)
change(kind, asked.info, since)
return 1
