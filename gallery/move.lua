-- Move references of one product through their life, all or none, and tell the feed. Refused where anything of the
-- product has changed since its turn was read.
-- KEYS: the product's turn, facts about references, references of the product, seen of the product, versions, epoch,
--       feed
-- ARGV: turn as read, product id, prefix of the references of a version, prefix of patch maps, epoch if there is none,
--       feed length, prefix of prints, then for each reference: id, its new state or 'gone', facts, model version,
--       packed reference or ''
if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[6], ARGV[5], 'NX')
for at = 8, #ARGV, 5 do
  local id, state, facts, version, packed = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  if state == 'gone' then
    redis.call('HDEL', KEYS[2], id)
    redis.call('SREM', KEYS[3], id)
    redis.call('HDEL', KEYS[4], id)
    redis.call('DEL', ARGV[7] .. id)
  else
    redis.call('HSET', KEYS[2], id, facts)
    redis.call('SADD', KEYS[3], id)
  end
  if state == 'trusted' and packed ~= '' then
    redis.call('HSET', ARGV[3] .. version, id, packed)
    redis.call('SADD', KEYS[5], version)
    redis.call('PERSIST', ARGV[4] .. version .. ':' .. id)
    redis.call('PERSIST', ARGV[7] .. id)
  elseif state == 'retired' or state == 'gone' then
    for _, each in ipairs(redis.call('SMEMBERS', KEYS[5])) do
      redis.call('HDEL', ARGV[3] .. each, id)
      if state == 'gone' then
        redis.call('DEL', ARGV[4] .. each .. ':' .. id)
      end
    end
  end
  redis.call('XADD', KEYS[7], 'MAXLEN', '~', ARGV[6], '*', 'kind', 'reference', 'id', id)
end
redis.call('INCR', KEYS[1])
return 1
