-- Replace holds by what their calls used, each once; or withdraw holds whose answer never came.
-- KEYS: the expiries, the holds that ran out and must be told, and the holds.
-- ARGV: for how long a hold that ran out can be settled; and of each hold: now, the attempt that is withdrawn ('-' where
-- it is settled), and what it used of each measure.
local remembered = tonumber(ARGV[1])
local done = {}
for place = 3, #KEYS do
  local key, text = KEYS[place], ARGV[place - 1]
  local now, attempt = match(text, '^(%S+) (%S+)')
  now = tonumber(now)
  local used = {}
  for measure, hi, lo in string.gmatch(text, '(%a+) (%S+) (%S+)') do used[measure] = {tonumber(hi), tonumber(lo)} end
  local kept = redis.call('GET', key)
  local state, by, expires, counted
  if kept then state, by, expires, counted = match(kept, HOLD) end
  local ours = attempt == '-' or attempt == by
  if attempt ~= '-' and (state == nil or state == 'X') then
    redis.call('SET', key, 'X ' .. attempt .. ' 0\n\n', 'PX', 3600000)
  end
  done[#done + 1] = '0'
  if ours and (state == 'L' or ((state == 'C' or state == 'R') and now < tonumber(expires) + remembered)) then
    for counter_key, begins, nh, nl, measure in string.gmatch(counted, COUNTED) do
      nh, nl = tonumber(nh), tonumber(nl)
      local h, l = 0, 0
      if used[measure] then h, l = used[measure][1], used[measure][2] end
      if state == 'C' then h, l = minus(h, l, nh, nl) end
      if state ~= 'L' then nh, nl = 0, 0 end
      settle(counter(counter_key, now, true), begins, h, l, nh, nl)
    end
    redis.call('DEL', key)
    redis.call('ZREM', KEYS[1], key)
    redis.call('ZREM', KEYS[2], key)
    done[#done] = '1'
  end
end
return table.concat(done)
