"""Limits in Redis: what all instances were granted, by the server's clock.

A limit in a window is a hash of sub-windows and their units, with `total`, `first` and `last` beside them; a limit on
concurrent requests is a hash of instances, their slots and when those lapse. Every key has a time to live. The script
does what shared/core/ring.py and shared/core/slots.py do; the same tests run on both.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError

from shared.core.limits import SLOT_LEASE_S, Answer, Ask, Claim, Grant
from shared.ports.clock import Clock
from shared.redis import availability

PREFIX = "omni:limits:"
INSTANCES, EPOCH = PREFIX + "instances", PREFIX + "epoch"

# (now or "", instance, epoch if there is none, asks) → (now, instances, epoch)
# ... and for each ask (amount, least, most, sub-window, sub-windows, lease, settlements, (sub-window, ± units) ...)
# → (granted, free, sub-window of the lease, retry after, reset)
# ... and for each claim (amount, in use, want, lease) → slots held. Times in microseconds.
EXCHANGE = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 30000000)
redis.call('EXPIRE', KEYS[1], 60)
redis.call('SET', KEYS[2], ARGV[3], 'NX')
redis.call('EXPIRE', KEYS[2], 86400)
local answer = {now, redis.call('ZCARD', KEYS[1]), redis.call('GET', KEYS[2])}

local asks, position = tonumber(ARGV[4]), 4
local function argument()
  position = position + 1
  return tonumber(ARGV[position])
end

local key, total, first, last
local function units(at)
  return tonumber(redis.call('HGET', key, at)) or 0
end

local function add(at, more)
  if more == 0 then return end
  total = total + more
  if redis.call('HINCRBY', key, at, more) ~= 0 then
    if first > last then first, last = at, at end
    first, last = math.min(first, at), math.max(last, at)
    return
  end
  redis.call('HDEL', key, at)
  if total == 0 then first, last = 1, 0 end
  while last > first and redis.call('HEXISTS', key, last) == 0 do last = last - 1 end
end

local function forget_before(oldest)
  if last < oldest then
    redis.call('DEL', key)
    total, first, last = 0, 1, 0
  end
  while total > 0 and first < oldest do
    total = total - units(first)
    redis.call('HDEL', key, first)
    first = first + 1
  end
end

local function freeing(missing)
  local at = first
  while at < last do
    missing = missing - units(at)
    if missing <= 0 then break end
    at = at + 1
  end
  return at
end

for k = 3, 2 + asks do
  key = KEYS[k]
  local state = redis.call('HMGET', key, 'total', 'first', 'last')
  total, first, last = tonumber(state[1]) or 0, tonumber(state[2]) or 1, tonumber(state[3]) or 0
  local amount, least, most = argument(), argument(), argument()
  local length, count, lease = argument(), argument(), argument()
  local oldest = math.floor(now / length) - count
  forget_before(oldest)
  for _ = 1, argument() do
    local at, more = argument(), argument()
    if more < 0 then
      add(at, -math.min(-more, units(at)))
    elseif at >= oldest then
      add(at, more)
    end
  end

  least = math.min(least, amount)
  local granted, retry, reset = 0, 0, 0
  local sub_window = math.floor((now + lease) / length)
  if least > 0 and least <= amount - total then
    granted = math.min(most, amount - total)
    add(sub_window, granted)
  end
  local free = amount - total
  if granted < most then retry = (freeing(least - free) + 1 + count) * length - now end
  if total > 0 then
    reset = (last + 1 + count) * length - now
    redis.call('HSET', key, 'total', total, 'first', first, 'last', last)
    redis.call('PEXPIRE', key, math.ceil(reset / 1000) + 1000)
  else
    redis.call('DEL', key)
  end
  for _, value in ipairs({granted, math.max(0, free), sub_window, retry, reset}) do
    answer[#answer + 1] = value
  end
end

for k = 3 + asks, #KEYS do
  key = KEYS[k]
  local amount, in_use, want, lease = argument(), argument(), argument(), argument()
  local holders, others = redis.call('HGETALL', key), 0
  for i = 1, #holders, 2 do
    local held, lapses = string.match(holders[i + 1], '(%d+) (%d+)')
    if tonumber(lapses) <= now then
      redis.call('HDEL', key, holders[i])
    elseif holders[i] ~= ARGV[2] then
      others = others + tonumber(held)
    end
  end
  local held = math.max(in_use, math.min(want, amount - others))
  if held > 0 then
    redis.call('HSET', key, ARGV[2], string.format('%d %.0f', held, now + lease))
    redis.call('PEXPIRE', key, lease / 1000)
  else
    redis.call('HDEL', key, ARGV[2])
  end
  answer[#answer + 1] = held
end
return answer
"""


class RedisLimiter:
    """`clock` stands in for the server's, in tests that must not wait."""

    def __init__(self, redis: Redis, instance: str, clock: Clock | None = None) -> None:
        self._redis = redis
        self._instance = instance
        self._clock = clock
        self._digest = ""
        self.instances = 1
        self.epoch = ""

    def exchange(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        with availability("limiter"):
            try:
                return self._exchange(asks, claims)
            except NoScriptError:  # the server was restarted
                self._digest = ""
                return self._exchange(asks, claims)

    def _exchange(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        if not self._digest:
            self._digest = str(self._redis.script_load(EXCHANGE))
        now = str(round(self._clock.monotonic() * 1e6)) if self._clock else ""
        limits = [ask.limit for ask in asks] + [claim.limit for claim in claims]
        keys = [INSTANCES, EPOCH, *(PREFIX + limit.name for limit in limits)]
        head = (now, self._instance, secrets.token_hex(8), len(asks))
        figures = _ask_arguments(asks) + _claim_arguments(claims)
        return self._answer(asks, self._redis.evalsha(self._digest, len(keys), *keys, *head, *figures))

    def _answer(self, asks: Sequence[Ask], told: Any) -> Answer:
        now, self.instances, epoch, *figures = told
        self.epoch = epoch.decode()
        grants = [_grant(ask, *figures[at * 5 : at * 5 + 5]) for at, ask in enumerate(asks)]
        return Answer(now / 1e6, tuple(grants), tuple(figures[len(asks) * 5 :]))


def _ask_arguments(asks: Sequence[Ask]) -> list[int]:
    arguments: list[int] = []
    for ask in asks:
        window = ask.limit.window
        arguments += (ask.limit.amount, ask.least, ask.most)
        arguments += (window.sub_window_us, window.sub_windows, window.lease_us)
        arguments.append(len(ask.returned) + len(ask.charged))
        for at, units in ask.returned:
            arguments += (at, -units)
        for at, units in ask.charged:
            arguments += (at, units)
    return arguments


def _claim_arguments(claims: Sequence[Claim]) -> list[int]:
    lease_us = int(SLOT_LEASE_S * 1e6)
    return [figure for each in claims for figure in (each.limit.amount, each.in_use, each.want, lease_us)]


def _grant(ask: Ask, granted: int, free: int, sub_window: int, retry_us: int, reset_us: int) -> Grant:
    return Grant(granted, ask.limit.amount, free, sub_window, retry_us / 1e6, reset_us / 1e6)
