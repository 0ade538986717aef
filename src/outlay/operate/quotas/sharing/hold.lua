-- Hold the most that a call can use in all counters that it falls under, if each has room; else say which has none.
-- KEYS: the hold, the expiries, the stops, the index of counters, and the counters.
-- ARGV: now, this attempt, when the hold runs out, the stops that are known, whether they stop it, the most and the least
-- units, the share of the room that one call takes, the call, and for each counter its quota and what is asked of it.
local now, attempt, most, least = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[6]), tonumber(ARGV[7])
local kept = redis.call('GET', KEYS[1])
if kept then
  local state, by = match(kept, HOLD)
  if state == 'L' then return 'K ' .. kept end
  if state == 'X' and by == attempt then return 'X' end
end
local stops = redis.call('GET', KEYS[3]) or '-'
if match(stops, '^%S+') ~= ARGV[4] then return 'V ' .. stops end
if ARGV[5] == '1' then return 'S' end

local counters, units = {}, most
for place = 5, #KEYS do
  local c, said, after, enforced = counter(KEYS[place], now, true), ARGV[place + 5], nil, nil
  c.lh, c.ll, enforced, c.th, c.tl, c.slowest, c.length, c.begins, c.until_, c.kind, c.fh, c.fl, c.rh, c.rl, after =
    struct.unpack('<dddddddddddddd', said)
  c.enforced, c.measure, c.resets = enforced == 1, string.sub(said, after), c.until_
  c.left, c.rest = minus(c.lh, c.ll, plus(c.sh, c.sl, c.hh, c.hl))
  if c.enforced and (c.rh > 0 or c.rl > 0) and least < most then
    if c.left < 0 then
      units = least
    else
      local h, l = part(c.left, c.rest, tonumber(ARGV[8]))
      h, l = minus(h, l, c.fh, c.fl)
      units = h < 0 and least or math.min(units, quotient(h, l, 1, c.rh, c.rl, most))
    end
  end
  counters[#counters + 1] = c
end
units = math.max(least, math.min(units, most))

-- When there is room for what is needed if nothing else is asked for.
local function resets(c)
  if less(c.lh, c.ll, c.nh, c.nl) then return '-' end
  local all, buckets, h, l = redis.call('HGETALL', c.key), {}, c.left, c.rest
  for place = 1, #all, 2 do
    if all[place] ~= 't' then buckets[#buckets + 1] = {tonumber(all[place]), amounts(all[place + 1])} end
  end
  table.sort(buckets, function(a, b) return a[1] < b[1] end)
  for _, one in ipairs(buckets) do
    h, l = plus(h, l, plus(one[2], one[3], one[4], one[5]))
    if not less(h, l, c.nh, c.nl) then return format('%d', one[6]) end
  end
  return format('%d', c.resets)
end

local shadowed = {}
for place, c in ipairs(counters) do
  c.nh, c.nl = plus(c.fh, c.fl, times(c.rh, c.rl, units))
  if c.nh >= LARGEST then c.nh, c.nl = LARGEST, 0 end
  local denied
  if c.kind == 1 then
    denied = format('%d U 0 0 0 -', place)
  elseif c.kind == 0 and less(c.left, c.rest, c.nh, c.nl) then
    denied = format('%d %d %d %d %d %s', place, c.sh, c.sl, c.hh, c.hl, resets(c))
  end
  if denied and c.enforced then return format('D %d %s', units, denied) end
  shadowed[#shadowed + 1] = denied
end

-- A call of a replica whose clock is behind counts in the newest bucket: what has ended for one has ended for all.
local longest, slowest, lines = 0, 0, {}
for place, c in ipairs(counters) do
  if c.newest > c.begins then c.begins, c.until_ = c.newest, c.ends end
  local name = format('%d', c.begins)
  local said, sh, sl, hh, hl = redis.call('HGET', c.key, name), 0, 0, 0, 0
  if said then sh, sl, hh, hl = amounts(said) end
  hh, hl = plus(hh, hl, c.nh, c.nl)
  c.hh, c.hl = plus(c.hh, c.hl, c.nh, c.nl)
  if not said then
    c.newest, c.ends = c.begins, c.until_
    if c.first == 0 or c.until_ < c.first then c.first = c.until_ end
  end
  local gone_h, gone_l = plus(c.sh, c.sl, c.hh, c.hl)
  if c.enforced and c.th >= 0 and less(c.th, c.tl, gone_h, gone_l) then
    local rest = c.length > 0 and c.length or c.until_ - now
    local h, l = minus(c.lh, c.ll, gone_h, gone_l)
    if h < 0 or (h == 0 and l == 0) then h, l = 0, 1 end
    local begins = math.max(c.paced, now)
    c.paced = math.min(begins + quotient(c.nh, c.nl, rest, h, l, c.slowest), now + c.slowest)
    if c.paced - now > longest then longest, slowest = c.paced - now, place end
  end
  redis.call('HSET', c.key, 't', totals(c), name, bucket(sh, sl, hh, hl, c.until_))
  if not said then
    redis.call('PEXPIRE', c.key, format('%d', math.max(c.until_ - now, 0) + c.slowest + 60000))
    redis.call('ZADD', KEYS[4], format('%d', c.until_), c.key)
  end
  lines[place] = format('%s %s %d %d %s', c.key, name, c.nh, c.nl, c.measure)
end
local granted = format('%d %d %d %s', units, longest, slowest, table.concat(shadowed, ' '))
local counted = table.concat(lines, ' ')
redis.call('SET', KEYS[1], 'L ' .. attempt .. ' ' .. ARGV[3] .. '\n' .. counted .. '\n' .. granted .. '\n' .. ARGV[9])
redis.call('ZADD', KEYS[2], ARGV[3], KEYS[1])
return 'H ' .. granted
