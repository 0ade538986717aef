-- What counters have spent and hold now. KEYS: the counters; ARGV: now.
local found = {}
for place, key in ipairs(KEYS) do
  local c = counter(key, tonumber(ARGV[1]), false)
  found[place] = format('%d %d %d %d', c.sh, c.sl, c.hh, c.hl)
end
return found
