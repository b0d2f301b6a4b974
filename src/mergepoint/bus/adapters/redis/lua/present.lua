-- Tells the number of the last change and everybody who is there: address, JSON, address, JSON.
local out = redis.call('HGETALL', P .. 'presence')
table.insert(out, 1, text(redis.call('GET', P .. 'sequence') or 0))
return out
