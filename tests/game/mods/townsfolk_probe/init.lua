-- Performs every action on a stone platform, one scene after another, and writes what it found to
-- probe.json in the world's folder; then it shuts the server down. Uses the public API alone.

local path = core.get_modpath(core.get_current_modname())
local probe = {results = {}}

-- The scenes' ground: y = 0 is stone, feet stand at y = 1.
local SIZE = 40
local TICK = 0.2
probe.stone = core.registered_nodes["default:stone"] and "default:stone" or "basenodes:stone"

local function build_platform()
	for x = -SIZE, SIZE do
		for z = -SIZE, SIZE do
			core.set_node({x = x, y = 0, z = z}, {name = probe.stone})
		end
	end
end

local function load_world(done)
	local low, high = vector.new(-SIZE - 8, -16, -SIZE - 8), vector.new(SIZE + 8, 24, SIZE + 8)
	core.emerge_area(low, high, function(_, _, remaining)
		if remaining == 0 then
			for x = -48, 48, 16 do
				for z = -48, 48, 16 do
					core.forceload_block(vector.new(x, 0, z), true)
					core.forceload_block(vector.new(x, -1, z), true)
				end
			end
			build_platform()
			done()
		end
	end)
end

local outcomes = {} -- tag -> {verdict, reason} of the scene's villagers

townsfolk.register_on_outcome(function(v, _, tag, verdict, reason)
	outcomes[v.name .. ": " .. tag] = {verdict = verdict, reason = reason or ""}
end)

-- What became of an action so far: {verdict =, reason =} or nil.
function probe.outcome(v, tag)
	return outcomes[v.name .. ": " .. tag]
end

function probe.act(v, name, ...)
	townsfolk.perform(v, {name = name, args = {...}}, {turn_id = "t" .. core.get_us_time()})
end

-- Runs inside a scene: waits until `condition()` holds or the time is over; what it gave.
function probe.wait(seconds, condition)
	local until_time = core.get_us_time() / 1e6 + seconds
	repeat
		local value = condition and condition()
		if value then
			return value
		end
		coroutine.yield()
	until core.get_us_time() / 1e6 > until_time
	return nil
end

-- Performs an action and waits for its end; its outcome.
function probe.done(v, name, ...)
	local tag = name
	for _, arg in ipairs({...}) do
		tag = tag .. " " .. (arg:find(" ") and '"' .. arg .. '"' or arg)
	end
	outcomes[v.name .. ": " .. tag] = nil
	probe.act(v, name, ...)
	return probe.wait(25, function() return probe.outcome(v, tag) end) or {verdict = "none", reason = "no outcome"}
end

local function run_scene(name, scene, done)
	local routine = coroutine.create(scene)
	local function resume()
		local ok, result = coroutine.resume(routine)
		if coroutine.status(routine) ~= "dead" then
			core.after(TICK, resume)
			return
		end
		core.log("action", ("[probe] %s: %s"):format(name, ok and "ran" or tostring(result)))
		probe.results[name] = ok and result or {error = tostring(result)}
		done()
	end
	resume()
end

local function finish()
	core.safe_file_write(core.get_worldpath() .. "/probe.json", core.write_json(probe.results))
	core.request_shutdown("probe finished")
end

local function run_from(scenes, i)
	if not scenes[i] then
		finish()
		return
	end
	run_scene(scenes[i][1], scenes[i][2], function() run_from(scenes, i + 1) end)
end

core.register_on_mods_loaded(function()
	local scenes = assert(loadfile(path .. "/scenes.lua"))(probe)
	core.after(0, load_world, function()
		run_from(scenes, 1)
	end)
end)
