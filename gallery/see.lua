-- Remember a capture that a person judged, for a bounded time and in a bounded number. A cleared one becomes a
-- candidate; a verdict against a capture that was cleared before takes it out again, promoted or not.
-- KEYS: seen of the product, facts about references, references of the product, the product's turn,
--       patch maps, products in motion, why the product is held back, epoch, feed, versions, prints
-- ARGV: reference id, the sighting behind 13 digits of when it was judged (ms), patch maps, cleared (1 or 0), facts,
--       how long to remember (ms), how many at most, product id, how long to hold back (ms), why,
--       prefix of the references of a version, prefix of patch maps, epoch if there is none, feed length, model version,
--       prints or ''
local known = redis.call('HGET', KEYS[2], ARGV[1])
local state = known and cjson.decode(known).state or (known and 'trusted') or ''
if ARGV[4] == '1' then
  if known then
    return 'known' -- delivered again, or it has gone on in life; a verdict that clears it again adds nothing
  end
  if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
    return 'contradicted' -- somebody found it damaged before
  end
elseif known and state ~= 'withdrawn' then
  for _, version in ipairs(redis.call('SMEMBERS', KEYS[10])) do
    redis.call('HDEL', ARGV[11] .. version, ARGV[1])
    redis.call('DEL', ARGV[12] .. version .. ':' .. ARGV[1])
  end
  redis.call('DEL', KEYS[11])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[5])
  redis.call('SET', KEYS[7], ARGV[10], 'PX', ARGV[9])
  redis.call('SET', KEYS[8], ARGV[13], 'NX')
  redis.call('XADD', KEYS[9], 'MAXLEN', '~', ARGV[14], '*', 'kind', 'reference', 'id', ARGV[1])
elseif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 'known'
end

-- The oldest makes room. Fields are few, so all are read; a reference made from one keeps its patch maps.
local held = redis.call('HKEYS', KEYS[1])
if #held >= tonumber(ARGV[7]) then
  local oldest, since
  for _, id in ipairs(held) do
    local at = tonumber(string.sub(redis.call('HGET', KEYS[1], id), 1, 13))
    if not since or at < since then
      oldest, since = id, at
    end
  end
  redis.call('HDEL', KEYS[1], oldest)
  local facts = redis.call('HGET', KEYS[2], oldest)
  if facts and cjson.decode(facts).state == 'candidate' then
    redis.call('HDEL', KEYS[2], oldest)
    redis.call('SREM', KEYS[3], oldest)
  end
end

redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('SET', KEYS[5], ARGV[3], 'PX', ARGV[6])
redis.call('INCR', KEYS[4])
redis.call('SADD', KEYS[6], ARGV[8])
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[5])
  redis.call('SADD', KEYS[3], ARGV[1])
  redis.call('SADD', KEYS[10], ARGV[15])
  if ARGV[16] ~= '' then
    redis.call('SET', KEYS[11], ARGV[16], 'PX', ARGV[6])
  end
  return 'candidate'
end
return state ~= '' and state ~= 'withdrawn' and 'contradicts' or 'seen'
