-- ADAPTER: a few figures on how the mod fares, for `/ai status` and other mods.

local stats = {
	requests = 0,
	failures = 0,
	decisions = 0,
	stale = 0,
	fallbacks = 0,
	longest_step = 0, -- seconds, since the start's own work was over
}

local SETTLED = 10 -- seconds after the start from which steps count

local age = 0

core.register_globalstep(function(dtime)
	age = age + dtime
	if age > SETTLED then
		stats.longest_step = math.max(stats.longest_step, dtime)
	end
end)

function stats.line()
	local counts = ("%d requests, %d failed, %d decisions, %d stale, %d times by script"):format(
		stats.requests,
		stats.failures,
		stats.decisions,
		stats.stale,
		stats.fallbacks
	)
	local lag = core.get_server_max_lag()
	return ("%s, longest step %.3f s, max lag %.3f s"):format(counts, stats.longest_step, lag)
end

return stats
