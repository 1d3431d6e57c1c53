-- ADAPTER: tells the launcher how the village is, through `townsfolk_village.json` in the world's folder.
-- Written only where the setting `townsfolk_village.status` is true.

local village = ...

if not core.settings:get_bool("townsfolk_village.status", false) then
	return
end

local INTERVAL = 0.25
local FILE = core.get_worldpath() .. "/townsfolk_village.json"

local since = 0
local longest_step = 0

local function status()
	return {
		ready = village.ready,
		connected = townsfolk.connected(),
		spawn = village.spawn_point(),
		longest_step = longest_step,
		max_lag = core.get_server_max_lag(),
		villagers = townsfolk.list(),
	}
end

core.register_globalstep(function(dtime)
	-- Making the map and building on it take long steps that are no villager's doing.
	if village.ready and #core.get_connected_players() > 0 then
		longest_step = math.max(longest_step, dtime)
	end
	since = since + dtime
	if since >= INTERVAL then
		since = 0
		core.safe_file_write(FILE, core.write_json(status()))
	end
end)
