-- What the scripts share: exact amounts, and a counter with its buckets as Redis keeps it.
--
-- Lua counts with doubles, which are exact up to 2^53, and money here is counted in 10^-18 of its currency. So an amount
-- is two whole numbers, hi * 10^12 + lo with 0 <= lo < 10^12, and hi below 0 where the amount is: exact up to 9 * 10^27,
-- nine billion dollars. Products, which are longer, are compared as limbs of 10^6, whose own products stay below 2^53.
local BASE, LIMB, LARGEST = 1e12, 1e6, 1e15
local fmod, format, match = math.fmod, string.format, string.match

local function plus(ah, al, bh, bl)
  local hi, lo = ah + bh, al + bl
  if lo >= BASE then return hi + 1, lo - BASE end
  return hi, lo
end

local function minus(ah, al, bh, bl)
  local hi, lo = ah - bh, al - bl
  if lo < 0 then return hi - 1, lo + BASE end
  return hi, lo
end

local function less(ah, al, bh, bl)
  return ah < bh or (ah == bh and al < bl)
end

-- The product of an amount and a whole number as ten limbs, the lowest first; both from 0 on.
local function product(hi, lo, by)
  local a, b, found = {}, {}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
  for place = 1, 2 do
    a[place] = fmod(lo, LIMB)
    lo = (lo - a[place]) / LIMB
  end
  for place = 3, 5 do
    a[place] = fmod(hi, LIMB)
    hi = (hi - a[place]) / LIMB
  end
  for place = 1, 3 do
    b[place] = fmod(by, LIMB)
    by = (by - b[place]) / LIMB
  end
  for i = 1, 5 do
    for j = 1, 3 do found[i + j - 1] = found[i + j - 1] + a[i] * b[j] end
  end
  local carried = 0
  for place = 1, 10 do
    local limb = found[place] + carried
    found[place] = fmod(limb, LIMB)
    carried = (limb - found[place]) / LIMB
  end
  return found
end

local function above(a, b)
  for place = 10, 1, -1 do
    if a[place] ~= b[place] then return a[place] > b[place] end
  end
  return false
end

-- An amount times a whole number; LARGEST where it is more.
local function times(hi, lo, by)
  local limbs = product(hi, lo, by)
  local micros = limbs[3] + limbs[4] * LIMB + limbs[5] * BASE
  if limbs[6] + limbs[7] + limbs[8] > 0 or micros >= LARGEST then return LARGEST, 0 end
  return micros, limbs[1] + limbs[2] * LIMB
end

-- a * by / b rounded down, or `most` where that is less. In doubles the quotient is right to fifteen digits, so for any
-- `most` below 10^12 it is off by one at the worst: exact products tell.
local function quotient(ah, al, by, bh, bl, most)
  local found = math.floor((ah * BASE + al) * by / (bh * BASE + bl))
  if found > most then return most end
  local whole = product(ah, al, by)
  if found > 0 and above(product(bh, bl, found), whole) then
    found = found - 1
  elseif not above(product(bh, bl, found + 1), whole) then
    found = found + 1
  end
  return math.min(found, most)
end

-- An amount from 0 on, divided by a small whole number and rounded down.
local function part(hi, lo, by)
  local over = fmod(hi, by)
  local rest = over * BASE + lo
  return (hi - over) / by, (rest - fmod(rest, by)) / by
end

-- A counter is a hash: 't' has its totals, and every other field is a bucket, named by when it begins. Both are doubles
-- as they are in memory: text would take most of a script's time. Of totals: spent and held, the newest bucket that it
-- ever had and when that ends, when the first of its buckets ends (0: it has none), and until when calls are paced. Of
-- a bucket: spent and held, and when it ends.
local function totals(c)
  return struct.pack('<dddddddd', c.sh, c.sl, c.hh, c.hl, c.newest, c.ends, c.first, c.paced)
end

local function bucket(sh, sl, hh, hl, ends)
  return struct.pack('<ddddd', sh, sl, hh, hl, ends)
end

local function amounts(bytes)
  return struct.unpack('<ddddd', bytes)
end

-- Forget the buckets that are no longer in the window.
local function roll(c, now, kept)
  local all = redis.call('HGETALL', c.key)
  c.first = 0
  for place = 1, #all, 2 do
    if all[place] ~= 't' then
      local sh, sl, hh, hl, ends = amounts(all[place + 1])
      if ends <= now then
        c.sh, c.sl = minus(c.sh, c.sl, sh, sl)
        c.hh, c.hl = minus(c.hh, c.hl, hh, hl)
        if kept then redis.call('HDEL', c.key, all[place]) end
      elseif c.first == 0 or ends < c.first then
        c.first = ends
      end
    end
  end
  if kept then redis.call('HSET', c.key, 't', totals(c)) end
end

-- A counter as it stands now; `kept` unless the caller only looks.
local function counter(key, now, kept)
  local c = {key = key, sh = 0, sl = 0, hh = 0, hl = 0, newest = 0, ends = 0, first = 0, paced = 0}
  local said = redis.call('HGET', key, 't')
  if said then
    c.sh, c.sl, c.hh, c.hl, c.newest, c.ends, c.first, c.paced = struct.unpack('<dddddddd', said)
  end
  if c.first > 0 and now >= c.first then roll(c, now, kept) end
  return c
end

-- Add to what a bucket and its counter have spent, and take from what they hold. Nothing where the bucket is gone.
local function settle(c, begins, sh, sl, hh, hl)
  local said = redis.call('HGET', c.key, begins)
  if not said then return end
  local bsh, bsl, bhh, bhl, ends = amounts(said)
  bsh, bsl = plus(bsh, bsl, sh, sl)
  bhh, bhl = minus(bhh, bhl, hh, hl)
  c.sh, c.sl = plus(c.sh, c.sl, sh, sl)
  c.hh, c.hl = minus(c.hh, c.hl, hh, hl)
  redis.call('HSET', c.key, 't', totals(c), begins, bucket(bsh, bsl, bhh, bhl, ends))
end

-- A hold is a text of four lines: its state with the attempt that made it and when it runs out; what it counts in (key,
-- bucket, amount, measure of each); how it was granted; the call. States: L live, C ran out and charged, R ran out and
-- released, X withdrawn before it was made.
local HOLD = '^(%u) (%S+) (%S+)\n([^\n]*)\n'
local COUNTED = '(%S+) (%S+) (%S+) (%S+) (%S+)'
