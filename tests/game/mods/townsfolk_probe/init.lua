-- Performs every action on a stone platform, each scene on a plot of its own, and writes what it
-- found to probe.json in the world's folder; then it shuts the server down. Uses the public API alone.
-- Scenes run side by side; those that need the player run one after the other, once one has joined.

local PLOT, PLOTS, HALF = 24, 6, 72
local TICK = 0.1
local path = core.get_modpath(core.get_current_modname())
local phase = core.settings:get("probe_phase") or "first"
local basic = core.registered_nodes["default:stone"] == nil

local probe = {
	stone = basic and "basenodes:stone" or "default:stone",
	tree = basic and "basenodes:tree" or "default:tree",
	cobble = basic and "basenodes:cobble" or "default:cobble",
	water = basic and "basenodes:water_source" or "default:water_source",
	lava = basic and "basenodes:lava_source" or "default:lava_source",
	mark = basic and "chest:chest" or "default:chest",
	has_doors = core.get_modpath("doors") ~= nil,
	protected = {}, -- node keys that nobody may touch
}
local results, left = {}, 0

local is_protected = core.is_protected
function core.is_protected(pos, name)
	return probe.protected[core.pos_to_string(vector.round(pos))] or is_protected(pos, name)
end

local function forceload()
	for x = -HALF, HALF, 16 do
		for z = -HALF, HALF, 16 do
			core.forceload_block(vector.new(x, 0, z), true)
			core.forceload_block(vector.new(x, -1, z), true)
		end
	end
end

-- Feet stand at y = 1; three layers, so that pools can be dug.
local function build_platform()
	local nodes = {}
	for x = -HALF, HALF do
		for z = -HALF, HALF do
			for y = -2, 0 do
				nodes[#nodes + 1] = vector.new(x, y, z)
			end
		end
	end
	core.bulk_set_node(nodes, { name = probe.stone })
end

local function load_world(done)
	local low, high = vector.new(-HALF - 8, -16, -HALF - 8), vector.new(HALF + 8, 24, HALF + 8)
	core.emerge_area(low, high, function(_, _, remaining)
		if remaining == 0 then
			forceload()
			done()
		end
	end)
end

local outcomes = {} -- villager's name .. tag -> the last outcome

townsfolk.register_on_outcome(
	function(v, _, tag, verdict, reason)
		outcomes[v.name .. ": " .. tag] = { verdict = verdict, reason = reason or "" }
	end
)

-- What became of an action so far: {verdict =, reason =} or nil.
function probe.outcome(v, tag) return outcomes[v.name .. ": " .. tag] end

-- Inside a scene: waits until `condition()` holds or the time is over; what it gave.
function probe.wait(seconds, condition)
	local deadline = core.get_us_time() / 1e6 + seconds
	repeat
		local value = condition and condition()
		if value then
			return value
		end
		coroutine.yield()
	until core.get_us_time() / 1e6 > deadline
	return nil
end

function probe.tag(name, ...)
	local words = { name }
	for _, arg in ipairs({ ... }) do
		words[#words + 1] = arg:find(" ") and '"' .. arg .. '"' or arg
	end
	return table.concat(words, " ")
end

function probe.act_at(snapshot_time, v, name, ...)
	outcomes[v.name .. ": " .. probe.tag(name, ...)] = nil
	local ctx = { turn_id = "t" .. core.get_us_time(), snapshot_time = snapshot_time }
	townsfolk.perform(v, { name = name, args = { ... } }, ctx)
end

function probe.act(v, name, ...) probe.act_at(core.get_us_time() / 1e6, v, name, ...) end

-- Inside a scene: waits for the end of an action that was begun; its outcome.
function probe.ended(v, ...)
	local tag = probe.tag(...)
	return probe.wait(30, function() return probe.outcome(v, tag) end)
		or { verdict = "none", reason = "no end" }
end

-- Inside a scene: performs an action and waits for its end; its outcome.
function probe.done(v, name, ...)
	probe.act(v, name, ...)
	return probe.ended(v, name, ...)
end

-- A new villager on the plot, x and z from its middle.
function probe.villager(plot, name, x, z)
	local v = assert(townsfolk.spawn(name, "explorer", vector.new(plot.x + (x or 0), 0.5, plot.z + (z or 0))))
	probe.wait(0.5)
	return v
end

function probe.set(plot, x, y, z, name) core.set_node(vector.new(plot.x + x, y, plot.z + z), { name = name }) end

function probe.at(plot, x, y, z) return core.get_node(vector.new(plot.x + x, y, plot.z + z)).name end

-- Walls of `height` around the square of this half-width.
function probe.room(plot, half, height)
	for a = -half, half do
		for y = 1, height do
			for _, cell in ipairs({ { a, -half }, { a, half }, { -half, a }, { half, a } }) do
				probe.set(plot, cell[1], y, cell[2], probe.stone)
			end
		end
	end
end

-- How many of an item `inventory` ("main") holds.
function probe.count(inventory, name)
	local count = 0
	for _, stack in ipairs(inventory:get_list("main")) do
		count = count + (stack:get_name() == name and stack:get_count() or 0)
	end
	return count
end

-- How many of an item lie on the plot.
function probe.lying(plot, name)
	local count = 0
	for _, object in ipairs(core.get_objects_inside_radius(vector.new(plot.x, 1, plot.z), 11)) do
		local entity = object:get_luaentity()
		local stack = entity and entity.name == "__builtin:item" and ItemStack(entity.itemstring)
		count = count + (stack and stack:get_name() == name and stack:get_count() or 0)
	end
	return count
end

for name, kind in pairs({ zombie = "monster", cow = "animal" }) do
	core.register_entity("townsfolk_probe:" .. name, {
		initial_properties = {
			hp_max = 4,
			physical = true,
			collisionbox = { -0.3, 0, -0.3, 0.3, 1.7, 0.3 },
			static_save = false,
		},
		type = kind,
		on_activate = function(self) self.object:set_armor_groups({ fleshy = 100 }) end,
	})
end

core.register_entity("townsfolk_probe:wall", {
	initial_properties = {
		physical = true,
		collide_with_objects = true,
		collisionbox = { -2, 0, -0.4, 2, 3, 0.4 },
		static_save = false,
	},
})

local function finish()
	core.safe_file_write(core.get_worldpath() .. "/probe.json", core.write_json(results))
	core.request_shutdown("probe finished")
end

local function run_scene(name, scene, plot, done)
	local routine = coroutine.create(scene)
	local function resume()
		local ok, result = coroutine.resume(routine, plot)
		if coroutine.status(routine) ~= "dead" then
			core.after(TICK, resume)
			return
		end
		results[name] = ok and result or { error = tostring(result) }
		core.log("action", "[probe] ran " .. name)
		left = left - 1
		done()
		if left == 0 then
			finish()
		end
	end
	resume()
end

local function plot_of(number)
	local middle = (PLOTS - 1) / 2
	return {
		x = ((number - 1) % PLOTS - middle) * PLOT,
		z = (math.floor((number - 1) / PLOTS) - middle) * PLOT,
	}
end

local function run_players_scenes(scenes, i)
	local scene = scenes[i]
	if scene then
		run_scene(scene.name, scene.run, scene.plot, function() run_players_scenes(scenes, i + 1) end)
	end
end

local function run_all(scenes)
	local with_player, alone = {}, {}
	for i, scene in ipairs(scenes) do
		scene.plot = plot_of(i)
		table.insert(scene.player and with_player or alone, scene)
	end
	left = #scenes
	for _, scene in ipairs(alone) do
		run_scene(scene.name, scene.run, scene.plot, function() end)
	end
	local started = false
	core.register_globalstep(function()
		probe.player = core.get_connected_players()[1]
		if probe.player and not started then
			started = true
			run_players_scenes(with_player, 1)
		end
	end)
end

core.register_on_mods_loaded(function()
	local scenes = assert(loadfile(("%s/%s.lua"):format(path, phase)))(probe)
	core.after(0, load_world, function()
		if phase == "first" then
			build_platform()
		end
		core.log("action", "[probe] ready")
		run_all(scenes)
	end)
end)
