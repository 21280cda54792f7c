#!lua
-- The decision: the only code that writes a site's keys. One call, idempotent by capture id.
--
-- Everything is read and computed first; the writes are queued meanwhile and run at the very end, each on a key whose
-- type was checked, because a script that fails midway keeps what it wrote before. Every number is an integer below
-- 2^53: tokens and probabilities in millionths, scores and thresholds in micro-log-odds, times in milliseconds since
-- 1970. Numbers become text only through `digits`: Lua's own conversion cuts them to 14 places.
--
-- All keys carry the site's hash tag. KEYS[1..8] are the same for every operation; outcomes and units that only a sweep
-- or a verdict by unit discovers are named from the prefix in ARGV[2], which carries the tag as well.

local STORE, LINES, CONFIG, BUDGET = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local COUNTS, OPEN, FUSIONS, CLOCK = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local OP, PREFIX, STORE_ID = ARGV[1], ARGV[2], ARGV[3]
local LINE_BUDGETS, ASSOCIATES = PREFIX .. "line_budgets", PREFIX .. "associates"

local TOKEN = 1000000
local HOUR_MS = 3600000
local DAY_MS = 24 * HOUR_MS
local EXACT = 9007199254740992 -- 2^53: beyond it doubles skip integers
local SWEEP = 16 -- expired stops closed per call: bounds what one capture can cost another

-- The threshold. budget/threshold.py states the same numbers, docs/decisions/0040 says where they come from.
local SETTLING = 64 -- first captures, of which only median and spread are taken
local SPREAD_PPM = 1182931 -- mean absolute over median absolute deviation, of a normal distribution
local LOCATION_MEMORY, SCALE_MEMORY, FAST_MEMORY = 2000, 1000, 200 -- captures over which they are averaged
local CLIP, FAST_CLIP = 2, 4 -- deviations count at most so many scales: outliers drag neither location nor scale
local FAR_PERCENT = 25 -- of a scale between the two locations, and the slow one catches up
local CATCH_UP = 50
local SCALE_MIN = 1000
local BILLION = 1000000000
local ASKING_MEMORY = 250
local SHIFT_PPB = 150000000 -- more asking than that is a shift of all scores, not damage
local LOCATION_TRUST, SHAPE_TRUST = 2, 4 -- alphas: asking at a higher rate, they count as if it were that
local WHOLE = 1024 -- full trust
local USUAL_MEMORY = 20000
local PENDING_PERCENT = 40 -- how much of unusual pending counts as spent before its verdict
local LOW = 10 -- below a tenth of the burst the share falls with the square of the balance
local EAGER_FROM, EAGER_OVER = 3, 4 -- alphas that ask: from 3 to 7 of them the share doubles
-- Tokens at hand as a share of the burst, and the share of captures to ask for them, in alphas; both in millionths.
local PACE = {{0, 900000}, {300000, 900000}, {770000, 1000000}, {950000, 1500000}, {1000000, 4000000}}
local BINS = 512
local BINS_PER_SCALE = 16
local BIN_OF_LOCATION = 64 -- the histogram reaches from 4 scales below the location to 28 above
local EVERY = 25 -- captures between two moves of the threshold
local FIRST_MOVE = 1000 -- captures known before the threshold leaves its starting point
local WEIGHT = 1048576 -- of one capture at first, 2^20
local WEIGHT_MAX = 268435456 -- 2^28, then every mass is divided by 2^8
local GROWTH_PPM = 347 -- per move: the weight doubles in 50,000 captures, so a capture's share halves
local THRESHOLD_TTL_MS = 30 * DAY_MS -- of a fusion version no one scores with any more

local BUDGET_FIELDS = {"seq", "balance", "pending", "identity_balance", "identity_pending", "diverts", "restoring"}
local CONFIG_FIELDS = {
  "version", "alpha_ppm", "burst_tokens", "reserve", "alpha_identity_ppm", "burst_identity", "beta_ppm",
  "burst_diverts", "audit_ppm", "audit_max_ppm", "recheck_ppm", "floor", "ceiling", "start_threshold",
  "override_threshold", "override_until_ms", "verdict_timeout_ms", "horizon_ms", "admitted_after_ms",
}
local LATER_FIELDS = {audit_max_ppm = true, recheck_ppm = true} -- absent in the configurations of older builds
local LINE_FIELDS = {"alpha_ppm", "burst_tokens", "seq", "balance", "pending"}
local THRESHOLD_FIELDS = {
  "captures", "location", "scale", "weight", "total", "since", "moves", "threshold", "fast", "asking", "usual",
}

-- ---------------------------------------------------------------------------------------------------- reading, writing

local kinds = {} -- key -> the type it has or will have, for every key looked at
local exists = {}
local writes = {}
local bumps = {}
local loaded = {} -- key -> the integers it held, so that only changes are written

local function broken(message)
  error({err = "BROKEN " .. message})
end

local function expect(key, kind)
  if kinds[key] ~= kind then
    local found = redis.call("TYPE", key).ok
    if found ~= "none" and found ~= kind then
      broken(key .. " is a " .. found .. ", not a " .. kind)
    end
    kinds[key] = kind
    exists[key] = found ~= "none"
  end
  return key
end

local function write(command, key, ...)
  if not kinds[key] then
    broken(key .. " would be written without having been checked")
  end
  writes[#writes + 1] = {command, key, ...}
end

local function digits(n)
  return string.format("%.0f", n + 0)
end

local function int(text, name)
  local n = tonumber(text)
  if not n or n % 1 ~= 0 or n >= EXACT or n <= -EXACT then
    broken(name .. " holds " .. tostring(text) .. ", which is no integer")
  end
  return n
end

local function load(key, names)
  expect(key, "hash")
  local values = redis.call("HMGET", key, unpack(names))
  local record, known = {}, {}
  for i = 1, #names do
    local n = values[i] and int(values[i], names[i])
    record[names[i]], known[names[i]] = n or 0, n
  end
  loaded[key] = known
  return record
end

local function save(key, record, names)
  local flat, known = {}, loaded[key] or {}
  for i = 1, #names do
    local name = names[i]
    if record[name] ~= known[name] then
      flat[#flat + 1] = name
      flat[#flat + 1] = digits(record[name])
    end
  end
  if #flat > 0 then
    write("HSET", key, unpack(flat))
  end
end

local function bump(name, by)
  bumps[name] = (bumps[name] or 0) + (by or 1)
end

local function commit()
  local names = {}
  for name in pairs(bumps) do
    names[#names + 1] = name
  end
  if #names > 0 then
    local counts = load(COUNTS, names)
    for i = 1, #names do
      counts[names[i]] = counts[names[i]] + bumps[names[i]]
    end
    save(COUNTS, counts, names)
  end
  for i = 1, #writes do
    redis.call(unpack(writes[i]))
  end
end

-- --------------------------------------------------------------------------------------------------------------- times

local function now_us()
  local time = redis.call("TIME")
  local offset_ms = redis.call("GET", expect(CLOCK, "string")) -- tests move the clock with it; absent in production
  return tonumber(time[1]) * 1000000 + tonumber(time[2]) + (offset_ms and int(offset_ms, CLOCK) or 0) * 1000
end

local MONTH_STARTS = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}

local function days_before(year) -- from 1970-01-01 to the year's first day
  local y = year - 1
  return 365 * (year - 1970) + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) - 477
end

local function rfc3339(ms, fraction)
  local day = math.floor(ms / DAY_MS)
  local second = math.floor((ms - day * DAY_MS) / 1000)
  local year = 1970 + math.floor(day / 365.2425)
  while days_before(year) > day do year = year - 1 end
  while days_before(year + 1) <= day do year = year + 1 end
  local of_year = day - days_before(year)
  local leap = (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) and 1 or 0
  local month = 12
  while of_year < MONTH_STARTS[month] + (month > 2 and leap or 0) do month = month - 1 end
  local of_month = of_year - MONTH_STARTS[month] - (month > 2 and leap or 0)
  return string.format("%04d-%02d-%02dT%02d:%02d:%02d.%sZ", year, month, of_month + 1,
    math.floor(second / 3600), math.floor(second / 60) % 60, second % 60, fraction)
end

-- -------------------------------------------------------------------------------------------------------------- tokens

-- A purse is one escrow: balance + pending never exceeds its burst unless a lowered burst left more pending than that,
-- and then its balance is zero.
local function purses(budget, config)
  return {
    damage = {
      balance = budget.balance, pending = budget.pending,
      alpha = config.alpha_ppm, burst = config.burst_tokens * TOKEN,
    },
    identity = {
      balance = budget.identity_balance, pending = budget.identity_pending,
      alpha = config.alpha_identity_ppm, burst = config.burst_identity * TOKEN,
    },
  }
end

local function keep(budget, purse)
  budget.balance, budget.pending = purse.damage.balance, purse.damage.pending
  budget.identity_balance, budget.identity_pending = purse.identity.balance, purse.identity.pending
end

local function room(purse)
  return math.max(0, purse.burst - purse.balance - purse.pending)
end

local function refill(purse)
  purse.balance = purse.balance + math.min(purse.alpha, room(purse))
end

local function debit(purse)
  purse.balance = purse.balance - TOKEN
  purse.pending = purse.pending + TOKEN
end

local function destroy(purse)
  purse.pending = purse.pending - TOKEN
end

local function give_back(purse)
  purse.pending = purse.pending - TOKEN
  purse.balance = purse.balance + math.min(TOKEN, room(purse))
end

-- A line inside the site may have a purse of its own beside the site's: a damage sideline then takes a token of both.
-- A line whose budget was taken away keeps its numbers with a burst of zero: tokens of its stops still come home.
local line_purses = {} -- line -> its purse, or false where it never had one

local function line_names(line)
  local names = {}
  for i = 1, #LINE_FIELDS do
    names[i] = line .. ":" .. LINE_FIELDS[i]
  end
  return names
end

local function line_purse(line)
  if line_purses[line] == nil then
    local names = line_names(line)
    local values = redis.call("HMGET", expect(LINE_BUDGETS, "hash"), unpack(names))
    local purse = false
    if values[1] then
      local n = {}
      for i = 1, #names do
        n[i] = int(values[i], names[i])
      end
      purse = {alpha = n[1], burst = n[2] * TOKEN, seq = n[3], balance = n[4], pending = n[5]}
    end
    line_purses[line] = purse
  end
  return line_purses[line]
end

local function keep_lines()
  for line, purse in pairs(line_purses) do
    if purse then
      write("HSET", expect(LINE_BUDGETS, "hash"), line .. ":seq", digits(purse.seq), line .. ":balance",
        digits(purse.balance), line .. ":pending", digits(purse.pending))
    end
  end
end

-- The purses that a stop holds a token of: its reason's, and its line's where it had one.
local function holders(purse, divert, scope)
  local held = {}
  if purse[divert] then
    held[1] = purse[divert]
    local of_line = scope ~= "" and line_purse(scope)
    if of_line then
      held[2] = of_line
    end
  end
  return held
end

-- ---------------------------------------------------------------------------------------------------------- open stops

-- Every divert opens a stop, a member `<divert>:<capture>:<unit>` of OPEN scored with the time it expires, with
-- `:<line>` behind it where the line's own budget paid as well. Damage and identity stops hold tokens, audits hold none.
-- A stop closes once: whoever finds it in OPEN closes it. No id holds a colon.
local function stop_of(divert, capture, unit, scope)
  local stop = divert .. ":" .. capture .. ":" .. unit
  return (scope or "") == "" and stop or stop .. ":" .. scope
end

local function parts_of(stop)
  return string.match(stop, "^(%a+):([^:]*):([^:]*):?(.*)$")
end

local function close(stop, state)
  local _, capture, unit = parts_of(stop)
  write("ZREM", expect(OPEN, "zset"), stop)
  write("SREM", expect(PREFIX .. "unit:" .. unit, "set"), stop)
  local outcome = expect(PREFIX .. "outcome:" .. capture, "hash")
  if exists[outcome] then
    write("HSET", outcome, "token", state)
  end
end

local EXPIRED = {damage = "expired", identity = "identity_expired", audit = "audit_expired"}

local function expire(stop, purse)
  local divert, _, _, scope = parts_of(stop)
  for _, held in ipairs(holders(purse, divert, scope)) do
    destroy(held)
  end
  bump(EXPIRED[divert])
  close(stop, "expired")
end

local function sweep(now_ms, purse, limit)
  local swept = {}
  local stops = redis.call("ZRANGEBYSCORE", expect(OPEN, "zset"), "-inf", digits(now_ms), "LIMIT", 0, limit)
  for i = 1, #stops do
    expire(stops[i], purse)
    swept[stops[i]] = true
  end
  return swept, #stops
end

-- ----------------------------------------------------------------------------------------------------------- threshold

local function bin_names()
  local names = {}
  for bin = 1, BINS do
    names[bin] = digits(bin - 1)
  end
  return names
end

local function starting(config)
  return {
    captures = 0, location = 0, scale = SCALE_MIN, weight = WEIGHT, total = 0, since = 0, moves = 0,
    threshold = config.start_threshold, fast = 0, asking = 0, usual = 0,
  }
end

-- The threshold of a fusion version. One stored by an older script knows no fast location yet: it goes on from there.
local function known_threshold(key, purse, config)
  local state = load(key, THRESHOLD_FIELDS)
  if not exists[key] then
    return starting(config)
  elseif not loaded[key].fast then
    state.fast, state.usual = state.location, purse.pending
  end
  return state
end

local function clamp(threshold, config)
  return math.max(config.floor, math.min(config.ceiling, threshold))
end

local function in_force(state, config, now_ms)
  if now_ms < config.override_until_ms then
    bump("overridden")
    return clamp(config.override_threshold, config)
  end
  return clamp(state.threshold, config)
end

local function pace(level)
  for i = 2, #PACE do
    local below, above = PACE[i - 1], PACE[i]
    if level <= above[1] then
      return below[2] + math.floor((above[2] - below[2]) * (level - below[1]) / (above[1] - below[1]))
    end
  end
  return PACE[#PACE][2]
end

-- The share of captures that should lie above, in billionths: alpha at the pace that the tokens allow.
local function share_above(state, purse, config)
  local unusual = math.floor((purse.pending - state.usual) * PENDING_PERCENT / 100)
  local at_hand = math.floor((purse.balance + purse.pending - unusual) / config.burst_tokens)
  local low = math.min(TOKEN, math.floor(LOW * purse.balance / config.burst_tokens))
  local crowd = math.floor((math.floor(state.asking * 1000 / config.alpha_ppm) - EAGER_FROM * TOKEN) / EAGER_OVER)
  local eager = TOKEN + math.min(TOKEN, math.max(0, crowd))
  local steady = math.floor(pace(math.min(TOKEN, math.max(0, at_hand))) * math.floor(low * low / TOKEN) / TOKEN)
  local alphas = math.floor(steady * eager / TOKEN)
  return math.min(BILLION, math.floor(config.alpha_ppm * alphas / 1000))
end

local function quantile(state, bins, names, share)
  local above = math.floor(math.floor(state.total / 1000000) * share / 1000)
  local seen = 0
  for i = BINS, 1, -1 do
    local mass = bins[names[i]]
    if above > 0 and mass > 0 and seen + mass >= above then
      local edge = (i - BIN_OF_LOCATION) * 1024 - math.floor((above - seen) * 1024 / mass)
      return state.location + math.floor(state.scale * edge / (BINS_PER_SCALE * 1024))
    end
    seen = seen + mass
  end
  return nil
end

local function move(state, bins, names, purse, config)
  state.threshold = quantile(state, bins, names, share_above(state, purse, config)) or config.ceiling
  state.moves = state.moves + 1
end

local function bin_of(state, score)
  local position = math.floor((score - state.location) * BINS_PER_SCALE / state.scale) + BIN_OF_LOCATION
  return math.max(0, math.min(BINS - 1, position))
end

local function nudge(distance, captures) -- one step of a running mean, rounded to the nearest integer
  return math.floor((2 * distance + captures) / (2 * captures))
end

local function middle(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

-- The first captures wait until there are enough of them: location and scale start at their median and median
-- deviation, so that an outlier among the first cannot drag them either.
local function gather(state, scores, score)
  local names = {}
  for i = 1, state.captures do
    names[i] = "first" .. digits(i - 1)
  end
  state.captures = state.captures + 1
  if state.captures < SETTLING then
    write("HSET", expect(scores, "hash"), "first" .. digits(state.captures - 1), digits(score))
    return
  end
  local first, list, deviations = load(scores, names), {score}, {}
  for i = 1, #names do
    list[i + 1] = first[names[i]]
  end
  state.location = middle(list)
  state.fast = state.location
  for i = 1, #list do
    deviations[i] = math.abs(list[i] - state.location)
  end
  state.scale = math.max(SCALE_MIN, math.floor(middle(deviations) * SPREAD_PPM / 1000000))
  write("HDEL", scores, unpack(names))
end

local function clip(distance, scales)
  return math.max(-scales, math.min(scales, distance))
end

-- Location and scale learn from the score as far as it is trusted; the location catches up with one that forgets fast.
local function track(state, score, trust)
  local scale = state.scale
  local near = clip(score - state.location, CLIP * scale)
  local leap = clip(score - state.fast, FAST_CLIP * scale)
  state.captures = state.captures + 1
  state.location = state.location + nudge(near * trust, math.min(LOCATION_MEMORY, state.captures) * WHOLE)
  state.fast = state.fast + nudge(leap * trust, FAST_MEMORY * WHOLE)
  local apart = state.fast - state.location
  if math.abs(apart) * 100 > FAR_PERCENT * scale then
    state.location = state.location + nudge(apart, CATCH_UP)
  end
  local wider = nudge((math.abs(near) - scale) * trust, math.min(SCALE_MEMORY, state.captures) * WHOLE)
  state.scale = math.max(SCALE_MIN, scale + wider)
end

-- How far location and histogram believe a score. Scores that ask more often than alpha allows are likely damage that
-- comes in a group, and must not teach what intact goods look like; where all scores shift, the location believes them
-- again, and the shape waits for it.
local function trusts(state, score, config)
  local asks = score >= state.threshold
  state.asking = state.asking + nudge((asks and BILLION or 0) - state.asking, ASKING_MEMORY)
  if not asks or state.captures < FIRST_MOVE then
    return WHOLE, WHOLE
  end
  local one = config.alpha_ppm * 1000 * WHOLE
  local located = math.min(WHOLE, math.floor(LOCATION_TRUST * one / state.asking))
  local shaped = math.min(WHOLE, math.floor(SHAPE_TRUST * one / state.asking))
  return state.asking < SHIFT_PPB and located or WHOLE, shaped
end

-- Let one score into the histogram; every EVERY captures let the weight grow and move the threshold. One bin is read
-- and written per capture, all of them once per move.
local function learn(state, scores, score, purse, config)
  local fresh, mass = nil, 0
  if state.captures < SETTLING then
    gather(state, scores, score)
  else
    local located, shaped = trusts(state, score, config)
    fresh, mass = digits(bin_of(state, score)), math.floor(state.weight * shaped / WHOLE)
    state.total = state.total + mass
    track(state, score, located)
  end
  state.usual = state.usual + nudge(purse.pending - state.usual, math.min(USUAL_MEMORY, state.captures))
  state.since = state.since + 1

  if state.since < EVERY then
    if fresh then
      local bin = load(scores, {fresh})
      write("HSET", scores, fresh, digits(bin[fresh] + mass))
    end
    return
  end

  local names = bin_names()
  local bins = load(scores, names)
  if fresh then
    bins[fresh] = bins[fresh] + mass
  end
  state.since = 0
  state.weight = state.weight + math.floor(state.weight * GROWTH_PPM / 1000000)
  if state.weight > WEIGHT_MAX then
    state.weight, state.total = math.floor(state.weight / 256), 0
    for i = 1, BINS do
      bins[names[i]] = math.floor(bins[names[i]] / 256)
      state.total = state.total + bins[names[i]]
    end
    save(scores, bins, names)
  elseif fresh then
    write("HSET", scores, fresh, digits(bins[fresh]))
  end
  if state.captures >= FIRST_MOVE then
    move(state, bins, names, purse, config)
  end
end

-- ---------------------------------------------------------------------------------------------------------- operations

local function site_refuses() -- nil where this store and this site may be written
  local store_id = redis.call("GET", expect(STORE, "string"))
  if not store_id then
    return {"refused", "unknown_site"}
  elseif store_id ~= STORE_ID then
    return {"fatal", "store", store_id}
  end
  return nil
end

local function load_whole(key, names) -- of a registered site: a missing integer is damage, not a zero
  local record = load(key, names)
  for i = 1, #names do
    if not loaded[key][names[i]] and not LATER_FIELDS[names[i]] then
      broken(key .. " has lost its " .. names[i])
    end
  end
  return record
end

local function load_budget()
  return load_whole(BUDGET, BUDGET_FIELDS)
end

local function load_config()
  return load_whole(CONFIG, CONFIG_FIELDS)
end

local function save_threshold(key, scores, version, state)
  save(key, state, THRESHOLD_FIELDS)
  if state.since == 0 or not exists[key] then
    write("PEXPIRE", key, digits(THRESHOLD_TTL_MS))
    write("PEXPIRE", expect(scores, "hash"), digits(THRESHOLD_TTL_MS))
    write("SADD", expect(FUSIONS, "set"), version)
  end
end

-- The audit probability: between two configured values, higher the fuller the station's bucket. It depends on nothing
-- but earlier captures, so a capture's own score cannot move it, and what an audit finds stays an honest sample.
local function audit_rate(diverts, config)
  local span = math.max(0, config.audit_max_ppm - config.audit_ppm)
  local filled = math.floor(diverts / config.burst_diverts) -- millionths of full
  return config.audit_ppm + math.floor(span * math.floor(filled * filled / 1000000) / 1000000)
end

-- What asks for a sideline, which budget answers, and why. Every stop debits one reason only, damage before identity.
local function divert_of(ask, purse, diverts, config)
  local capacity = diverts >= TOKEN
  local divert, reason, withheld = "none", "below_threshold", false
  if ask.score >= ask.threshold then
    local balance = purse.damage.balance
    if balance < TOKEN then
      reason, withheld = "no_token", true
      bump("withheld_balance")
    elseif not ask.major and balance - config.reserve * TOKEN < TOKEN then
      reason, withheld = "reserved", true
      bump("withheld_reserve")
    elseif ask.of_line and ask.of_line.balance < TOKEN then
      reason, withheld = "line_no_token", true
      bump("withheld_line")
    elseif not capacity then
      reason, withheld = "diverts_full", true
      bump("withheld_diverts")
    else
      divert, reason = "damage", "above_threshold"
    end
  end
  if divert == "none" and ask.conflict then
    if purse.identity.balance >= TOKEN and capacity then
      divert, reason, withheld = "identity", "identity_conflict", false
    else
      reason = withheld and reason or "identity_no_token"
      bump("withheld_identity")
    end
  end
  if divert == "none" and ask.draw < ask.audit_ppm then
    if capacity then
      divert = "audit"
    else
      bump("withheld_audit")
    end
  end
  return divert, reason, withheld
end

local function quoted(text)
  return '"' .. text .. '"'
end

local function made_at(capture) -- the time inside a UUIDv7
  return tonumber(string.sub(capture, 1, 8), 16) * 65536 + tonumber(string.sub(capture, 10, 13), 16)
end

local function decide()
  local OUTCOME, UNIT, LAST, THRESHOLD, SCORES = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
  local line, capture, unit, digest = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local append_ms, decide_by_ms = int(ARGV[8], "append_ms"), int(ARGV[9], "decide_by_ms")
  local outcome, reason = ARGV[10], ARGV[11]
  local score = ARGV[12] ~= "" and int(ARGV[12], "score") or nil
  local fusion_version, redrive = ARGV[16], ARGV[20]

  local refusal = site_refuses()
  if refusal then
    return refusal
  end
  local stored = redis.call("HMGET", expect(OUTCOME, "hash"), "digest", "decision", "sidelined", "grant",
    "grant_until", "chain")
  local us = now_us()
  local now_ms = math.floor(us / 1000)
  local again = stored[4] and stored[4] == redrive and now_ms < int(stored[5], "grant_until")
  if exists[OUTCOME] then
    if stored[1] ~= digest and stored[1] ~= "" then -- a restored outcome may not know its digest
      return {"refused", "id_reused"}
    end
    if not again then
      return {"stored", stored[1], stored[2], stored[3] or ""}
    end
  end

  local budget, config = load_budget(), load_config()
  if budget.restoring ~= 0 then
    return {"fatal", "restoring"}
  end
  if redis.call("SISMEMBER", expect(LINES, "set"), line) == 0 then
    return {"refused", "unknown_line"}
  end
  local made_ms = made_at(capture)
  local admitted_after_ms = math.max(config.admitted_after_ms, now_ms - config.horizon_ms + HOUR_MS)
  if append_ms <= admitted_after_ms or made_ms <= admitted_after_ms then
    return {"refused", "too_old"}
  elseif made_ms > now_ms + HOUR_MS then
    return {"refused", "from_the_future"}
  end

  local purse = purses(budget, config)
  sweep(now_ms, purse, SWEEP)
  local before = {
    balance = purse.damage.balance, pending = purse.damage.pending,
    identity_balance = purse.identity.balance, identity_pending = purse.identity.pending, diverts = budget.diverts,
  }
  local action, divert, withheld = "none", "none", false
  local threshold, of_line, audit_ppm, scope = nil, nil, config.audit_ppm, ""
  if outcome == "decided" and now_ms >= decide_by_ms then
    outcome, reason = "undetermined", reason ~= "" and reason or "late"
    bump("late")
  end

  if outcome == "decided" then
    budget.seq = budget.seq + 1
    refill(purse.damage)
    refill(purse.identity)
    budget.diverts = budget.diverts + math.min(config.beta_ppm, config.burst_diverts * TOKEN - budget.diverts)
    audit_ppm = audit_rate(budget.diverts, config)
    of_line = line_purse(line)
    if of_line and of_line.burst > 0 then
      of_line.seq = of_line.seq + 1
      refill(of_line)
    else
      of_line = nil
    end

    local state = known_threshold(THRESHOLD, purse.damage, config)
    threshold = in_force(state, config, now_ms)
    divert, reason, withheld = divert_of({
      score = score, threshold = threshold, major = ARGV[13] == "1", conflict = ARGV[14] == "1",
      draw = int(ARGV[15], "audit_draw_ppm"), audit_ppm = audit_ppm, of_line = of_line,
    }, purse, budget.diverts, config)
    action = (divert == "damage" or divert == "identity") and "sideline" or "pass"
    if purse[divert] then
      debit(purse[divert])
    end
    if divert == "damage" and of_line then
      debit(of_line)
      scope = line
    end
    if divert ~= "none" then
      budget.diverts = budget.diverts - TOKEN
      bump(divert .. "_diverts")
    end
    if withheld then
      bump("withheld")
    end
    learn(state, SCORES, score, purse.damage, config)
    save_threshold(THRESHOLD, SCORES, fusion_version, state)
  else
    bump(outcome)
  end
  keep(budget, purse)
  keep_lines()

  local decide_by = rfc3339(decide_by_ms, string.format("%03d", decide_by_ms % 1000))
  local decided_at = rfc3339(now_ms, string.format("%06d", us % 1000000))
  local place = "" -- in the sequence, and the two numbers that were compared
  if outcome == "decided" then
    place = ',"seq":' .. digits(budget.seq)
  end
  if score then
    place = place .. ',"score":' .. digits(score)
  end
  if threshold then
    place = place .. ',"threshold":' .. digits(threshold)
  end
  local of_line_now = ""
  if of_line then
    of_line_now = ',"line_seq":' .. digits(of_line.seq) .. ',"line_balance":' .. digits(of_line.balance) ..
      ',"line_pending":' .. digits(of_line.pending)
  end
  local rejections = again and ',"rejections":' .. stored[6] or ""
  local recheck = divert ~= "none" and int(ARGV[19], "recheck_draw_ppm") < config.recheck_ppm
  local times = ',"decide_by":' .. quoted(decide_by) .. ',"decided_at":' .. quoted(decided_at) .. "}"
  local decision = table.concat({
    ARGV[17], ',"outcome":', quoted(outcome), ',"action":', quoted(action), ',"divert":', quoted(divert),
    ',"withheld":', tostring(withheld), ',"reason":', cjson.encode(reason), place,
    ',"balance_before":', digits(before.balance), ',"balance_after":', digits(budget.balance),
    ',"pending_before":', digits(before.pending), ',"pending_after":', digits(budget.pending),
    ',"identity_balance":', digits(before.identity_balance), ',"identity_pending":', digits(before.identity_pending),
    ',"diverts_balance":', digits(before.diverts),
    of_line_now, ',"audit_ppm":', digits(audit_ppm), ',"config_version":', digits(config.version), rejections, times,
  })
  local sidelined = ""
  if divert ~= "none" then
    sidelined = table.concat({
      ARGV[18], ',"divert":', quoted(divert), ',"recheck":', tostring(recheck), place, times,
    })
  end

  local record = {"digest", digest, "decision", decision}
  if divert ~= "none" then
    local stop = stop_of(divert, capture, unit, scope)
    for _, value in ipairs({"sidelined", sidelined, "divert", divert, "unit", unit, "token", "open"}) do
      record[#record + 1] = value
    end
    if scope ~= "" then
      record[#record + 1], record[#record + 2] = "scope", scope
    end
    if recheck then
      record[#record + 1], record[#record + 2] = "recheck", "1"
    end
    write("ZADD", expect(OPEN, "zset"), digits(now_ms + config.verdict_timeout_ms), stop)
    write("SADD", expect(UNIT, "set"), stop)
    write("SET", expect(LAST, "string"), capture, "PX", digits(config.horizon_ms))
  end
  if again then
    record[#record + 1], record[#record + 2] = "redrives", redrive
    write("HDEL", OUTCOME, "grant", "grant_until")
    bump("redriven")
  end
  write("HSET", OUTCOME, unpack(record))
  write("PEXPIRE", OUTCOME, digits(config.horizon_ms))
  save(BUDGET, budget, BUDGET_FIELDS)
  commit()
  return {"created", digest, decision, sidelined}
end

-- What each associate's verdicts said, halved once there are MANY: the recent past, in bounded numbers.
local ASSOCIATE_FIELDS = {"judged", "confirmed", "audits", "audits_damaged", "rechecked", "agreed"}
local ASSOCIATES_MAX = 10000 * #ASSOCIATE_FIELDS
local MANY = 1000
local tallies = {} -- associate -> what this call adds

local function tally(associate, ...)
  tallies[associate] = tallies[associate] or {}
  for _, name in ipairs({...}) do
    tallies[associate][name] = (tallies[associate][name] or 0) + 1
  end
end

local function keep_tallies()
  for associate, added in pairs(tallies) do
    local names = {}
    for i = 1, #ASSOCIATE_FIELDS do
      names[i] = associate .. ":" .. ASSOCIATE_FIELDS[i]
    end
    local values = redis.call("HMGET", expect(ASSOCIATES, "hash"), unpack(names))
    if values[1] or redis.call("HLEN", ASSOCIATES) < ASSOCIATES_MAX then
      local sums = {}
      for i = 1, #names do
        sums[i] = (values[i] and int(values[i], names[i]) or 0) + (added[ASSOCIATE_FIELDS[i]] or 0)
      end
      local halve = math.max(unpack(sums)) >= MANY
      local flat = {}
      for i = 1, #names do
        flat[#flat + 1] = names[i]
        flat[#flat + 1] = digits(halve and math.floor(sums[i] / 2) or sums[i])
      end
      write("HSET", ASSOCIATES, unpack(flat))
    else
      bump("associates_uncounted")
    end
  end
end

-- A second look, by somebody else, at a unit that was drawn for one: it says how far the first one can be relied on.
local function look_again(outcome_key, associate, found)
  local known = redis.call("HMGET", outcome_key, "recheck", "judged_by", "verdict", "rechecked_by")
  if known[1] and known[2] and known[2] ~= associate and not known[4] then
    if known[3] == found then
      tally(known[2], "rechecked", "agreed")
    else
      tally(known[2], "rechecked")
    end
    write("HSET", outcome_key, "rechecked_by", associate)
  end
end

local function judged_by(capture, associate, found)
  local outcome = expect(PREFIX .. "outcome:" .. capture, "hash")
  if exists[outcome] then
    write("HSET", outcome, "judged_by", associate, "verdict", found)
  end
end

-- A verdict by one capture or by a unit. The first in-time verdict of a stop closes it; what a disposition did is kept
-- under its id, so that its redelivery gets the same answer and moves nothing.
local function settle()
  local VERDICT, SUBJECT, LAST = KEYS[9], KEYS[10], KEYS[11]
  local fingerprint, found, by_unit, subject, associate = ARGV[4], ARGV[5], ARGV[6] == "unit", ARGV[7], ARGV[8]

  local refusal = site_refuses()
  if refusal then
    return refusal
  end
  local known = redis.call("GET", expect(VERDICT, "string"))
  if known then
    if string.sub(known, 1, #fingerprint) ~= fingerprint then
      return {"refused", "id_reused"}
    end
    return {"settled", known}
  end
  local budget, config = load_budget(), load_config()
  if budget.restoring ~= 0 then
    return {"fatal", "restoring"}
  end
  local now_ms = math.floor(now_us() / 1000)
  local purse = purses(budget, config)
  local swept = sweep(now_ms, purse, SWEEP)

  local stops, captures, state = {}, {}, "label"
  if by_unit then
    stops = redis.call("SMEMBERS", expect(SUBJECT, "set"))
    local last = redis.call("GET", expect(LAST, "string"))
    if last then
      captures, state = {last}, "revised" -- unless a stop of the unit is open
    end
  else
    local outcome = redis.call("HMGET", expect(SUBJECT, "hash"), "divert", "unit", "scope")
    if not exists[SUBJECT] then
      return {"refused", "unknown_capture"}
    end
    captures = {subject}
    if outcome[1] then
      stops, state = {stop_of(outcome[1], subject, outcome[2], outcome[3] or "")}, "revised"
    end
  end

  local good = found == "damaged" or found == "wrong_item"
  local returned, spent, judged = 0, 0, {}
  for i = 1, #stops do
    local stop = stops[i]
    local expires_ms = redis.call("ZSCORE", expect(OPEN, "zset"), stop)
    if expires_ms and not swept[stop] then
      local divert, capture, _, scope = parts_of(stop)
      if int(expires_ms, OPEN) <= now_ms then
        expire(stop, purse)
      elseif divert == "audit" then
        judged[#judged + 1] = capture
        judged_by(capture, associate, found)
        tally(associate, "audits", found == "damaged" and "audits_damaged" or nil)
        bump(found == "damaged" and "audit_damaged" or "audit_cleared")
        close(stop, "judged")
      else
        judged[#judged + 1] = capture
        judged_by(capture, associate, found)
        tally(associate, "judged", good and "confirmed" or nil)
        for _, held in ipairs(holders(purse, divert, scope)) do
          if good then
            give_back(held)
          else
            destroy(held)
          end
        end
        if good then
          returned = returned + 1
        else
          spent = spent + 1
        end
        bump((divert == "identity" and "identity_" or "") .. (good and "confirmed" or "cleared"))
        close(stop, good and "returned" or "spent")
      end
    end
  end
  if #judged == 0 and state == "revised" and not by_unit then
    look_again(SUBJECT, associate, found)
  end
  if #judged > 0 then
    table.sort(judged)
    captures, state = judged, returned + spent > 0 and "settled" or "label"
  end
  bump(state == "label" and "labels" or state)

  keep(budget, purse)
  keep_lines()
  keep_tallies()
  local result = table.concat({fingerprint, state, digits(returned), digits(spent), unpack(captures)}, " ")
  write("SET", VERDICT, result, "PX", digits(config.horizon_ms))
  save(BUDGET, budget, BUDGET_FIELDS)
  commit()
  return {"settled", result}
end

local function sweep_once()
  local refusal = site_refuses()
  if refusal then
    return refusal
  end
  local budget, config = load_budget(), load_config()
  local purse = purses(budget, config)
  local _, closed = sweep(math.floor(now_us() / 1000), purse, int(ARGV[4], "limit"))
  keep(budget, purse)
  keep_lines()
  save(BUDGET, budget, BUDGET_FIELDS)
  commit()
  return {"swept", digits(closed)}
end

-- Permit one more decision of a rejected capture: the one whose bytes and whose rejection the caller names. Only an
-- operator's command calls this; what travels on a topic cannot. The permission has a number, which whoever works under
-- it gives back to `decide`, and an end. Asked for again before it was used, it is the same permission with a later end.
local function redrive()
  local OUTCOME = KEYS[9]
  local capture, digest, rejected_at = ARGV[4], ARGV[5], ARGV[6]
  local limit, for_ms = int(ARGV[7], "limit"), int(ARGV[8], "for_ms")
  local refusal = site_refuses()
  if refusal then
    return refusal
  end
  local budget, config = load_budget(), load_config()
  if budget.restoring ~= 0 then
    return {"fatal", "restoring"}
  end
  local stored = redis.call("HMGET", expect(OUTCOME, "hash"), "digest", "decision", "grant", "redrives", "chain")
  if not exists[OUTCOME] then
    return {"redrive", "unrecorded", "0"}
  end
  local redrives = int(stored[4] or "0", "redrives")
  if stored[1] ~= digest and stored[1] ~= "" then
    return {"redrive", "other_content", digits(redrives)}
  end
  local known = cjson.decode(stored[2])
  if known.outcome ~= "rejected" then
    return {"redrive", "answered", digits(redrives)}
  elseif known.decided_at ~= rejected_at then
    return {"redrive", "superseded", digits(redrives)}
  elseif redrives >= limit then
    return {"redrive", "limit", digits(redrives)}
  end
  local us = now_us()
  local until_ms = math.floor(us / 1000) + for_ms
  if made_at(capture) <= math.max(config.admitted_after_ms, until_ms - config.horizon_ms + HOUR_MS) then
    return {"redrive", "too_old", digits(redrives)} -- the fences would close before the permission ends
  end
  if not stored[3] then
    local now = rfc3339(math.floor(us / 1000), string.format("%06d", us % 1000000))
    local entry = '{"reason":' .. cjson.encode(known.reason) .. ',"rejected_at":' .. quoted(rejected_at) ..
      ',"redriven_at":' .. quoted(now) .. "}"
    local chain = redrives > 0 and string.sub(stored[5], 1, -2) .. "," .. entry .. "]" or "[" .. entry .. "]"
    write("HSET", OUTCOME, "grant", digits(redrives + 1), "chain", chain)
  end
  write("HSET", OUTCOME, "grant_until", digits(until_ms))
  commit()
  return {"redrive", "granted", digits(redrives)}
end

-- ------------------------------------------------------------------------------------------------------- configuration

-- ARGV from `from` on: who changes it and why as JSON, the configuration as JSON, then name and value of each of its
-- integers; those of a line are named `<line>:<field>`.
local function read_config(from)
  local config = {about = ARGV[from], json = ARGV[from + 1], lines = {}}
  for i = from + 2, #ARGV, 2 do
    local line, name = string.match(ARGV[i], "^(.*):(.*)$")
    if line then
      config.lines[line] = config.lines[line] or {}
      config.lines[line][name] = int(ARGV[i + 1], ARGV[i])
    else
      config[ARGV[i]] = int(ARGV[i + 1], ARGV[i])
    end
  end
  return config
end

local function save_config(config)
  save(CONFIG, config, CONFIG_FIELDS)
  write("HSET", CONFIG, "json", config.json)
  write("HSET", expect(PREFIX .. "configs", "hash"), digits(config.version), config.json)
  write("HSET", expect(PREFIX .. "changes", "hash"), digits(config.version),
    string.sub(config.about, 1, -2) .. ',"at_ms":' .. digits(math.floor(now_us() / 1000)) .. "}")
end

-- Put the budgets of lines in force. One that is new, or comes back, begins with what its burst has room for; a lowered
-- burst destroys balance at once, a raised one grants nothing. After a restoration all begin with nothing.
local function configure_lines(config, grant)
  local known = {}
  local names = redis.call("HKEYS", expect(LINE_BUDGETS, "hash"))
  for i = 1, #names do
    known[string.match(names[i], "^(.*):")] = true
  end
  for line in pairs(config.lines) do
    known[line] = true
  end
  for line in pairs(known) do
    local wanted = config.lines[line] or {alpha_ppm = 0, burst_tokens = 0}
    local purse = line_purse(line) or {seq = 0, balance = 0, pending = 0, burst = 0}
    local space = math.max(0, wanted.burst_tokens * TOKEN - purse.pending)
    if not grant then
      purse.balance = 0
    elseif purse.burst == 0 then
      purse.balance = space
    else
      purse.balance = math.min(purse.balance, space)
    end
    write("HSET", LINE_BUDGETS, line .. ":alpha_ppm", digits(wanted.alpha_ppm), line .. ":burst_tokens",
      digits(wanted.burst_tokens), line .. ":seq", digits(purse.seq), line .. ":balance", digits(purse.balance),
      line .. ":pending", digits(purse.pending))
  end
end

local function cut(budget, purse)
  local excess = math.min(purse.balance, math.max(0, purse.balance + purse.pending - purse.burst))
  if excess > 0 then
    purse.balance = purse.balance - excess
    bump("destroyed", excess)
  end
end

-- Register a site, or add lines to one. Only a new site gets tokens: a full burst, which A <= burst allows.
local function register()
  local store_id = redis.call("GET", expect(STORE, "string"))
  if store_id and store_id ~= STORE_ID then
    return {"fatal", "store", store_id}
  end
  expect(LINES, "set")
  local lines = int(ARGV[4], "lines")
  for i = 5, 4 + lines do
    write("SADD", LINES, ARGV[i])
  end
  load(BUDGET, BUDGET_FIELDS)
  if exists[BUDGET] then
    commit()
    return {"version", digits(load_config().version)}
  end
  local config = read_config(5 + lines)
  config.version, config.admitted_after_ms = 1, 0
  expect(CONFIG, "hash")
  write("SET", STORE, STORE_ID)
  save_config(config)
  configure_lines(config, true)
  save(BUDGET, {
    seq = 0, balance = config.burst_tokens * TOKEN, pending = 0, restoring = 0,
    identity_balance = config.burst_identity * TOKEN, identity_pending = 0, diverts = config.burst_diverts * TOKEN,
  }, BUDGET_FIELDS)
  commit()
  return {"version", "1"}
end

-- Replace the configuration. A lowered burst destroys balance at once, a raised one grants nothing. A raised horizon
-- must not admit captures whose outcomes have expired under the old one.
local function configure()
  local refusal = site_refuses()
  if refusal then
    return refusal
  end
  local budget, old = load_budget(), load_config()
  if budget.restoring ~= 0 then
    return {"fatal", "restoring"}
  end
  local config = read_config(4)
  if redis.call("HGET", CONFIG, "json") == config.json then
    return {"version", digits(old.version)}
  end
  config.version, config.admitted_after_ms = old.version + 1, old.admitted_after_ms
  if config.horizon_ms > old.horizon_ms then
    local gone_ms = math.floor(now_us() / 1000) - old.horizon_ms + HOUR_MS
    config.admitted_after_ms = math.max(old.admitted_after_ms, gone_ms)
  end
  local purse = purses(budget, config)
  cut(budget, purse.damage)
  cut(budget, purse.identity)
  keep(budget, purse)
  budget.diverts = math.min(budget.diverts, config.burst_diverts * TOKEN)
  save_config(config)
  configure_lines(config, true)
  save(BUDGET, budget, BUDGET_FIELDS)
  commit()
  return {"version", digits(config.version)}
end

-- Give a fusion version that no capture was scored with yet a histogram from vetted negatives.
local function warm()
  local THRESHOLD, SCORES, version = KEYS[9], KEYS[10], ARGV[4]
  local refusal = site_refuses()
  if refusal then
    return refusal
  end
  load(THRESHOLD, THRESHOLD_FIELDS)
  if exists[THRESHOLD] then
    return {"warm", "0"}
  end
  local budget, config = load_budget(), load_config()
  local state = starting(config)
  state.captures, state.location = int(ARGV[5], "captures"), int(ARGV[6], "location")
  state.scale = math.max(SCALE_MIN, int(ARGV[7], "scale"))
  local purse = purses(budget, config).damage
  state.fast, state.usual = state.location, purse.pending
  local names, bins = bin_names(), {}
  expect(SCORES, "hash")
  for i = 1, BINS do
    bins[names[i]] = int(ARGV[8 + i], "mass")
    state.total = state.total + bins[names[i]]
  end
  move(state, bins, names, purse, config)
  if ARGV[8] ~= "" then -- what the negatives certify
    state.threshold = math.max(state.threshold, int(ARGV[8], "certified"))
  end
  save(SCORES, bins, names)
  save_threshold(THRESHOLD, SCORES, version, state)
  commit()
  return {"warm", "1"}
end

-- ------------------------------------------------------------------------------------------------------------- restore

-- Begin: the site decides nothing until the end. What the store still has stays; every balance restarts at zero.
local function restore_begin()
  local store_id = redis.call("GET", expect(STORE, "string"))
  if store_id and store_id ~= STORE_ID then
    return {"fatal", "store", store_id}
  end
  expect(LINES, "set")
  local lines = int(ARGV[4], "lines")
  for i = 5, 4 + lines do
    write("SADD", LINES, ARGV[i])
  end
  local budget, old = load(BUDGET, BUDGET_FIELDS), load(CONFIG, CONFIG_FIELDS)
  local config = read_config(5 + lines)
  config.version, config.admitted_after_ms = math.max(1, old.version), old.admitted_after_ms
  budget.balance, budget.identity_balance, budget.diverts, budget.restoring = 0, 0, 0, 1
  write("SET", STORE, STORE_ID)
  save_config(config)
  configure_lines(config, false)
  save(BUDGET, budget, BUDGET_FIELDS)
  commit()
  return {"begun"}
end

-- One outcome from its topic, with the state its token should have. An open stop keeps the time it expires.
local function restore_outcome()
  local OUTCOME, UNIT, LAST = KEYS[9], KEYS[10], KEYS[11]
  local capture, unit, divert, token = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local decided_ms, digest, decision, sidelined = int(ARGV[8], "decided_ms"), ARGV[9], ARGV[10], ARGV[11]
  local scope = ARGV[12] -- the line whose own budget paid as well, or nothing
  local redriven = ARGV[13] == "1" -- it followed a rejection, which may be all that the store still has
  local budget, config = load_budget(), load_config()
  if budget.restoring == 0 then
    return {"fatal", "not_restoring"}
  end
  local now_ms = math.floor(now_us() / 1000)
  local left_ms = decided_ms + config.horizon_ms - now_ms
  if left_ms <= 0 then
    return {"past"}
  end

  local stored = redis.call("HMGET", expect(OUTCOME, "hash"), "decision", "token", "digest")
  local behind = exists[OUTCOME] and redriven and cjson.decode(stored[1]).outcome == "rejected"
  if behind then
    digest = stored[3]
    write("HDEL", OUTCOME, "grant", "grant_until")
  elseif exists[OUTCOME] then
    if stored[1] ~= decision then
      return {"fatal", "conflict"}
    end
    if stored[2] == "open" and token ~= "open" then
      close(stop_of(divert, capture, unit, scope), token)
    end
    commit()
    return {"known"}
  end

  local record = {"digest", digest, "decision", decision}
  if divert ~= "none" then
    local expires_ms = decided_ms + config.verdict_timeout_ms
    if token == "open" and expires_ms <= now_ms then
      token = "expired"
    end
    for _, value in ipairs({"sidelined", sidelined, "divert", divert, "unit", unit, "token", token}) do
      record[#record + 1] = value
    end
    if scope ~= "" then
      record[#record + 1], record[#record + 2] = "scope", scope
    end
    if token == "open" then
      local stop = stop_of(divert, capture, unit, scope)
      write("ZADD", expect(OPEN, "zset"), digits(expires_ms), stop)
      write("SADD", expect(UNIT, "set"), stop)
    end
    if (redis.call("GET", expect(LAST, "string")) or "") < capture then
      write("SET", LAST, capture, "PX", digits(left_ms))
    end
  end
  write("HSET", OUTCOME, unpack(record))
  write("PEXPIRE", OUTCOME, digits(left_ms))
  commit()
  return {"restored"}
end

-- A rejection from its dead letters, where nothing else is known of the capture.
local function restore_rejection()
  local OUTCOME = KEYS[9]
  local decided_ms, digest, decision, chain, redrives = int(ARGV[4], "decided_ms"), ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  local budget, config = load_budget(), load_config()
  if budget.restoring == 0 then
    return {"fatal", "not_restoring"}
  end
  local left_ms = decided_ms + config.horizon_ms - math.floor(now_us() / 1000)
  if left_ms <= 0 then
    return {"past"}
  end
  if exists[expect(OUTCOME, "hash")] then
    return {"known"}
  end
  write("HSET", OUTCOME, "digest", digest, "decision", decision)
  if chain ~= "" then
    write("HSET", OUTCOME, "chain", chain, "redrives", digits(int(redrives, "redrives")))
  end
  write("PEXPIRE", OUTCOME, digits(left_ms))
  commit()
  return {"restored"}
end

local function restore_verdict()
  local VERDICT = KEYS[9]
  local budget, config = load_budget(), load_config()
  if budget.restoring == 0 then
    return {"fatal", "not_restoring"}
  end
  if not redis.call("GET", expect(VERDICT, "string")) then
    write("SET", VERDICT, ARGV[4], "PX", digits(config.horizon_ms))
  end
  commit()
  return {"restored"}
end

-- End: pending is what the open stops say, `seq` goes on after the highest seen anywhere.
local function restore_end()
  local budget, config = load_budget(), load_config()
  if budget.restoring == 0 then
    return {"fatal", "not_restoring"}
  end
  local tokens, of_lines = {damage = 0, identity = 0, audit = 0}, {}
  local stops = redis.call("ZRANGE", expect(OPEN, "zset"), 0, -1)
  for i = 1, #stops do
    local divert, _, _, scope = parts_of(stops[i])
    tokens[divert] = tokens[divert] + TOKEN
    of_lines[scope] = (of_lines[scope] or 0) + TOKEN
  end
  for i = 6, #ARGV, 2 do -- every line that has or had a budget, with the highest of its numbers seen anywhere
    local purse = line_purse(ARGV[i])
    if not purse then
      purse = {alpha = 0, burst = 0, seq = 0, balance = 0, pending = 0}
      line_purses[ARGV[i]] = purse
      write("HSET", expect(LINE_BUDGETS, "hash"), ARGV[i] .. ":alpha_ppm", "0", ARGV[i] .. ":burst_tokens", "0")
    end
    purse.seq = math.max(purse.seq, int(ARGV[i + 1], "line_seq"))
    purse.pending = of_lines[ARGV[i]] or 0
  end
  keep_lines()
  budget.pending, budget.identity_pending = tokens.damage, tokens.identity
  budget.seq = math.max(budget.seq, int(ARGV[4], "seq"))
  budget.restoring = 0
  config.json, config.about = redis.call("HGET", CONFIG, "json"), '{"by":"sideline restore","why":"restored"}'
  config.version = math.max(config.version, int(ARGV[5], "config_version")) + 1
  save_config(config)
  save(BUDGET, budget, BUDGET_FIELDS)
  commit()
  return {"ended", digits(#stops), digits(budget.seq), digits(config.version)}
end

local operations = {
  decide = decide, redrive = redrive, settle = settle, sweep = sweep_once, register = register, configure = configure,
  warm = warm, restore_begin = restore_begin, restore_outcome = restore_outcome,
  restore_rejection = restore_rejection, restore_verdict = restore_verdict, restore_end = restore_end,
}
local operation = operations[OP]
if not operation then
  broken("no operation " .. OP)
end
return operation()
