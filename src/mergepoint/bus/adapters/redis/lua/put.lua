-- asked: queue, puts; a body each. Accepts all or none; tells '1' for each that was known.
local queue = asked.queue
redis.call('SADD', P .. 'queues', queue)
forget_seen(queue)
settle(queue)
local batch, answers, new = {}, {}, 0
for i, one in ipairs(asked.puts) do
  local again = batch[one.id] or known(queue, one.id)
  answers[i] = again and '1' or '0'
  batch[one.id] = true
  if not again then new = new + 1 end
end
if new > 0 and not room(queue, new) then
  return full(queue)
end
for i, one in ipairs(asked.puts) do
  if answers[i] == '0' then accept(queue, one, ARGV[2 + i]) end
end
return answers
