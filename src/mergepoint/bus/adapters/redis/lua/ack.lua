-- asked: leases (each queue, name, token). Tells the positions, from 1, of those that were lost.
local lost = {}
for i, one in ipairs(asked.leases) do
  local m = held_by(one[1], one[2], one[3])
  if m then remove(one[1], one[2], m) else lost[#lost + 1] = i end
end
return lost
