-- ADAPTER: tells the launcher how the village is, through `townsfolk_village.json` in the world's folder.
-- Written only where the setting `townsfolk_village.status` is true.

local village = ...

if not core.settings:get_bool("townsfolk_village.status", false) then
	return
end

local INTERVAL = 0.25
local FILE = core.get_worldpath() .. "/townsfolk_village.json"

local since = 0

local function status()
	return {
		ready = village.ready,
		connected = townsfolk.connected(),
		by_script = townsfolk.by_script(),
		spawn = village.spawn_point(),
		longest_step = townsfolk.stats.longest_step,
		max_lag = core.get_server_max_lag(),
		villagers = townsfolk.list(),
	}
end

core.register_globalstep(function(dtime)
	since = since + dtime
	if since >= INTERVAL then
		since = 0
		core.safe_file_write(FILE, core.write_json(status()))
	end
end)
