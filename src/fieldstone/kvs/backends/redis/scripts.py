"""What Redis does at once, in Lua. A script is sent by its digest, and whole to a server that does not know it."""

from __future__ import annotations

import hashlib

CLAIM_MS = 2000
"""How long a lock that was handed to a waiter waits to be claimed, before it goes to the next."""

REMEMBERED_MS = 86_400_000
"""How long a lock's last fencing token is remembered. After that, or a loss of data, the clock serves alone."""


class Script:
    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        BY_DIGEST[self.digest] = self


BY_DIGEST: dict[object, Script] = {}

# MULTI would do as well, but for a reply to each command, which cost the client more than setting the entries.
SET_MANY = Script("""
local count, ttl = #KEYS, ARGV[#ARGV]
for index = 1, count do
  if ttl == '' then redis.call('SET', KEYS[index], ARGV[index])
  else redis.call('SET', KEYS[index], ARGV[index], 'PX', ttl) end
end
return count
""")

# ``entries.py`` says where the version and the digits are. Redis counts in the key itself, in 64 bits, which Lua's
# numbers have not; nobody sees the key meanwhile, and replicas and the append-only file get all of it or nothing.
INCR = Script("""
local name, by, initial, ttl, version = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local entry, head, digits = redis.call('GET', name), 'i' .. version, initial
if entry then
  local letter = string.sub(entry, 1, 1)
  local at = letter == 'i' and 10 or letter == 'I' and 26
  if not at then return redis.error_reply('NOINTEGER it holds no integer') end
  head, digits = letter .. version .. string.sub(entry, 10, at - 1), string.sub(entry, at)
end
redis.call('SET', name, digits, 'KEEPTTL')
local failed = redis.pcall('INCRBY', name, by)
if type(failed) == 'table' then
  if entry then redis.call('SET', name, entry, 'KEEPTTL') else redis.call('DEL', name) end
  return redis.error_reply('NOINTEGER ' .. digits .. ' + ' .. by .. ' takes more than 64 bits')
end
local sum = redis.call('GET', name)
if entry or ttl == '' then redis.call('SET', name, head .. sum, 'KEEPTTL')
else redis.call('SET', name, head .. sum, 'PX', ttl) end
return sum
""")

COMPARE_AND_SET = Script("""
if redis.call('GETRANGE', KEYS[1], 1, 8) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
return 1
""")

# A lock is one key, "fence ends owner": the last fencing token; when the holding ends, in microseconds of the
# server's clock; the holder's token, with '?' before it if it has yet to claim it. No owner: nobody waits either.
# Beside it are ``:queue``, a list of those who wait, ``:waiting``, until when each is believed to be alive, and
# ``:wake:TOKEN``, a list that a waiter blocks on. The names share a hash tag: a Cluster keeps them together.
_LOCK = f"""
local lock, now = KEYS[1], redis.call('TIME')
now = now[1] * 1000000 + now[2]
local fence, ends, owner = 0, 0, ''
local state = redis.call('GET', lock)
if state then
  fence, ends, owner = string.match(state, '^(%d+) (%d+) (.*)$')
  fence, ends = tonumber(fence), tonumber(ends)
end
local function keep(new_ends, new_owner)
  ends, owner = new_ends, new_owner
  local kept_ms = math.max(ends - now, 0) / 1000 + {REMEMBERED_MS}
  redis.call('SET', lock, string.format('%d %d ', fence, ends) .. owner, 'PX', string.format('%d', kept_ms))
end
local function pass_on()
  while true do
    local first = redis.call('LPOP', lock .. ':queue')
    if not first then return keep(0, '') end
    local alive = redis.call('HGET', lock .. ':waiting', first)
    redis.call('HDEL', lock .. ':waiting', first)
    if alive and tonumber(alive) > now then
      redis.call('RPUSH', lock .. ':wake:' .. first, '1')
      redis.call('PEXPIRE', lock .. ':wake:' .. first, {CLAIM_MS})
      return keep(now + {CLAIM_MS * 1000}, '?' .. first)
    end
  end
end
"""

# The fencing token; or, below 0, how many microseconds the present holding lasts at most. ARGV: token, timeout and
# for how long the caller is believed to be alive and waiting, 0: it does not wait (both in microseconds).
ACQUIRE = Script(
    _LOCK
    + """
local token, timeout, alive = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if owner ~= '' and ends <= now then pass_on() end
if owner == '' or owner == '?' .. token then
  if owner ~= '' then redis.call('DEL', lock .. ':wake:' .. token) end
  fence = math.max(fence + 1, now)
  keep(now + timeout, token)
  return fence
end
if alive > 0 and owner ~= token then
  if redis.call('HSET', lock .. ':waiting', token, string.format('%d', now + alive)) == 1 then
    redis.call('RPUSH', lock .. ':queue', token)
  end
  redis.call('PEXPIRE', lock .. ':queue', 60000)
  redis.call('PEXPIRE', lock .. ':waiting', 60000)
end
return now - ends
"""
)

RELEASE = Script(
    _LOCK
    + """
if owner ~= ARGV[1] or ends <= now then return 0 end
pass_on()
return 1
"""
)

# Of one that waited in vain, or does not know what became of its wish: nothing of it stays.
LEAVE = Script(
    _LOCK
    + """
local token = ARGV[1]
if redis.call('HDEL', lock .. ':waiting', token) == 1 then redis.call('LREM', lock .. ':queue', 0, token) end
redis.call('DEL', lock .. ':wake:' .. token)
if owner == token or owner == '?' .. token then pass_on() end
return 1
"""
)

RENEW = Script(
    _LOCK
    + """
if owner ~= ARGV[1] or ends <= now then return 0 end
keep(now + tonumber(ARGV[2]), owner)
return 1
"""
)

LOCKED = Script(
    _LOCK
    + """
return owner ~= '' and ends > now and 1 or 0
"""
)
