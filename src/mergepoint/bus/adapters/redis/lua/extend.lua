-- asked: leases (each queue, name, token), lease_ms. Tells the positions, from 1, of those lost.
local lost = {}
for i, one in ipairs(asked.leases) do
  if held_by(one[1], one[2], one[3]) then
    redis.call('ZADD', key(one[1], 'leased'), now + asked.lease_ms, one[2])
  else
    lost[#lost + 1] = i
  end
end
return lost
