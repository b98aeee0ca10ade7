-- The chat request of post.lua as turns of sessions: 64 sessions take turns, 10 turns each, then 64 new ones.
local key = os.getenv("BENCH_KEY")
local body = os.getenv("BENCH_BODY")
local run = os.getenv("BENCH_RUN")
local count = 0

function request()
  local session = string.format("%s-%d-%d", run, math.floor(count / 640), count % 64)
  count = count + 1
  return wrk.format("POST", nil, {
    ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key, ["X-Session-Id"] = session,
  }, body)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'SUMMARY {"requests": %d, "seconds": %f, "p50_us": %d, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50),
    e.connect + e.read + e.write + e.status + e.timeout))
end
