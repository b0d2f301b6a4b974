-- asked: queue, parts (names of zsets in this order), limit, after. Tells entries; begins anew
-- when `after` is gone, for whoever discards what was listed.
settle(asked.queue)
local out, from, began = {}, {}, asked.after == ''
for _, part in ipairs(asked.parts) do
  local rank = not began and redis.call('ZRANK', key(asked.queue, part), asked.after)
  if rank then
    from[part], began = rank + 1, true
    break
  end
  if not began then from[part] = -1 end
end
for _, part in ipairs(asked.parts) do
  local start = from[part] or 0
  if not began then start = 0 end
  local left = asked.limit - #out
  if start >= 0 and left > 0 then
    local dead = part == 'dead'
    for _, id in ipairs(redis.call('ZRANGE', key(asked.queue, part), start, start + left - 1)) do
      local packed = redis.call('HGET', key(asked.queue, dead and 'deadmeta' or 'meta'), id)
      local body = redis.call('HGET', key(asked.queue, dead and 'deadbody' or 'body'), id)
      out[#out + 1] = told(id, cmsgpack.unpack(packed), body)
    end
  end
end
return out
