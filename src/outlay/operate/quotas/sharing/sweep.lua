-- See to holds whose time ran out: they count at their bound, or as nothing. Answers which must be told, with their
-- keys; who is told of one has `leased` milliseconds to say that it is kept, else another gateway is told.
-- KEYS: the expiries, the holds that ran out and must be told, the index of counters.
-- ARGV: now, the state that they get (C or R), how many at most, `leased`, for how long they can be settled.
local now, state, most = tonumber(ARGV[1]), ARGV[2], ARGV[3]
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, most)) do
  local kept = redis.call('GET', key)
  if kept then
    local was, _, expires, counted = match(kept, HOLD)
    if was == 'L' then
      for counter_key, begins, nh, nl in string.gmatch(counted, COUNTED) do
        nh, nl = tonumber(nh), tonumber(nl)
        local charged = state == 'C'
        settle(counter(counter_key, now, true), begins, charged and nh or 0, charged and nl or 0, nh, nl)
      end
      local left = math.max(tonumber(expires) + tonumber(ARGV[5]) - now, 1)
      redis.call('SET', key, state .. string.sub(kept, 2), 'PX', format('%d', left))
      redis.call('ZADD', KEYS[2], ARGV[1], key)
    end
  end
  redis.call('ZREM', KEYS[1], key)
end
local found = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, most)) do
  local kept = redis.call('GET', key)
  if kept and match(kept, '^[CR]') then
    redis.call('ZADD', KEYS[2], format('%d', now + tonumber(ARGV[4])), key)
    found[#found + 1] = key
    found[#found + 1] = kept
  else
    redis.call('ZREM', KEYS[2], key)
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', format('%d', now - 60000))
return found
