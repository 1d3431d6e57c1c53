-- ADAPTER: builds the village once in a world, settles the villagers, and brings players there.

local plan, builder = ...

local village = { ready = false }

local SETTLERS = {
	{ name = "Wren", persona = "explorer" },
	{ name = "Odo", persona = "trader" },
	{ name = "Brita", persona = "guard" },
	{ name = "Tam", persona = "builder" },
}
local MORNING = 0.35

local storage = core.get_mod_storage()
local layout = plan.make()

local function saved_centre() return core.string_to_pos(storage:get_string("centre")) end

local function at(pos) return vector.add(village.centre, vector.new(pos.x, pos.y, pos.z)) end

--- Where players arrive; nil before the village stands.
function village.spawn_point() return village.centre and at(layout.spawn) end

local function bring(player)
	local spawn = village.spawn_point()
	if spawn then
		player:set_pos(spawn)
		player:set_look_horizontal(0)
	end
	return spawn ~= nil
end

local function open(centre)
	village.centre = centre
	village.ready = true
	core.log("action", "[townsfolk_village] the village stands at " .. core.pos_to_string(centre))
end

local function settle()
	for _, settler in ipairs(SETTLERS) do
		local villager, reason =
			townsfolk.spawn(settler.name, settler.persona, at(layout.homes[settler.persona]))
		if villager then
			townsfolk.face(villager, at(layout.spawn))
		else
			core.log("error", "[townsfolk_village] " .. settler.name .. " can't settle: " .. reason)
		end
	end
end

local function found(centre)
	local built, reason = builder.build(layout, centre)
	if not built then
		core.log("error", "[townsfolk_village] no village here: " .. reason)
		return
	end
	open(centre)
	settle()
	storage:set_string("centre", core.pos_to_string(centre))
	core.set_timeofday(MORNING)
	for _, player in ipairs(core.get_connected_players()) do
		bring(player)
	end
end

local function survey()
	local level = core.get_spawn_level and core.get_spawn_level(0, 0) or 10
	local middle = core.setting_get_pos("static_spawnpoint") or vector.new(0, level, 0)
	middle = vector.round(middle)
	builder.emerge(
		layout,
		middle,
		function() found(builder.ground(vector.add(middle, vector.new(0, 4, 0))) or middle) end
	)
end

core.register_on_newplayer(bring)
core.register_on_respawnplayer(bring)

core.register_on_mods_loaded(function()
	local centre = saved_centre()
	core.after(0, function()
		if centre then
			open(centre)
		else
			survey()
		end
	end)
end)

return village
