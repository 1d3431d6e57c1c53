-- The scenes of the first start. Each gets its plot (x, z of the middle) and gives what it found.
local probe = ...
local scenes = {}

local function scene(name, run) scenes[#scenes + 1] = { name = name, run = run } end

local function player_scene(name, run) scenes[#scenes + 1] = { name = name, run = run, player = true } end

for _, direction in ipairs({ "north", "south", "east", "west" }) do
	scene("move_" .. direction, function(plot)
		local v = probe.villager(plot, "Mover_" .. direction)
		local from = townsfolk.get_pos(v)
		local outcome = probe.done(v, "move_" .. direction)
		return { outcome = outcome, moved = vector.subtract(townsfolk.get_pos(v), from) }
	end)
end

-- Round a wall, past a tunnel that is one node high.
scene("goto_round_wall", function(plot)
	local v = probe.villager(plot, "Walker", 0, -4)
	for x = -4, 4 do
		for y = 1, 3 do
			probe.set(plot, x, y, 0, probe.stone)
		end
	end
	probe.set(plot, 0, 1, 0, "air")
	probe.set(plot, 0, 1, 6, probe.mark)
	local outcome = probe.done(v, "goto", probe.mark)
	return { outcome = outcome, z = townsfolk.get_pos(v).z - plot.z }
end)

scene("goto_walled_in", function(plot)
	local v = probe.villager(plot, "Prisoner")
	probe.room(plot, 2, 3)
	probe.set(plot, 0, 1, 6, probe.mark)
	return { outcome = probe.done(v, "goto", probe.mark) }
end)

scene("goto_over_water", function(plot)
	local v = probe.villager(plot, "Swimmer", 0, -5)
	for x = -11, 11 do
		for z = -1, 2 do
			probe.set(plot, x, 0, z, probe.water)
			probe.set(plot, x, -1, z, probe.water)
		end
	end
	probe.set(plot, 0, 1, 7, probe.mark)
	local outcome = probe.done(v, "goto", probe.mark)
	return { outcome = outcome, z = townsfolk.get_pos(v).z - plot.z, hp = v.object:get_hp() }
end)

scene("goto_over_lava", function(plot)
	local v = probe.villager(plot, "Careful", 0, -3)
	probe.room(plot, 6, 3)
	for x = -5, 5 do
		probe.set(plot, x, 0, 0, probe.lava)
	end
	probe.set(plot, 0, 1, 4, probe.mark)
	local outcome = probe.done(v, "goto", probe.mark)
	return { outcome = outcome, z = townsfolk.get_pos(v).z - plot.z, hp = v.object:get_hp() }
end)

-- Up four steps and down a drop of three on the other side; a drop of four would be too deep.
scene("goto_up_and_down", function(plot)
	local v = probe.villager(plot, "Climber", 0, -5)
	probe.room(plot, 8, 8)
	for x = -7, 7 do
		for z = -2, 1 do
			for y = 1, math.min(3, z + 3) do
				probe.set(plot, x, y, z, probe.stone)
			end
		end
	end
	probe.set(plot, 0, 1, 6, probe.mark)
	local outcome = probe.done(v, "goto", probe.mark)
	return { outcome = outcome, z = townsfolk.get_pos(v).z - plot.z }
end)

-- Something stands in the way that no map shows.
scene("goto_stuck", function(plot)
	local v = probe.villager(plot, "Stuck", 0, -5)
	for _, x in ipairs({ -2, 2 }) do
		for z = -8, 8 do
			for y = 1, 3 do
				probe.set(plot, x, y, z, probe.stone)
			end
		end
	end
	probe.set(plot, 0, 1, 6, probe.mark)
	core.add_entity(vector.new(plot.x, 0.5, plot.z), "townsfolk_probe:wall")
	v.object:set_properties({ collide_with_objects = true })
	return { outcome = probe.done(v, "goto", probe.mark) }
end)

if probe.has_doors then
	local function house(plot, name, owner)
		local v = probe.villager(plot, name)
		probe.room(plot, 3, 3)
		local at = vector.new(plot.x, 1, plot.z + 3)
		core.set_node(at, { name = "doors:door_wood_a" })
		core.set_node(vector.offset(at, 0, 1, 0), { name = "doors:hidden" })
		core.get_meta(at):set_string("owner", owner)
		probe.set(plot, 0, 1, 9, probe.mark)
		local outcome = probe.done(v, "goto", probe.mark)
		probe.wait(5, function() return not doors.get(at):state() end)
		return { outcome = outcome, z = townsfolk.get_pos(v).z - plot.z, open = doors.get(at):state() }
	end

	scene("gate", function(plot)
		local v = probe.villager(plot, "Shepherd")
		for a = -3, 3 do
			for _, cell in ipairs({ { a, -3 }, { a, 3 }, { -3, a }, { 3, a } }) do
				probe.set(plot, cell[1], 1, cell[2], "default:fence_wood")
			end
		end
		probe.set(plot, 0, 1, 3, "doors:gate_wood_closed")
		probe.set(plot, 0, 1, 9, probe.mark)
		local outcome = probe.done(v, "goto", probe.mark)
		probe.wait(5, function() return probe.at(plot, 0, 1, 3) == "doors:gate_wood_closed" end)
		return { outcome = outcome, z = townsfolk.get_pos(v).z - plot.z, node = probe.at(plot, 0, 1, 3) }
	end)

	scene("door", function(plot) return house(plot, "Porter", "") end)
	scene("door_owned", function(plot) return house(plot, "Guest", "bob") end)
	scene("door_protected", function(plot)
		probe.protected[core.pos_to_string(vector.new(plot.x, 1, plot.z + 3))] = true
		return house(plot, "Caller", "")
	end)
end

scene("dig", function(plot)
	local v = probe.villager(plot, "Digger")
	probe.set(plot, 5, 1, 0, probe.tree)
	local outcome = probe.done(v, "dig", probe.tree)
	return { outcome = outcome, carried = probe.count(v.inv, probe.tree), node = probe.at(plot, 5, 1, 0) }
end)

scene("dig_protected", function(plot)
	local v = probe.villager(plot, "Vandal")
	probe.set(plot, 3, 1, 0, probe.tree)
	probe.protected[core.pos_to_string(vector.new(plot.x + 3, 1, plot.z))] = true
	local outcome = probe.done(v, "dig", probe.tree)
	probe.set(plot, -3, 1, 0, probe.mark)
	core.get_meta(vector.new(plot.x - 3, 1, plot.z)):set_string("owner", "ann")
	return {
		outcome = outcome,
		carried = probe.count(v.inv, probe.tree),
		node = probe.at(plot, 3, 1, 0),
		owned = probe.done(v, "dig", probe.mark),
	}
end)

-- Both saw it at the same time: the lower id gets it, whoever asked first.
scene("dig_claimed", function(plot)
	local a, b = probe.villager(plot, "First", -2), probe.villager(plot, "Second", 2)
	probe.set(plot, 0, 1, 4, probe.tree)
	local now = core.get_us_time() / 1e6
	probe.act_at(now, b, "dig", probe.tree)
	probe.act_at(now, a, "dig", probe.tree)
	return {
		first = probe.ended(a, "dig", probe.tree),
		second = probe.ended(b, "dig", probe.tree),
		carried = probe.count(a.inv, probe.tree),
		others = probe.count(b.inv, probe.tree),
	}
end)

scene("place", function(plot)
	local v = probe.villager(plot, "Mason")
	v.inv:add_item("main", probe.cobble .. " 3")
	local outcome = probe.done(v, "place", probe.cobble)
	local low, high = vector.new(plot.x - 3, 0, plot.z - 3), vector.new(plot.x + 3, 3, plot.z + 3)
	local placed = #core.find_nodes_in_area(low, high, probe.cobble)
	return { outcome = outcome, carried = probe.count(v.inv, probe.cobble), placed = placed }
end)

scene("place_protected", function(plot)
	local v = probe.villager(plot, "Squatter")
	for x = -3, 3 do
		for z = -3, 3 do
			probe.protected[core.pos_to_string(vector.new(plot.x + x, 1, plot.z + z))] = true
		end
	end
	v.inv:add_item("main", probe.cobble .. " 3")
	local outcome = probe.done(v, "place", probe.cobble)
	return { outcome = outcome, carried = probe.count(v.inv, probe.cobble) }
end)

-- Two want one lot of five: who saw it first gets it, whole.
scene("take_claimed", function(plot)
	local a, b = probe.villager(plot, "Ant", -3), probe.villager(plot, "Bee", 3)
	core.add_item(vector.new(plot.x, 1, plot.z + 3), probe.cobble .. " 5")
	probe.wait(1)
	local now = core.get_us_time() / 1e6
	probe.act_at(now, a, "take", probe.cobble)
	probe.act_at(now - 1, b, "take", probe.cobble)
	return {
		first = probe.ended(a, "take", probe.cobble),
		second = probe.ended(b, "take", probe.cobble),
		lying = probe.lying(plot, probe.cobble),
		a = probe.count(a.inv, probe.cobble),
		b = probe.count(b.inv, probe.cobble),
	}
end)

-- One slot's worth of room: the rest stays on the ground.
scene("take_part", function(plot)
	local v = probe.villager(plot, "Packed")
	for i = 1, v.inv:get_size("main") do
		v.inv:set_stack("main", i, i == 1 and probe.cobble .. " 97" or probe.stone .. " 99")
	end
	core.add_item(vector.new(plot.x, 1, plot.z + 2), probe.cobble .. " 5")
	probe.wait(1)
	local outcome = probe.done(v, "take", probe.cobble)
	return {
		outcome = outcome,
		carried = probe.count(v.inv, probe.cobble),
		lying = probe.lying(plot, probe.cobble),
	}
end)

scene("fight", function(plot)
	local v = probe.villager(plot, "Fighter")
	local zombie = core.add_entity(vector.new(plot.x + 5, 0.5, plot.z), "townsfolk_probe:zombie")
	local cow = core.add_entity(vector.new(plot.x - 5, 0.5, plot.z), "townsfolk_probe:cow")
	cow:get_luaentity().owner = "bob"
	local outcome = probe.done(v, "attack", "townsfolk_probe:zombie")
	local owned = probe.done(v, "attack", "townsfolk_probe:cow")
	return { outcome = outcome, dead = zombie:get_pos() == nil, owned = owned, cow = cow:get_hp() }
end)

scene("flee", function(plot)
	local v = probe.villager(plot, "Coward")
	local none = probe.done(v, "flee")
	local zombie = core.add_entity(vector.new(plot.x + 1, 0.5, plot.z), "townsfolk_probe:zombie")
	v.object:punch(
		zombie,
		1,
		{ full_punch_interval = 1, damage_groups = { fleshy = 3 } },
		vector.new(-1, 0, 0)
	)
	local hurt, outcome = v.object:get_hp(), probe.done(v, "flee")
	local distance = vector.distance(townsfolk.get_pos(v), zombie:get_pos())
	zombie:remove()
	return { none = none, hp = hurt, outcome = outcome, distance = distance }
end)

scene("guard", function(plot)
	local v = probe.villager(plot, "Watch")
	local outcome = probe.done(v, "guard", "home")
	local zombie = core.add_entity(vector.new(plot.x + 6, 0.5, plot.z), "townsfolk_probe:zombie")
	local dead = probe.wait(15, function() return zombie:get_pos() == nil end)
	local back = probe.wait(10, function() return vector.distance(townsfolk.get_pos(v), v.home) < 3.5 end)
	return { outcome = outcome, doing = v.doing, dead = dead, back = back }
end)

scene("gestures", function(plot)
	local a, b = probe.villager(plot, "Waver"), probe.villager(plot, "Seen", 4)
	local started = core.get_us_time()
	local found = { say = probe.done(a, "say", "Good day to you"), wave = probe.done(a, "wave") }
	found.look_at, found.yaw = probe.done(a, "look_at", "Seen"), a.object:get_yaw()
	found.wait = probe.done(a, "wait", "2")
	found.seconds = (core.get_us_time() - started) / 1e6
	probe.act(a, "wait", "30")
	probe.wait(0.5)
	found.stop, found.waited = probe.done(a, "stop"), probe.outcome(a, "wait 30")
	found.wander = probe.done(a, "wander")
	found.strolled = vector.distance(townsfolk.get_pos(a), a.home)
	probe.act(b, "wait", "30")
	probe.wait(0.5)
	townsfolk.remove(b)
	found.removed = probe.outcome(b, "wait 30")
	return found
end)

scene("refused", function(plot)
	local v = probe.villager(plot, "Strict")
	local found = {
		unknown = probe.done(v, "fly"),
		args = probe.done(v, "wait", "soon"),
		number = probe.done(v, "wait", "61"),
		absent = probe.done(v, "goto", "nobody"),
		carried = probe.done(v, "place", probe.cobble),
	}
	townsfolk.perform(v, { name = "wave" }, { snapshot_time = core.get_us_time() / 1e6 - 60 })
	found.stale = probe.wait(2, function() return probe.outcome(v, "wave") end)
	local w = probe.villager(plot, "Still", 4)
	townsfolk.freeze(w, 100)
	found.frozen = probe.done(w, "wave")
	townsfolk.freeze(w, 0)
	for _ = 1, 12 do
		probe.act(w, "wave")
	end
	probe.wait(0.5)
	found.rate = probe.outcome(w, "wave")
	townsfolk.set_persona(w, "mute")
	townsfolk.allow_actions("mute", { "wait" })
	found.persona = probe.done(w, "say", "hello")
	return found
end)

-- Actions of one turn come one after the other; those of the next take over.
scene("turns", function(plot)
	local v = probe.villager(plot, "Orderly")
	local now = core.get_us_time() / 1e6
	townsfolk.perform(v, { name = "wait", args = { "2" } }, { turn_id = "one", snapshot_time = now })
	townsfolk.perform(v, { name = "wave" }, { turn_id = "one", snapshot_time = now })
	probe.wait(1)
	local early = probe.outcome(v, "wave") == nil
	local waved = probe.wait(3, function() return probe.outcome(v, "wave") end)
	probe.act(v, "wait", "20")
	probe.wait(0.5)
	return {
		early = early,
		waved = waved,
		next = probe.done(v, "move_north"),
		replaced = probe.outcome(v, "wait 20"),
	}
end)

scene(
	"dance",
	function(plot) return { outcome = probe.done(probe.villager(plot, "Dancer"), "dance", "2") } end
)

-- Dies, and comes home with all that it had.
scene("death", function(plot)
	local v = probe.villager(plot, "Phoenix")
	v.inv:add_item("main", probe.cobble .. " 7")
	v.object:set_pos(vector.new(plot.x + 5, 0.5, plot.z))
	v.object:punch(
		v.object,
		1,
		{ full_punch_interval = 1, damage_groups = { fleshy = 50 } },
		vector.new(0, 0, 1)
	)
	probe.wait(0.5)
	local dead = townsfolk.get_pos(v) == nil
	local pos = probe.wait(25, function() return townsfolk.get_pos(v) end)
	local distance = pos and vector.distance(pos, v.home)
	return {
		dead = dead,
		distance = distance,
		hp = pos and v.object:get_hp(),
		carried = probe.count(v.inv, probe.cobble),
	}
end)

-- Its body is taken away without its record (/clearobjects).
scene("lost", function(plot)
	local v = probe.villager(plot, "Lost")
	v.inv:add_item("main", probe.cobble)
	v.object:remove()
	local gone = townsfolk.get_pos(v) == nil
	local back = probe.wait(20, function() return townsfolk.get_pos(v) end)
	return { gone = gone, back = back ~= nil, carried = probe.count(v.inv, probe.cobble) }
end)

-- Its part of the world is unloaded and loaded again, far from all plots.
scene("unloaded", function()
	local home, ready = vector.new(408, 0.5, 8), false
	core.emerge_area(home, home, function(_, _, remaining) ready = remaining == 0 end)
	probe.wait(10, function() return ready end)
	core.forceload_block(home, true)
	probe.wait(3, function() return core.compare_block_status(home, "active") end)
	core.set_node(vector.new(408, 0, 8), { name = probe.stone })
	local v = assert(townsfolk.spawn("Hermit", "trader", home))
	v.inv:add_item("main", probe.cobble .. " 3")
	probe.wait(0.5)
	probe.act(v, "wait", "60")
	core.forceload_free_block(home, true)
	local gone = probe.wait(15, function() return townsfolk.get_pos(v) == nil end)
	core.forceload_block(home, true)
	local back = probe.wait(15, function() return townsfolk.get_pos(v) end)
	probe.wait(12) -- time for a second body to be put there by mistake
	return {
		gone = gone,
		ended = probe.outcome(v, "wait 60"),
		back = back ~= nil,
		bodies = #core.get_objects_inside_radius(home, 5),
		carried = probe.count(v.inv, probe.cobble),
		hp = v.object:get_hp(),
	}
end)

-- Found again by the second start.
scene("keeper", function(plot)
	local v = probe.villager(plot, "Keeper")
	v.inv:add_item("main", probe.cobble .. " 9")
	v.memory.friend = "sam"
	townsfolk.set_persona(v, "guard")
	return { outcome = probe.done(v, "guard", "home"), id = v.id, home = v.home }
end)

player_scene("follow", function(plot)
	local v, player = probe.villager(plot, "Shadow"), probe.player
	player:set_pos(vector.new(plot.x + 2, 0.5, plot.z))
	probe.wait(0.5)
	local outcome = probe.done(v, "follow", player:get_player_name())
	player:set_pos(vector.new(plot.x + 10, 0.5, plot.z + 5))
	local near = probe.wait(
		20,
		function() return vector.distance(townsfolk.get_pos(v), player:get_pos()) < 3 end
	)
	local doing = v.doing
	return {
		outcome = outcome,
		near = near,
		doing = doing,
		stop = probe.done(v, "stop"),
		after = v.doing or "",
	}
end)

player_scene("give", function(plot)
	local v, player = probe.villager(plot, "Donor"), probe.player
	local name, inventory = player:get_player_name(), player:get_inventory()
	player:set_pos(vector.new(plot.x + 5, 0.5, plot.z))
	probe.wait(0.5)
	v.inv:add_item("main", probe.cobble .. " 10")
	local before = probe.count(inventory, probe.cobble)
	local found = { outcome = probe.done(v, "give", probe.cobble, "4", name) }
	found.given = probe.count(inventory, probe.cobble) - before
	found.kept = probe.count(v.inv, probe.cobble)
	found.greedy = probe.done(v, "give", probe.cobble, "99", name)
	for i = 1, inventory:get_size("main") do
		inventory:set_stack("main", i, probe.stone .. " 99")
	end
	found.full = probe.done(v, "give", probe.cobble, "5", name)
	found.left, found.lying = probe.count(v.inv, probe.cobble), probe.lying(plot, probe.cobble)
	inventory:set_list("main", {})
	return found
end)

player_scene("attack_player", function(plot)
	local v, player = probe.villager(plot, "Angry"), probe.player
	player:set_pos(vector.new(plot.x + 3, 0.5, plot.z))
	probe.wait(0.5)
	return { outcome = probe.done(v, "attack", player:get_player_name()), hp = player:get_hp() }
end)

return scenes
