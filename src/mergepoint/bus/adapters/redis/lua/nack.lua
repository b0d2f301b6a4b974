-- asked: queue, id (its name in the queue), token, reason, burn, delay_ms, bury. Tells 0 when the
-- lease was lost.
local m = held_by(asked.queue, asked.id, asked.token)
if not m then return 0 end
if asked.bury then
  die(asked.queue, asked.id, m, asked.reason)
else
  give_back(asked.queue, asked.id, m, asked.reason, asked.burn, asked.delay_ms)
end
return 1
