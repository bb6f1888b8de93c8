-- Makes wrk end with one line of JSON for script/bench.  Only `done` is defined: it runs
-- once, so that the load generator costs what it costs without a script.
function done(summary, latency, requests)
	local errors = summary.errors
	io.write(string.format(
		'BENCH {"requests": %d, "seconds": %.6f, "connect": %d, "read": %d, "write": %d, '
			.. '"status": %d, "timeout": %d, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n',
		summary.requests, summary.duration / 1e6, errors.connect, errors.read, errors.write,
		errors.status, errors.timeout, latency:percentile(50) / 1e3,
		latency:percentile(99) / 1e3, latency.max / 1e3))
end
