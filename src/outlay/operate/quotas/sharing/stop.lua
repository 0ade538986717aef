-- Change the kill switches, unless another did meanwhile. KEYS: the stops; ARGV: the version known, the stops after it.
local kept = redis.call('GET', KEYS[1]) or '-'
if match(kept, '^%S+') ~= ARGV[1] then return kept end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
