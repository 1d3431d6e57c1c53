-- ADAPTER: what a name in an action means here and now. Gives things near the same names as the
-- observation gives them, and finds them again by these names.
local tf = ...

local targets = {}

local MARGIN = 4 -- nodes: what was seen may have moved a little since
local CLAIMED_RADIUS = 6
local ITEM, VILLAGER = "__builtin:item", "townsfolk:villager"
local MOB_TYPES = { monster = true, animal = true, npc = true }

-- Mob frameworks have no common mark; these are the ones in use (mobs_redo, CMI, VoxeLibre).
local function is_mob(entity) return MOB_TYPES[entity.type] or entity._cmi_is_mob or entity.is_mob or false end

function targets.is_hostile(object)
	local entity = object:get_luaentity()
	return entity ~= nil and is_mob(entity) and (entity.type == "monster" or entity.hostile == true)
end

-- "player" | "villager" | "mob" | "item", its name, and its count; nil for anything else.
function targets.describe(object)
	if object:is_player() then
		return "player", object:get_player_name(), 1
	end
	local entity = object:get_luaentity()
	if not entity then
		return nil
	elseif entity.name == ITEM then
		local stack = ItemStack(entity.itemstring)
		if stack:is_empty() then
			return nil
		end
		return "item", stack:get_name(), stack:get_count()
	elseif entity.name == VILLAGER then
		return "villager", entity.villager and entity.villager.name, 1
	elseif is_mob(entity) then
		return "mob", entity.name, 1
	end
	return nil
end

-- What claims are made on: a node's place, or the item entity itself (its Lua table, which is one
-- for as long as it lies there; 5.6 has no ids for objects).
function targets.claim_key(target)
	if target.object then
		return target.object:get_luaentity()
	end
	return target.pos and tf.geometry.key(target.pos)
end

local function is_free(v, target)
	local key = targets.claim_key(target)
	local holder = key and tf.execute.holder(key)
	return not holder or holder == v.id
end

-- Where the target is now; nil where it is gone.
function targets.pos(target)
	if target.object then
		local pos = target.object:get_pos()
		return pos and targets.describe(target.object) and pos
	elseif target.kind == "node" and core.get_node(target.pos).name ~= target.name then
		return nil
	end
	return target.pos
end

-- The nearest free object of one of these kinds and this name; else one that is not free.
local function nearest_object(v, kinds, name)
	local pos, best, best_rank = tf.body.pos(v), nil, math.huge
	for _, object in ipairs(core.get_objects_inside_radius(pos, tf.settings.sight + MARGIN)) do
		local kind, its_name = targets.describe(object)
		if kind and kinds[kind] and its_name == name and object ~= v.object then
			local target = { kind = kind, name = name, object = object }
			local rank = tf.geometry.distance(pos, object:get_pos()) + (is_free(v, target) and 0 or 1000)
			if rank < best_rank then
				best, best_rank = target, rank
			end
		end
	end
	return best
end

local function object_finder(kinds)
	return function(v, name)
		local target = nearest_object(v, kinds, name)
		return target, name .. " is not near"
	end
end

-- Only asked for where the nearest node is claimed: another of the same kind close by.
local function another_node(v, name)
	local pos, best = tf.body.pos(v), nil
	local low, high = vector.subtract(pos, CLAIMED_RADIUS), vector.add(pos, CLAIMED_RADIUS)
	for _, at in ipairs(core.find_nodes_in_area(low, high, name)) do
		local target = { kind = "node", name = name, pos = at }
		if
			is_free(v, target)
			and (not best or tf.geometry.distance(pos, at) < tf.geometry.distance(pos, best.pos))
		then
			best = target
		end
	end
	return best
end

local function find_node(v, name)
	if not core.registered_nodes[name] then
		return nil, ("no node is called %s"):format(name)
	end
	local at = core.find_node_near(tf.body.pos(v), tf.settings.sight, name, true)
	if not at then
		return nil, name .. " is not near"
	end
	local target = { kind = "node", name = name, pos = at }
	return is_free(v, target) and target or another_node(v, name) or target
end

local FIND = {
	player = object_finder({ player = true }),
	creature = object_finder({ player = true, villager = true, mob = true }),
	mob = object_finder({ mob = true }),
	dropped = object_finder({ item = true }),
	node = find_node,
}

function FIND.carried(v, name)
	if not v.inv:contains_item("main", name) then
		return nil, ("%s carries no %s"):format(v.name, name)
	end
	return { kind = "carried", name = name }
end

function FIND.place(v, name)
	if name == "home" then
		return { kind = "home", name = name, pos = v.home }
	end
	local creature = FIND.creature(v, name)
	if creature or not core.registered_nodes[name] then
		return creature, name .. " is not near"
	end
	return find_node(v, name)
end

-- The argument of this kind as the action gets it: a target {kind, name, object | pos}, or for int,
-- text and choice the value itself; nil and the reason where there is no such thing.
function targets.resolve(v, kind, value)
	if FIND[kind] then
		return FIND[kind](v, value)
	end
	return value
end

return targets
