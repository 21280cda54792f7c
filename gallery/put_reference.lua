-- Keep a reference that a catalogue or a person vouches for, and tell the feed, in one step. Nothing happens if the same
-- one is there, or was there and has retired: an old message that comes again must not bring it back.
-- KEYS: references of this model version, its patch maps, facts about references, versions, epoch, feed,
--       references of its product, the product's turn, its prints
-- ARGV: reference id, packed reference, patch maps, facts, model version, epoch if there is none, feed length,
--       prints or ''
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  return 0
end
local known = redis.call('HGET', KEYS[3], ARGV[1])
if known then
  local was, is = cjson.decode(known), cjson.decode(ARGV[4])
  if was.state == 'retired' and was.digest == is.digest then
    return 0
  end
end
redis.call('SET', KEYS[5], ARGV[6], 'NX')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
if ARGV[8] == '' then
  redis.call('DEL', KEYS[9])
else
  redis.call('SET', KEYS[9], ARGV[8])
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])
redis.call('SADD', KEYS[4], ARGV[5])
redis.call('SADD', KEYS[7], ARGV[1])
redis.call('INCR', KEYS[8])
redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[7], '*', 'kind', 'reference', 'id', ARGV[1])
return 1
