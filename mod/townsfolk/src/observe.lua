-- ADAPTER: what a villager perceives, as the wire wants it (`Observation`). Looking for nodes is the
-- costly part (about 1 ms): villagers do it in turn, one in a server step, and remember what they saw.
local tf = ...

local observe = {}

local MAX_THINGS, MAX_NODES, EACH_NODE = 24, 24, 2
local MAX_STACKS = 64
local ACROSS, UPWARD = 10, 4 -- nodes that are searched round the villager
local LOOK_AGAIN, MOVED = 5, 4 -- seconds, nodes

local notable_names = {}
local seen = {} -- villager id -> {at, pos, nodes}

core.register_on_mods_loaded(function()
	local setting = tf.settings.notable_nodes or tf.notable.DEFAULT
	notable_names = tf.notable.names(setting, core.registered_nodes)
end)

local function distance(from, to) return tf.text.tenth(math.min(1000, tf.geometry.distance(from, to))) end

-- What the game calls an item in speech; nil where it has no such name.
local function item_title(stack)
	local title = tf.text.clean(stack:get_short_description(), 60)
	return title ~= "" and title or nil
end

local function held_by(player) return tf.text.name(player:get_wielded_item():get_name()) end

local DESCRIBE = {}

function DESCRIBE.player(thing, object)
	thing.held, thing.hp = held_by(object), object:get_hp()
end

function DESCRIBE.villager(thing, object) thing.hp = object:get_hp() end

function DESCRIBE.mob(thing, object)
	local title = object:get_luaentity().description or thing.name:match("[^:]+$"):gsub("_", " ")
	thing.title, thing.hp = tf.text.clean(title, 60), math.max(0, object:get_hp())
	thing.hostile = tf.targets.is_hostile(object) or nil
end

function DESCRIBE.item(thing, object, count)
	thing.title, thing.count = item_title(ItemStack(object:get_luaentity().itemstring)), count
end

local function thing_of(object, pos)
	local kind, name, count = tf.targets.describe(object)
	local at = object:get_pos()
	if not kind or not tf.text.name(name) or not at then
		return nil
	end
	local thing =
		{ kind = kind, name = name, distance = distance(pos, at), direction = tf.geometry.direction(pos, at) }
	DESCRIBE[kind](thing, object, count)
	return thing
end

-- Players, villagers, mobs and items within sight, nearest first.
local function things_near(v, pos)
	local things = {}
	for _, object in ipairs(core.get_objects_inside_radius(pos, tf.settings.sight)) do
		things[#things + 1] = object ~= v.object and thing_of(object, pos) or nil
	end
	table.sort(things, function(a, b) return a.distance < b.distance end)
	for i = #things, MAX_THINGS + 1, -1 do
		things[i] = nil
	end
	return things
end

local function written_on(pos)
	local line = tf.text.clean(core.get_meta(pos):get_string("text"), 200)
	return line ~= "" and line or nil
end

local function find_nodes(pos)
	local reach = { x = ACROSS, y = UPWARD, z = ACROSS }
	local low, high = vector.subtract(pos, reach), vector.add(pos, reach)
	local found = core.find_nodes_in_area(low, high, notable_names, true)
	local nodes = tf.notable.nearest(found, pos, EACH_NODE, MAX_NODES)
	for _, node in ipairs(nodes) do
		node.title, node.text = item_title(ItemStack(node.name)), written_on(node.pos)
	end
	return nodes
end

local function look_for_nodes(v, now)
	local pos = tf.body.pos(v)
	seen[v.id] = { at = now, pos = pos, nodes = find_nodes(pos) }
end

local function has_missed_something(v, now)
	local last = seen[v.id]
	return not last or now - last.at >= LOOK_AGAIN or tf.geometry.distance(last.pos, tf.body.pos(v)) >= MOVED
end

-- Of the villagers that may have missed something, the one whose last look is the longest ago; or nil.
local function next_to_look(now)
	local next_one, oldest
	for _, v in ipairs(tf.villagers.all()) do
		local at = seen[v.id] and seen[v.id].at or 0
		if has_missed_something(v, now) and (not oldest or at < oldest) then
			next_one, oldest = v, at
		end
	end
	return next_one
end

core.register_globalstep(function()
	local now = tf.clock()
	local v = next_to_look(now)
	if v then
		look_for_nodes(v, now)
	end
end)

-- For one who does not take turns with the villagers: looks for nodes where it may have missed something.
function observe.look(v, now)
	if has_missed_something(v, now) then
		look_for_nodes(v, now)
	end
end

-- Notable nodes as they were seen last, at the latest now.
local function nodes_seen(v, now)
	if not seen[v.id] then
		look_for_nodes(v, now)
	end
	return seen[v.id].nodes
end

local function nodes_near(v, pos, now)
	local nodes = {}
	for i, node in ipairs(nodes_seen(v, now)) do
		nodes[i] = {
			name = node.name,
			title = node.title,
			text = node.text,
			distance = distance(pos, node.pos),
			direction = tf.geometry.direction(pos, node.pos),
		}
	end
	return nodes
end

-- A list, or nothing where it is empty: the engine would write an empty one as null.
local function filled(list) return #list > 0 and list or nil end

local function carried(v)
	local stacks = {}
	for _, stack in ipairs(v.inv:get_list("main")) do
		local name = tf.text.name(stack:get_name())
		if name and #stacks < MAX_STACKS then
			stacks[#stacks + 1] = { name = name, count = stack:get_count() }
		end
	end
	return stacks
end

local function own_state(v, pos)
	return {
		position = { x = tf.text.tenth(pos.x), y = tf.text.tenth(pos.y), z = tf.text.tenth(pos.z) },
		hp = v.object:get_hp(),
		hp_max = tf.body.HP_MAX,
		doing = tf.text.clean(v.doing or ""),
		inventory = filled(carried(v)),
		home_distance = tf.text.tenth(tf.geometry.distance(pos, v.home)),
		home_direction = tf.geometry.direction(pos, v.home),
	}
end

-- The two parts of an observation that are left out while unchanged: {me, around}.
-- The villager's body must be in the world.
function observe.parts(v, now)
	local pos = tf.body.pos(v)
	return {
		me = own_state(v, pos),
		around = { things = filled(things_near(v, pos)), nodes = filled(nodes_near(v, pos, now)) },
	}
end

function observe.forget(v) seen[v.id] = nil end

return observe
