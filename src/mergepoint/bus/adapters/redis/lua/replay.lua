-- asked: queue, id, new_id ('' as it was); a body when it is changed. Tells 0 when it is not dead.
local queue, id, packed, name = asked.queue, asked.id, nil, nil
for _, one in ipairs(names_of(queue, id, 'deadagain:')) do
  packed = packed or redis.call('HGET', key(queue, 'deadmeta'), one)
  name = name or packed and one
end
if not packed then return 0 end
if not room(queue, 1) then
  return full(queue)
end
local m, body = cmsgpack.unpack(packed), ARGV[3] or redis.call('HGET', key(queue, 'deadbody'), name)
forget_dead(queue, name)
local back = asked.new_id ~= '' and asked.new_id or id
accept(queue, {id = back, p = m.p, k = m.k or '', x = m.x, e = 0, d = 0}, body)
return 1
