-- asked: queues, owner, worker, limit, lease_ms. Tells ms until the next message is due (-1: none
-- is), then for each job: queue, name in the queue, body, token, attempt, end of the lease in ms,
-- key.
local out, taken, next_at = {'-1'}, 0, nil
for _, queue in ipairs(asked.queues) do
  redis.call('SADD', P .. 'queues', queue)
  settle(queue)
end

local function first()
  local best, found
  for _, queue in ipairs(asked.queues) do
    local head = redis.call('ZRANGE', key(queue, 'ready'), 0, 0, 'WITHSCORES')
    local rank = head[2] and tonumber(head[2])
    if rank and (not best or rank < best) then best, found = rank, {queue, head[1]} end
  end
  return found
end

local function lease(queue, id)
  local m = read(queue, id)
  unplace(queue, id, m)
  if m.e then redis.call('ZREM', key(queue, 'expiring'), id) end
  m.t, m.n, m.a = 'leased', m.n + 1, now
  m.f = text(redis.call('INCR', P .. 'fence'))
  m.o, m.w = asked.owner, asked.worker
  local ends = now + asked.lease_ms
  redis.call('ZADD', key(queue, 'leased'), ends, id)
  redis.call('SADD', P .. 'leases:' .. asked.owner, queue .. ' ' .. id)
  write(queue, id, m)
  for _, value in ipairs({queue, id, redis.call('HGET', key(queue, 'body'), id), m.f, text(m.n),
    text(ends), m.k or ''}) do out[#out + 1] = value end
end

while taken < asked.limit do
  local found = first()
  if not found then break end
  lease(found[1], found[2])
  taken = taken + 1
end
for _, queue in ipairs(asked.queues) do
  for _, part in ipairs({'delayed', 'leased', 'expiring'}) do
    local head = redis.call('ZRANGE', key(queue, part), 0, 0, 'WITHSCORES')
    local at = head[2] and tonumber(head[2])
    if at and (not next_at or at < next_at) then next_at = at end
  end
end
if next_at then out[1] = text(math.max(0, next_at - now)) end
return out
