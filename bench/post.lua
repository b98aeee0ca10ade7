-- The chat request of one benchmark, and a machine-readable summary; body and key come by environment.
wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'SUMMARY {"requests": %d, "seconds": %f, "p50_us": %d, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50),
    e.connect + e.read + e.write + e.status + e.timeout))
end
