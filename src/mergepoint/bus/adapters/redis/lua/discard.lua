-- asked: queue, ids. Removes dead letters; tells how many.
local count = 0
for _, id in ipairs(asked.ids) do
  for _, name in ipairs(names_of(asked.queue, id, 'deadagain:')) do
    count = count + forget_dead(asked.queue, name)
  end
end
return count
