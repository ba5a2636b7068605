-- One account's windows on a Redis or Valkey server: the rule of `window`, `debt`, `ledger`, `account` and `members`, step
-- by step, so that both give the same answers. A test drives them side by side.
--
-- KEYS[1]  the account: a hash with a field for each bucket. KEYS[2]  one of its members, likewise; only in a pool.
-- ARGV     now (0 = the server's clock), what to do, how long a hold lasts, the numbers of `encode`, who asks.
-- Units: microseconds; amounts up to 2^53, which is what a number holds. A hold is a call in flight or a leased block: it
-- ends by itself, since the router that would give it back may be gone.

local now, op, hold_for, who = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[5]
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local numbers, cursor = {}, 0
for number in string.gmatch(ARGV[4], '%S+') do numbers[#numbers + 1] = tonumber(number) end
local function take_number()
  cursor = cursor + 1
  return numbers[cursor]
end

local INPUT, OUTPUT, TOTAL, REQUEST, COST, CONCURRENT = 0, 1, 2, 3, 4, 5
local END, NEVER, STEPS, MOST_WAITING = math.huge, -1, 2048, 256
local LONGEST_TTL = 366 * 86400 * 1000
local min, max, floor, ceil = math.min, math.max, math.floor, math.ceil

local function flows(kind) return kind == OUTPUT or kind == TOTAL or kind == COST end

-- === rules ===

-- Down to the nanosecond, as the ledger has it.
local function width(interval) return min(900000000, floor(interval * 1000 / 60) / 1000) end

local lanes, rules = {}, {}
for _ = 1, take_number() do
  local scope, kind, mode = take_number(), take_number(), take_number()
  local lane = { kind = kind, enforced = mode == 0, field = scope .. '/' .. kind .. '/' .. mode, horizon = {}, rules = {} }
  for i = 1, take_number() do lane.horizon[i] = take_number() end
  for i = 1, take_number() do
    local rule = { tokens = take_number(), interval = take_number(), share = take_number(), cuts = take_number() == 1 }
    rule.lane, rule.which = lane, #rules
    lane.rules[i], rules[#rules + 1] = rule, rule
  end
  lanes[#lanes + 1] = lane
end

-- === window: slots { first, last, amount } ===

local function new_bucket()
  return { now = 0, memory = 0, gone = 0, room = 2, slots = {}, debt = {}, owed = 0, waits = nil, holds = {} }
end

local function copy(bucket)
  local other = new_bucket()
  for name, value in pairs(bucket) do other[name] = value end
  other.slots, other.debt = {}, {}
  for i, slot in ipairs(bucket.slots) do other.slots[i] = { slot[1], slot[2], slot[3] } end
  for i, slot in ipairs(bucket.debt) do other.debt[i] = { slot[1], slot[2], slot[3] } end
  return other
end

local function used(bucket, at, interval)
  local sum = 0
  for i = #bucket.slots, 1, -1 do
    local slot = bucket.slots[i]
    if slot[2] + interval <= at then break end
    sum = sum + slot[3]
  end
  return sum
end

local function room_at(bucket, at, interval, excess)
  for _, slot in ipairs(bucket.slots) do
    if slot[2] + interval > at then
      if slot[3] >= excess then return slot[2] + interval end
      excess = excess - slot[3]
    end
  end
  return at
end

local function drop_first(slots, count)
  local len = #slots
  for i = 1, len do slots[i] = slots[i + count] end
end

local function forget(bucket)
  local count = 0
  while count < #bucket.slots and bucket.slots[count + 1][2] + bucket.memory <= bucket.now do count = count + 1 end
  if count > 0 then drop_first(bucket.slots, count) end
  bucket.gone = bucket.gone + count
  if bucket.gone > 0 and #bucket.slots == 0 then bucket.gone, bucket.room = 0, 2 end
end

local function merge(bucket, horizon)
  local kept = {}
  for _, newer in ipairs(bucket.slots) do
    local older, sees = kept[#kept], horizon[#horizon]
    for _, interval in ipairs(horizon) do
      if newer[2] + interval > bucket.now then sees = interval break end
    end
    if older and newer[2] - older[1] < width(sees) then
      older[2], older[3] = newer[2], older[3] + newer[3]
    else
      kept[#kept + 1] = newer
    end
  end
  bucket.slots = kept
end

-- `room` is for how many slots the ledger's list has memory, and `gone` how many of them it has not dropped yet: old
-- slots are merged when it is full, so it is kept in step.
local function make_room(bucket, horizon)
  if bucket.gone + #bucket.slots < bucket.room then return end
  bucket.gone = 0
  merge(bucket, horizon)
  local len = #bucket.slots
  if len >= bucket.room - floor(bucket.room / 4) then
    bucket.room = bucket.room + floor(bucket.room / 2) + 1
  elseif len <= floor(bucket.room / 4) and bucket.room > 2 then
    bucket.room = max(len, 2)
  end
end

local function push(bucket, slot)
  if bucket.gone + #bucket.slots == bucket.room then
    local wanted = bucket.room + 1
    bucket.room = 1
    while bucket.room < wanted do bucket.room = bucket.room * 2 end
  end
  bucket.slots[#bucket.slots + 1] = slot
end

local function book(bucket, at, amount, horizon)
  if amount <= 0 then return end
  bucket.memory = max(bucket.memory, ceil(horizon[#horizon] / 1000) * 1000)
  bucket.now = at
  forget(bucket)
  local newest = bucket.slots[#bucket.slots]
  if newest and (at - newest[1] < width(horizon[1]) or at == newest[2]) then
    newest[2], newest[3] = at, newest[3] + amount
    return
  end
  make_room(bucket, horizon)
  push(bucket, { at, at, amount })
end

local function enter(bucket, at, amount, horizon)
  bucket.now = max(bucket.now, at)
  forget(bucket)
  local most = 0
  for _, interval in ipairs(horizon) do most = most + 4 * floor(interval / width(interval)) + 4 end
  if #horizon > 1 and #bucket.slots >= most then
    bucket.gone = 0
    merge(bucket, horizon)
  elseif bucket.gone + #bucket.slots == bucket.room then
    bucket.gone = 0
  end
  push(bucket, { bucket.now, bucket.now, amount })
end

-- Takes `amount` out of the slots from `index` on, as long as they are `meant`, and tells how much was not there.
local function take_while(slots, index, amount, meant)
  while amount > 0 and slots[index] and meant(slots[index]) do
    local taken = min(amount, slots[index][3])
    slots[index][3], amount = slots[index][3] - taken, amount - taken
    if slots[index][3] == 0 then table.remove(slots, index) end
  end
  return amount
end

local function first_from(slots, at)
  local index = 1
  while slots[index] and slots[index][2] < at do index = index + 1 end
  return index
end

local function take(slots, at, amount)
  return take_while(slots, first_from(slots, at), amount, function(slot) return slot[1] <= at end)
end

local function take_after(slots, at, amount)
  local index = first_from(slots, at)
  while slots[index] and slots[index][2] <= at do index = index + 1 end
  return take_while(slots, index, amount, function() return true end)
end

-- === debt ===

local function owe(bucket, at, amount, joins)
  local newest = bucket.debt[#bucket.debt]
  bucket.owed = bucket.owed + amount
  if newest and (#bucket.debt >= MOST_WAITING or at - newest[1] < joins or at == newest[2]) then
    newest[2], newest[3] = at, newest[3] + amount
  else
    bucket.debt[#bucket.debt + 1] = { at, at, amount }
  end
end

local function pop(bucket, amount)
  local left = amount
  while left > 0 and bucket.debt[1] do
    local oldest = bucket.debt[1]
    local taken = min(oldest[3], left)
    oldest[3], left = oldest[3] - taken, left - taken
    if oldest[3] > 0 then break end
    table.remove(bucket.debt, 1)
  end
  bucket.owed = bucket.owed - (amount - left)
  return amount - left
end

-- === ledger ===

local function room(bucket, at, lane)
  local least = END
  for _, rule in ipairs(lane.rules) do
    least = min(least, max(0, rule.tokens - used(bucket, at, rule.interval)))
  end
  return least
end

local function skip_rounds(bucket, until_, lane)
  if #lane.rules ~= 1 then return end
  local rule, newest = lane.rules[1], bucket.slots[#bucket.slots]
  if #lane.horizon > 1 or rule.tokens == 0 or bucket.owed < rule.tokens then return end
  if not newest or used(bucket, bucket.now, rule.interval) ~= rule.tokens then return end
  local rounds = min(floor(bucket.owed / rule.tokens), floor((until_ - newest[2]) / rule.interval))
  if rounds <= 0 then return end
  local left = 0
  while bucket.slots[left + 1] and bucket.slots[left + 1][2] + rule.interval <= bucket.now do left = left + 1 end
  drop_first(bucket.slots, left)
  bucket.gone = 0
  for _, slot in ipairs(bucket.slots) do
    slot[2] = slot[2] + rule.interval * rounds
    slot[1] = slot[2]
  end
  bucket.now = bucket.slots[#bucket.slots][2]
  pop(bucket, rounds * rule.tokens)
end

-- Lets debt enter the window whenever there is room, up to `until_`.
local function fill(bucket, until_, lane)
  for _ = 1, STEPS do
    if bucket.owed == 0 or not lane or #lane.rules == 0 then return end
    skip_rounds(bucket, until_, lane)
    local from = bucket.now
    local at = from
    for _, rule in ipairs(lane.rules) do
      local excess = used(bucket, from, rule.interval) + 1 - rule.tokens
      if rule.tokens == 0 then return end
      if excess > 0 then at = max(at, room_at(bucket, from, rule.interval, excess)) end
    end
    if at > until_ then return end
    local amount = pop(bucket, room(bucket, at, lane))
    if amount == 0 then return end
    enter(bucket, at, amount, lane.horizon)
  end
end

local function same(one, other)
  if not one or #one.rules ~= #other.rules or #one.horizon ~= #other.horizon then return false end
  for i, interval in ipairs(one.horizon) do
    if other.horizon[i] ~= interval then return false end
  end
  for i, rule in ipairs(one.rules) do
    if rule.tokens ~= other.rules[i].tokens or rule.interval ~= other.rules[i].interval then return false end
  end
  return true
end

local function advance(bucket, at, lane)
  if bucket.owed == 0 then return end
  bucket.dirty = true
  fill(bucket, at, bucket.waits)
  if lane and not same(bucket.waits, lane) then
    bucket.waits, bucket.now = lane, max(bucket.now, at)
    fill(bucket, at, lane)
  end
end

local function rest(bucket, rule, need)
  if bucket.owed == 0 then return 0 end
  return (rule.interval + width(rule.interval)) * ceil((bucket.owed + need) / max(rule.tokens, 1))
end

local function promise(bucket, lane, need)
  local later = copy(bucket)
  fill(later, END, lane)
  local at = later.now
  local latest = at
  for _, rule in ipairs(lane.rules) do
    local excess = used(later, at, rule.interval) + need - rule.tokens
    local fits = at
    if excess > 0 then fits = room_at(later, at, rule.interval, excess) end
    latest = max(latest, fits + rest(later, rule, need))
  end
  return latest
end

-- Which rule of the lane refuses and until when; nothing if none does.
local function check(bucket, at, lane, need)
  local worst, until_
  for _, rule in ipairs(lane.rules) do
    if rule.tokens == 0 or need > rule.tokens then return rule, END end
    local excess = used(bucket, at, rule.interval) + need - rule.tokens
    if excess > 0 then
      local fits = room_at(bucket, at, rule.interval, excess)
      if not until_ or fits > until_ then worst, until_ = rule, fits end
    end
  end
  if need > 0 and bucket.owed > 0 then return worst or lane.rules[1], promise(bucket, lane, need) end
  return worst, until_
end

local function charge(bucket, at, amount, lane)
  local free = bucket.owed > 0 and 0 or room(bucket, at, lane)
  book(bucket, at, min(free, amount), lane.horizon)
  local owed = max(0, amount - free)
  if owed > 0 then
    if bucket.owed == 0 then bucket.waits = lane end
    owe(bucket, at, owed, width(lane.horizon[1]))
  end
  bucket.dirty = true
  return owed
end

local function give_back(bucket, at, charged, amount, owed, lane)
  owed = min(owed, amount)
  local entered = take(bucket.debt, charged, owed)
  bucket.owed = bucket.owed - (owed - entered)
  local unfound = 0
  if charged + lane.horizon[1] > at then unfound = take_after(bucket.slots, charged, entered) end
  take(bucket.slots, charged, amount - owed + unfound)
  bucket.now = max(bucket.now, at)
  advance(bucket, at)
  bucket.dirty = true
end

-- Until the whole limit is back in a window that nothing is added to.
local function whole(bucket, at, interval, from)
  local newest = bucket.slots[#bucket.slots]
  if not newest or newest[2] + interval <= at then return 0 end
  return max(0, newest[2] + interval - from)
end

local function level(bucket, from, rule)
  local at = max(from, bucket.now)
  local amount, reset = used(bucket, at, rule.interval), nil
  local remaining = bucket.owed > 0 and 0 or max(0, rule.tokens - amount)
  if bucket.owed > 0 then
    local later = copy(bucket)
    fill(later, END, rule.lane)
    reset = whole(later, later.now, rule.interval, from) + rest(later, rule, 0)
  else
    reset = whole(bucket, at, rule.interval, from)
  end
  return amount, remaining, ceil(reset), bucket.owed
end

-- === holds { when, amount } ===

-- Given back from the newest on: what was never given back stays behind, and ends by its time.
local function change_holds(bucket, at, difference)
  if difference == 0 then return end
  local holds, newest = bucket.holds, bucket.holds[#bucket.holds]
  if difference > 0 and newest and at - newest[1] < hold_for / 60 then
    newest[1], newest[2] = at, newest[2] + difference
  elseif difference > 0 then
    holds[#holds + 1] = { at, difference }
  end
  while difference < 0 and holds[#holds] do
    local back = min(-difference, holds[#holds][2])
    holds[#holds][2], difference = holds[#holds][2] - back, difference + back
    if holds[#holds][2] == 0 then holds[#holds] = nil end
  end
  bucket.dirty = true
end

local function held(bucket)
  local sum = 0
  for _, hold in ipairs(bucket.holds) do sum = sum + hold[2] end
  return sum
end

-- === what is stored ===

local function read(raw)
  local bucket = new_bucket()
  if not raw then return bucket end
  local stored = cmsgpack.unpack(raw)
  bucket.now, bucket.memory, bucket.gone, bucket.room = stored[1], stored[2], stored[3], stored[4]
  bucket.slots, bucket.debt, bucket.holds = stored[5], stored[6], stored[8]
  for _, slot in ipairs(bucket.debt) do bucket.owed = bucket.owed + slot[3] end
  if bucket.owed > 0 then
    bucket.waits = { horizon = stored[7][1], rules = {} }
    for i, rule in ipairs(stored[7][2]) do bucket.waits.rules[i] = { tokens = rule[1], interval = rule[2] } end
  end
  while bucket.holds[1] and bucket.holds[1][1] + hold_for <= now do table.remove(bucket.holds, 1) end
  return bucket
end

local function pack(bucket)
  local waits = {}
  if bucket.owed > 0 then
    waits = { bucket.waits.horizon, {} }
    for i, rule in ipairs(bucket.waits.rules) do waits[2][i] = { rule.tokens, rule.interval } end
  end
  local stored = { bucket.now, bucket.memory, bucket.gone, bucket.room, bucket.slots, bucket.debt, waits, bucket.holds }
  return cmsgpack.pack(stored)
end

-- How long the bucket is not empty, at most.
local function lasts(bucket)
  local newest, longest = bucket.slots[#bucket.slots], 0
  if newest then longest = newest[2] + bucket.memory - now end
  if bucket.owed > 0 then
    for _, rule in ipairs(bucket.waits.rules) do
      longest = max(longest, rest(bucket, rule, 0) + 2 * bucket.memory + rule.interval)
    end
  end
  if #bucket.holds > 0 then longest = max(longest, hold_for) end
  return longest
end

local asked, share_for = {}, 0

local function save(key, buckets)
  local values, gone, longest = {}, {}, 0
  for field, bucket in pairs(buckets) do
    local left = lasts(bucket)
    if bucket.dirty and left > 0 then
      values[#values + 1], values[#values + 2] = field, pack(bucket)
      longest = max(longest, left)
    elseif bucket.dirty then
      gone[#gone + 1] = field
    end
  end
  if key == KEYS[1] and share_for > 0 then
    values[#values + 1], values[#values + 2] = 'asked', cmsgpack.pack(asked)
    longest = max(longest, share_for)
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  if #values > 0 then
    redis.call('HSET', key, unpack(values))
    local ttl = min(LONGEST_TTL, ceil(longest / 1000) + 1)
    if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, string.format('%.0f', ttl)) end
  end
end

local buckets, members = {}, {}
do
  local fields, shares = {}, false
  for i, lane in ipairs(lanes) do
    fields[i] = lane.field
    for _, rule in ipairs(lane.rules) do shares = shares or rule.share >= 0 end
  end
  if #fields > 0 then
    fields[#fields + 1] = 'asked'
    local stored = redis.call('HMGET', KEYS[1], unpack(fields))
    for i, lane in ipairs(lanes) do buckets[lane.field] = read(stored[i]) end
    if stored[#fields] then asked = cmsgpack.unpack(stored[#fields]) end
    if KEYS[2] and shares then
      stored = redis.call('HMGET', KEYS[2], unpack(fields))
      for i, lane in ipairs(lanes) do members[lane.field] = read(stored[i]) end
    end
  end
end

local function of(lane) return buckets[lane.field] end

-- === account ===

local function present(current)
  local at = now
  for _, lane in ipairs(lanes) do
    advance(of(lane), now, current and lane or nil)
    at = max(at, of(lane).now)
  end
  return at
end

-- Until when a member's share holds that would be exceeded.
local function short_of_share(at, rule, need)
  local other
  if asked[1] and asked[1] ~= who then
    other = asked[2]
  elseif asked[3] and asked[3] ~= who then
    other = asked[4]
  end
  if not other or other + rule.interval <= at or need == 0 then return nil end
  local bucket = members[rule.lane.field]
  local excess = used(bucket, at, rule.interval) + need - rule.share
  if excess <= 0 then return nil end
  local fits = need <= rule.share and room_at(bucket, at, rule.interval, excess) or END
  return min(other + rule.interval, fits)
end

local function check_lane(at, lane, need)
  if lane.kind == CONCURRENT then
    local calls = held(of(lane))
    for _, rule in ipairs(lane.rules) do
      if calls >= rule.tokens then return rule, rule.tokens == 0 and END or at + 1000000 end
    end
    return nil
  end
  if need == 0 and flows(lane.kind) then return nil end
  local worst, until_ = check(of(lane), at, lane, need)
  for _, rule in ipairs(lane.rules) do
    local fits = KEYS[2] and rule.share >= 0 and short_of_share(at, rule, need)
    if fits and (not until_ or fits > until_) then worst, until_ = rule, fits end
  end
  return worst, until_
end

local function refusing(at, enforced, needs)
  local worst, until_, kinds = nil, nil, 0
  for _, lane in ipairs(lanes) do
    if lane.enforced == enforced then
      local rule, fits = check_lane(at, lane, needs(lane.kind))
      if rule then
        if not until_ or fits > until_ then worst, until_ = rule, fits end
        kinds = kinds + 2 ^ lane.kind
      end
    end
  end
  return worst, until_, kinds
end

local function book_member(at, lane, amount)
  local bucket = members[lane.field]
  if not bucket then return end
  for _, rule in ipairs(lane.rules) do
    if rule.share >= 0 then
      book(bucket, max(at, bucket.now), amount, lane.horizon)
      bucket.dirty = true
      return
    end
  end
end

local function charge_lane(at, lane, amount)
  if amount == 0 then return 0 end
  local owed = charge(of(lane), at, amount, lane)
  book_member(at, lane, amount)
  return owed
end

-- The enforced window with the smallest share left: which, remaining, reset.
local function tightest()
  local which, least, of_tokens, reset = NEVER, 0, 0, 0
  for _, rule in ipairs(rules) do
    if rule.lane.enforced and rule.lane.kind ~= CONCURRENT then
      local _, remaining, until_ = level(of(rule.lane), now, rule)
      if which == NEVER or remaining * of_tokens < least * rule.tokens then
        which, least, of_tokens, reset = rule.which, remaining, rule.tokens, until_
      end
    end
  end
  return which, least, reset
end

local function finish(answer)
  save(KEYS[1], buckets)
  if KEYS[2] then save(KEYS[2], members) end
  return answer
end

local function remember_who(at)
  if not KEYS[2] then return end
  for _, rule in ipairs(rules) do
    if rule.share >= 0 then share_for = max(share_for, rule.interval) end
  end
  if share_for == 0 then return end
  if asked[1] ~= who then asked = { who, at, asked[1], asked[2] } else asked[2] = at end
end

local function refused(worst, until_, kinds)
  local wait = until_ == END and NEVER or max(0, ceil(until_ - now))
  local _, remaining, reset = level(of(worst.lane), now, worst)
  return { 0, worst.which, wait, remaining, reset, kinds }
end

local function admit(only_look)
  local input, cost, output = take_number(), take_number(), take_number()
  local function takes(kind)
    if kind == INPUT or kind == TOTAL then return input end
    if kind == COST then return cost end
    return kind == OUTPUT and 0 or 1
  end
  local function needs(kind) return max(takes(kind), flows(kind) and output or 0) end
  local at = present(true)
  local worst, until_, kinds = refusing(at, true, needs)
  if only_look then return worst and refused(worst, until_, kinds) or { 1 } end
  remember_who(at)
  if worst then return refused(worst, until_, kinds) end
  local shadow_refuses, _, shadow_kinds = refusing(at, false, needs)
  for _, lane in ipairs(lanes) do
    if lane.enforced or not shadow_refuses then
      local amount = takes(lane.kind)
      if lane.kind == CONCURRENT then
        change_holds(of(lane), at, 1)
      elseif amount > 0 then
        book(of(lane), at, amount, lane.horizon)
        of(lane).dirty = true
        book_member(at, lane, amount)
      end
    end
  end
  local which, remaining, reset = tightest()
  return { 1, at, shadow_refuses and 0 or 1, shadow_kinds, which, remaining, reset }
end

-- Pairs of tokens and money.
local function take_output()
  local tokens, cost = take_number(), take_number()
  return function(kind)
    if kind == COST then return cost end
    return flows(kind) and tokens or 0
  end
end

local function draw()
  local shadow = take_number() == 1
  local spent, piece, returned, taken = take_output(), take_output(), take_output(), take_output()
  local at = present(false)
  for _, rule in ipairs(rules) do
    local kind, bucket = rule.lane.kind, of(rule.lane)
    if rule.lane.enforced and rule.cuts and flows(kind) then
      -- Blocks of others do not count against a call's first.
      local others = returned(kind) > 0 and max(0, held(bucket) - returned(kind)) or 0
      local holding = others + max(0, spent(kind) - piece(kind))
      if used(bucket, at, rule.interval) + bucket.owed + holding >= rule.tokens then return { 0, rule.which } end
    end
  end
  local answer = { 1, at }
  for i, lane in ipairs(lanes) do
    answer[i + 2] = 0
    if flows(lane.kind) and (lane.enforced or shadow) then
      answer[i + 2] = charge_lane(at, lane, spent(lane.kind))
      change_holds(of(lane), at, taken(lane.kind) - returned(lane.kind))
    end
  end
  return answer
end

-- Gives back `amount` of what was charged in a lane, the newest first.
local function refund(at, lane, charges, amount)
  for i = #charges, 1, -1 do
    local charged = charges[i]
    local back = min(amount, charged.amount)
    if charged.lane == lane and back > 0 then
      give_back(of(lane), at, charged.at, back, charged.owed, lane)
      local member = members[lane.field]
      if member then
        take(member.slots, charged.at, back)
        member.dirty = true
      end
      amount = amount - back
    end
  end
end

local function settle()
  local shadow, was_held, wants = take_number() == 1, take_number(), take_number() == 1
  local target = {}
  target[INPUT], target[OUTPUT], target[COST], target[REQUEST] = take_number(), take_number(), take_number(), take_number()
  target[TOTAL] = target[INPUT] + target[OUTPUT]
  local returned, taken = take_output(), take_output()
  local charges, is = {}, {}
  for i = 1, take_number() do
    charges[i] = { lane = lanes[take_number()], at = take_number(), amount = take_number(), owed = take_number() }
    is[charges[i].lane] = (is[charges[i].lane] or 0) + charges[i].amount
  end
  local at = present(false)
  for _, lane in ipairs(lanes) do
    if lane.kind == CONCURRENT and (lane.enforced or shadow) then
      change_holds(of(lane), at, -was_held)
    elseif lane.enforced or shadow then
      local charged, wanted = is[lane] or 0, target[lane.kind]
      if wanted > charged then
        charge_lane(at, lane, wanted - charged)
      elseif wanted < charged then
        refund(at, lane, charges, charged - wanted)
      end
      change_holds(of(lane), at, returned(lane.kind) - taken(lane.kind))
    end
  end
  if not wants then return { 1 } end
  return { 1, tightest() }
end

local function levels()
  local at = present(true)
  local answer = {}
  for _, rule in ipairs(rules) do
    local amount, remaining, reset, owed = 0, 0, 0, 0
    if rule.lane.kind == CONCURRENT then
      amount = held(of(rule.lane))
      remaining = max(0, rule.tokens - amount)
    else
      amount, remaining, reset, owed = level(of(rule.lane), at, rule)
    end
    for _, number in ipairs({ amount, remaining, reset, owed }) do answer[#answer + 1] = number end
  end
  return answer
end

if op == 'admit' then return finish(admit(false)) end
if op == 'look' then return finish(admit(true)) end
if op == 'draw' then return finish(draw()) end
if op == 'settle' then return finish(settle()) end
return finish(levels())
