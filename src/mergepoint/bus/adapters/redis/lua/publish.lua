-- asked: topic, keep, one (as in put, without an id of its own queue); one body.
-- Feeds every queue that is bound, all or none, then tells who listens.
-- bindings   hash   "<queue> <pattern>" -> pattern
-- topics     hash   topic -> how many were published, for at most asked.topics_max topics
-- last       hash   topic -> "<sequence> <envelope>"
local function segments(name)
  local found = {}
  for segment in string.gmatch(name, '[^.]+') do found[#found + 1] = segment end
  return found
end

local parts = segments(asked.topic)
local function matches(pattern)
  local wanted = segments(pattern)
  for i, segment in ipairs(wanted) do
    if segment == '>' then return #parts >= i end
    if parts[i] == nil or (segment ~= '*' and segment ~= parts[i]) then return false end
  end
  return #wanted == #parts
end

local fed, chosen = {}, {}
local bound = redis.call('HGETALL', P .. 'bindings')
for i = 1, #bound, 2 do
  local queue = string.match(bound[i], '^(%S+) ')
  if not chosen[queue] and matches(bound[i + 1]) then
    chosen[queue] = true
    forget_seen(queue)
    if not known(queue, asked.one.id) then
      if not room(queue, 1) then
        return full(queue)
      end
      fed[#fed + 1] = queue
    end
  end
end
for _, queue in ipairs(fed) do accept(queue, asked.one, ARGV[3]) end
local numbered = text(ordinal()) .. ' ' .. ARGV[3]
if redis.call('HEXISTS', P .. 'topics', asked.topic) == 1
  or redis.call('HLEN', P .. 'topics') < asked.topics_max then
  redis.call('HINCRBY', P .. 'topics', asked.topic, 1)
end
if asked.keep then redis.call('HSET', P .. 'last', asked.topic, numbered) end
redis.call('PUBLISH', P .. 'topic:' .. asked.topic, numbered)
return #fed
