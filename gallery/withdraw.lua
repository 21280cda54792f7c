-- Take a reference out, whatever model versions embedded it, and tell the feed, in one step. Its facts stay.
-- KEYS: facts about references, versions, epoch, feed, its prints
-- ARGV: reference id, prefix of the references of a version, prefix of their patch maps, epoch, feed length,
--       facts to keep, prefix of what was seen of a product, prefix of a product's turn, product id
local removed = 0
for _, version in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  removed = removed + redis.call('HDEL', ARGV[2] .. version, ARGV[1])
  redis.call('DEL', ARGV[3] .. version .. ':' .. ARGV[1])
end
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and cjson.decode(known).state ~= 'withdrawn' then
  removed = removed + 1
end
if removed == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[6])
redis.call('DEL', KEYS[5])
redis.call('HDEL', ARGV[7] .. ARGV[9], ARGV[1])
redis.call('INCR', ARGV[8] .. ARGV[9])
redis.call('SET', KEYS[3], ARGV[4], 'NX')
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[5], '*', 'kind', 'reference', 'id', ARGV[1])
return 1
