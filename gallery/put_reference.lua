-- Keep a reference and tell the feed, in one step; nothing happens if the same one is there.
-- KEYS: references of this model version, its patch maps, facts about references, versions, epoch, feed
-- ARGV: reference id, packed reference, patch maps, facts, model version, epoch if there is none, feed length
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  return 0
end
redis.call('SET', KEYS[5], ARGV[6], 'NX')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])
redis.call('SADD', KEYS[4], ARGV[5])
redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[7], '*', 'kind', 'reference', 'id', ARGV[1])
return 1
