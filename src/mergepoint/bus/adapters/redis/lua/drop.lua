-- asked: queue, ids. Removes what waits; tells how many.
settle(asked.queue)
local count = 0
for _, id in ipairs(asked.ids) do
  for _, name in ipairs(names_of(asked.queue, id, 'again:')) do
    local m = read(asked.queue, name)
    if m and m.t ~= 'leased' then
      remove(asked.queue, name, m)
      count = count + 1
    end
  end
end
return count
