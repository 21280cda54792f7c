-- Take a reference out, whatever model versions embedded it, and tell the feed, in one step.
-- KEYS: facts about references, versions, epoch, feed
-- ARGV: reference id, prefix of the references of a version, prefix of their patch maps, epoch, feed length
local removed = redis.call('HDEL', KEYS[1], ARGV[1])
for _, version in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  removed = removed + redis.call('HDEL', ARGV[2] .. version, ARGV[1])
  redis.call('DEL', ARGV[3] .. version .. ':' .. ARGV[1])
end
if removed == 0 then
  return 0
end
redis.call('SET', KEYS[3], ARGV[4], 'NX')
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[5], '*', 'kind', 'reference', 'id', ARGV[1])
return 1
