-- Keep a product and tell the feed, in one step; nothing happens if the same one is there.
-- KEYS: products, epoch, feed
-- ARGV: product id, the product, epoch if there is none, feed length
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[3], 'NX')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'kind', 'product', 'id', ARGV[1])
return 1
