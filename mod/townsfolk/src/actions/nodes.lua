-- ADAPTER: actions that change the world's nodes: dig, place; both as a player would, through the
-- nodes' own callbacks, after asking the protection.
local tf = ...

local register = tf.actions.register
local DIG_MIN, DIG_MAX = 0.4, 6 -- seconds
local PLACE_CLEARANCE = 0.9 -- nodes from the spot in which nobody may stand

local function protected(v, pos) return core.is_protected(pos, tf.hands.actor(v)) end

local function dig_fault(v, target)
	local def = core.registered_nodes[target.name]
	if protected(v, target.pos) then
		return target.name .. " is protected"
	elseif core.get_meta(target.pos):get_string("owner") ~= "" then
		return target.name .. " belongs to somebody"
	elseif not def or def.diggable == false or not tf.hands.best_tool(v, def.groups) then
		return ("%s has nothing to dig %s with"):format(v.name, target.name)
	end
	return nil
end

local function dig(v, target)
	local reason = dig_fault(v, target)
	if reason then
		return false, reason
	end
	local def, node = core.registered_nodes[target.name], core.get_node(target.pos)
	local _, tool = tf.hands.best_tool(v, def.groups)
	local on_dig = def.on_dig or core.node_dig
	tf.hands.guarded(v, "digging " .. target.name, on_dig, target.pos, node, tf.hands.of(v, tool))
	if core.get_node(target.pos).name == target.name then
		return false, target.name .. " cannot be dug"
	end
	return true
end

register("dig", {
	description = "Dig a node near: its drops go into your inventory.",
	args = { { name = "node", kind = "node" } },
	exclusive = true,
	phrases = {
		"dig here",
		"chop down the {node}",
		"dig the {node}",
		"dig up the {node}",
		"mine the {node}",
		"break the {node}",
		"remove the {node}",
		"harvest the {node}",
	},
	check = function(v, args)
		local reason = dig_fault(v, args[1])
		return reason == nil, reason
	end,
	run = function(v, args)
		local target = args[1]
		local seconds = tf.hands.best_tool(v, core.registered_nodes[target.name].groups)
		local left = math.max(DIG_MIN, math.min(DIG_MAX, seconds))
		return tf.tasks.at_node(v, target.pos, function(dtime)
			if not tf.targets.pos(target) then
				return false, target.name .. " is gone"
			end
			tf.look.animate(v, "mine")
			left = left - dtime
			if left <= 0 then
				return dig(v, target)
			end
		end)
	end,
})

local function is_occupied(pos)
	for _, object in ipairs(core.get_objects_inside_radius(pos, PLACE_CLEARANCE)) do
		-- The object of an entity that no mod registers any more has no table.
		local entity = object:get_luaentity()
		if not entity or entity.name ~= "__builtin:item" then
			return true
		end
	end
	return false
end

-- On plain ground only: placing against a chest would mean to open it.
local function is_ground(pos)
	local def = core.registered_nodes[core.get_node(pos).name]
	return def and def.walkable and not def.on_rightclick
end

local function is_spot(v, pos)
	local def = core.registered_nodes[core.get_node(pos).name]
	return def
		and def.buildable_to
		and def.liquidtype == "none"
		and is_ground(vector.offset(pos, 0, -1, 0))
		and not is_occupied(pos)
		and not protected(v, pos)
		and not tf.execute.holder(tf.geometry.key(pos))
end

-- A free spot about two nodes away, what is before the villager first; nil where there is none.
local function find_spot(v)
	local feet, ahead = tf.geometry.feet(tf.body.pos(v)), core.yaw_to_dir(v.object:get_yaw())
	local best, best_rank = nil, math.huge
	for dx = -2, 2 do
		for dz = -2, 2 do
			local pos = vector.new(feet.x + dx, feet.y, feet.z + dz)
			local rank = tf.geometry.distance(pos, vector.add(feet, vector.multiply(ahead, 1.5)))
			if rank < best_rank and is_spot(v, pos) then
				best, best_rank = pos, rank
			end
		end
	end
	return best
end

local function place(v, name, pos)
	local stack = tf.hands.take_out(v, name, 1)[1]
	local before = core.get_node(pos).name
	local pointed = { type = "node", under = vector.offset(pos, 0, -1, 0), above = pos }
	local on_place = stack:get_definition().on_place or core.item_place
	local ran, left =
		tf.hands.guarded(v, "placing " .. name, on_place, ItemStack(stack), tf.hands.of(v), pointed)
	local placed = core.get_node(pos).name ~= before
	-- A callback that fails half-way has returned no stack: the node then stands for the item.
	if not ran then
		left = placed and ItemStack("") or stack
	end
	tf.hands.keep(v, left or stack)
	return placed, name .. " cannot be placed here"
end

register("place", {
	description = "Place one of the items that you carry on the ground before you.",
	args = { { name = "item", kind = "carried" } },
	phrases = {
		"place the {item}",
		"put the {item} down here",
		"put down {item}",
		"set {item} there",
		"build with {item} here",
		"plant the {item}",
	},
	check = function(v) return find_spot(v) ~= nil, "there is no free spot that is not protected" end,
	run = function(v, args)
		local pos = find_spot(v)
		local claimed, reason = tf.execute.claim(v, tf.geometry.key(pos))
		if not claimed then
			return false, reason
		end
		return tf.tasks.at_node(v, pos, function()
			if not is_ground(vector.offset(pos, 0, -1, 0)) or protected(v, pos) then
				return false, "the spot has changed"
			elseif tf.hands.count(v, args[1].name) == 0 then
				return false, ("%s carries no %s"):format(v.name, args[1].name)
			end
			return place(v, args[1].name, pos)
		end)
	end,
})
