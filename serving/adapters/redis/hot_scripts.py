"""What the hot store does inside Redis. Two keys per session, either of which may vanish alone:

KEYS[1]  a hash: m      the mark: the turn that opened or filled it last and was not appended yet
                 g      the life of this key: the turn that opened it first
                 v f    numbers of the last and the first turn that are copied; without v there is no copy
                 b      bytes that the copy took in
                 s c    the session, and when it was created: an id may get a second life
KEYS[2]  a list: the turns, oldest first
"""

from __future__ import annotations

from serving.adapters.redis.script import Script

# ARGV: turn id, TTL in ms. Returns session, first, last; or the life alone, where there is no copy to trust.
OPEN = Script("""
local key, id = KEYS[1], ARGV[1]
local mark, life, last, first, session = unpack(redis.call('HMGET', key, 'm', 'g', 'v', 'f', 's'))
if life then
  redis.call('HSET', key, 'm', id)
else
  life = id
  redis.call('HSET', key, 'm', id, 'g', id)
end
redis.call('PEXPIRE', key, ARGV[2])
if not last or (mark and mark ~= id) then return life end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {session, first, last}
""")

# ARGV: turn id, TTL in ms, number, turn, most turns, most bytes. Returns the session where there is a copy.
# A turn that is there already must be this one, or the copy is of another life of the session.
APPEND = Script("""
local key, list, id, number = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[3])
local mark, last, first, bytes, session = unpack(redis.call('HMGET', key, 'm', 'v', 'f', 'b', 's'))
if mark == id then redis.call('HDEL', key, 'm') end
if not last then return end
last, first, bytes = tonumber(last), tonumber(first), tonumber(bytes) + #ARGV[4]
if number <= last then
  if redis.call('LINDEX', list, number - last - 1) == ARGV[4] then return session end
elseif number == last + 1 and bytes <= tonumber(ARGV[6]) then
  local push = first > last and 'RPUSH' or 'RPUSHX'
  if redis.call(push, list, ARGV[4]) > 0 then
    if number - first >= tonumber(ARGV[5]) then
      first = number - tonumber(ARGV[5]) + 1
      redis.call('LTRIM', list, -tonumber(ARGV[5]), -1)
    end
    redis.call('HSET', key, 'v', ARGV[3], 'f', string.format('%d', first), 'b', string.format('%d', bytes))
    redis.call('PEXPIRE', key, ARGV[2])
    redis.call('PEXPIRE', list, ARGV[2])
    return session
  end
end
redis.call('UNLINK', key, list)
""")

# ARGV: turn id, TTL in ms, life, session created at, number of the last turn, of the first, bytes, session, turns...
# Without a session only the mark is set. So it is when the key has had another life since this turn opened it, as what
# the turn read may be from before that.
FILL = Script("""
local key, list, id = KEYS[1], KEYS[2], ARGV[1]
local life, last, created = unpack(redis.call('HMGET', key, 'g', 'v', 'c'))
if last and created == ARGV[4] and tonumber(last) > tonumber(ARGV[5]) then return end
redis.call('HSET', key, 'm', id)
redis.call('PEXPIRE', key, ARGV[2])
if not ARGV[8] or life ~= ARGV[3] then return end
redis.call('HSET', key, 'c', ARGV[4], 'v', ARGV[5], 'f', ARGV[6], 'b', ARGV[7], 's', ARGV[8])
redis.call('UNLINK', list)
if #ARGV > 8 then
  redis.call('RPUSH', list, unpack(ARGV, 9))
  redis.call('PEXPIRE', list, ARGV[2])
end
""")
