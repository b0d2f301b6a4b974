-- asked: after, limit. Tells for each queue: name, ready, delayed, leased, dead, oldest in ms (-1).
local names = redis.call('SMEMBERS', P .. 'queues')
table.sort(names)
local out = {}
local function oldest(queue)
  local at
  for priority = 0, 9 do
    local head = redis.call('ZRANGEBYSCORE', key(queue, 'ready'), priority * PRIORITY,
      '(' .. text((priority + 1) * PRIORITY), 'LIMIT', 0, 1)[1]
    local m = head and read(queue, head)
    if m and (not at or m.c < at) then at = m.c end
  end
  return at and now - at or -1
end
for _, queue in ipairs(names) do
  settle(queue)
  local function count(part) return redis.call('ZCARD', key(queue, part)) end
  out[#out + 1] = {queue, text(count('ready') + count('held')),
    text(count('delayed') + count('heldlater')),
    text(count('leased')), text(count('dead')), text(oldest(queue))}
end
return out
