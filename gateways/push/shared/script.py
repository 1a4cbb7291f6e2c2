"""What is done in Redis at one go, in Lua, so that nothing comes between.

Keys, behind the prefix: `run` and `epoch`, of this life of the server; `number`, of the last message;
`channels`, their last numbers; `forgotten`, the highest number that is not among these any more; `torn`, the
number of the last loss;
`history:<channel>`, a stream whose entries `<number>-0` have key, body, arrival in milliseconds and the
number of the one before; `bytes:<channel>`, of its bodies; `seen:<channel>:<key>`. A server that was
started again, or emptied, may have lost what it had confirmed: it gets a new epoch from whoever asks first.
"""

from __future__ import annotations

OPEN = """
local prefix = KEYS[1]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', prefix .. ':run') ~= run then
    redis.call('SET', prefix .. ':run', run)
    redis.call('SET', prefix .. ':epoch', ARGV[1])
end
local epoch = redis.call('GET', prefix .. ':epoch')
"""

STATE = (
    OPEN
    + """
return {
    epoch,
    tonumber(redis.call('GET', prefix .. ':number') or 0),
    tonumber(redis.call('GET', prefix .. ':forgotten') or 0),
    tonumber(redis.call('GET', prefix .. ':torn') or 0),
}
"""
)
"""Key: the prefix. Argument: an epoch, should a new one be needed. Returns epoch, number, forgotten, torn."""

TEAR = (
    OPEN
    + """
local number = redis.call('INCR', prefix .. ':number')
redis.call('SET', prefix .. ':torn', number)
redis.call('PUBLISH', prefix .. ':news', cmsgpack.pack({epoch, {number, number - 1, '', '', ''}}))
"""
)
"""Key: the prefix. Argument: an epoch, should a new one be needed. Numbers what was lost before Redis."""

ADD = (
    OPEN
    + """
local max_messages, max_bytes, max_age = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local remember, max_channels = ARGV[5], tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local channels = prefix .. ':channels'

local function trim(history, bytes)
    local kept = tonumber(redis.call('GET', bytes) or 0)
    while true do
        local first = redis.call('XRANGE', history, '-', '+', 'COUNT', 1)[1]
        if not first then break end
        local old = now - tonumber(first[2][6]) > max_age
        if not old and kept <= max_bytes and redis.call('XLEN', history) <= max_messages then break end
        kept = kept - #first[2][4]
        redis.call('XDEL', history, first[1])
    end
    redis.call('SET', bytes, kept, 'PX', max_age)
    redis.call('PEXPIRE', history, max_age)
end

local news = {epoch}
for i = 7, #ARGV, 3 do
    local channel, key, body = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if redis.call('SET', prefix .. ':seen:' .. channel .. ':' .. key, 1, 'NX', 'PX', remember) then
        local number = redis.call('INCR', prefix .. ':number')
        local before = tonumber(redis.call('ZSCORE', channels, channel)
            or redis.call('GET', prefix .. ':forgotten') or 0)
        local history, bytes = prefix .. ':history:' .. channel, prefix .. ':bytes:' .. channel
        redis.call('XADD', history, number .. '-0',
            'key', key, 'body', body,
            'at', string.format('%.0f', now), 'before', string.format('%.0f', before))
        redis.call('INCRBY', bytes, #body)
        redis.call('ZADD', channels, number, channel)
        trim(history, bytes)
        news[#news + 1] = {number, before, channel, key, body}
    end
end
local many = redis.call('ZCARD', channels) - max_channels
if many > 0 then
    local gone = redis.call('ZPOPMIN', channels, many)
    redis.call('SET', prefix .. ':forgotten', gone[#gone])
end
if #news > 1 then
    redis.call('PUBLISH', prefix .. ':news', cmsgpack.pack(news))
end
return #news - 1
"""
)
"""Key: the prefix. Arguments: an epoch, should a new one be needed; bounds of a channel in messages, bytes
and milliseconds; for how many milliseconds keys are known; how many channels are known; then channel,
key and body of each message. Publishes what is new, and returns how many that are."""
