-- asked: app, instance ('' any), tried, head; one body. Hands the request to one server of the
-- address that was not tried and listens; tells its owner, or 'none' or 'unknown'.
-- servers:<address>   set    owners that serve it    served   set   apps that were ever served
local address = asked.instance ~= '' and asked.app .. '/' .. asked.instance or asked.app
local place_of = P .. 'servers:' .. address
local servers, tried = redis.call('SMEMBERS', place_of), {}
table.sort(servers)
for _, owner in ipairs(asked.tried) do tried[owner] = true end
local there = 0
local turn = #servers > 0 and redis.call('INCR', P .. 'turn:' .. address) or 0
for i = 1, #servers do
  local owner = servers[(turn + i) % #servers + 1]
  local alive = redis.call('ZSCORE', P .. 'owners', owner)
  if not alive then
    redis.call('SREM', place_of, owner)
  elseif tried[owner] then
    there = there + 1
  elseif redis.call('PUBLISH', P .. 'inbox:' .. owner, asked.head .. '\n' .. ARGV[3]) > 0 then
    return owner
  end
end
if there > 0 then return 'none' end
local ever = redis.call('SISMEMBER', P .. 'served', asked.app) == 1
if asked.instance == '' and ever then return 'none' end
return 'unknown'
