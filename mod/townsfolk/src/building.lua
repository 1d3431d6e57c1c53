-- ADAPTER: digging and placing as a player would, through the nodes' own callbacks: what may be done, and the
-- doing. Who decides on it (an action, a replayed demonstration) is not known here.
local tf = ...

local building = {}

local DIG_MIN, DIG_MAX = 0.4, 6 -- seconds
local PLACE_CLEARANCE = 0.9 -- nodes from the spot in which nobody may stand

-- By another mod's protection, or by the rules of the place.
function building.is_protected(v, pos, action)
	return core.is_protected(pos, tf.hands.actor(v)) or tf.law.at(v, action, pos) ~= nil
end

-- Why `v` cannot dig the node `name` at `pos`; nil where it can.
function building.dig_fault(v, name, pos)
	local def = core.registered_nodes[name]
	if building.is_protected(v, pos, "dig") then
		return name .. " is protected"
	elseif core.get_meta(pos):get_string("owner") ~= "" then
		return name .. " belongs to somebody"
	elseif not def or def.diggable == false or not tf.hands.best_tool(v, def.groups) then
		return ("%s has nothing to dig %s with"):format(v.name, name)
	end
	return nil
end

-- Its drops go to `v`. True; false and the reason where it was not dug.
function building.dig(v, name, pos)
	local reason = building.dig_fault(v, name, pos)
	if reason then
		return false, reason
	end
	local def, node = core.registered_nodes[name], core.get_node(pos)
	local _, tool = tf.hands.best_tool(v, def.groups)
	local on_dig = def.on_dig or core.node_dig
	tf.hands.guarded(v, "digging " .. name, on_dig, pos, node, tf.hands.of(v, tool))
	if core.get_node(pos).name == name then
		return false, name .. " cannot be dug"
	end
	tf.books.built(pos, name)
	return true
end

-- Walks to the node, digs for as long as its tool takes; a task.
function building.dig_task(v, name, pos)
	local seconds = tf.hands.best_tool(v, core.registered_nodes[name].groups)
	local left = math.max(DIG_MIN, math.min(DIG_MAX, seconds))
	return tf.tasks.at_node(v, pos, function(dtime)
		if core.get_node(pos).name ~= name then
			return false, name .. " is gone"
		end
		tf.look.animate(v, "mine")
		left = left - dtime
		if left <= 0 then
			return building.dig(v, name, pos)
		end
	end)
end

function building.is_occupied(pos)
	for _, object in ipairs(core.get_objects_inside_radius(pos, PLACE_CLEARANCE)) do
		-- The object of an entity that no mod registers any more has no table.
		local entity = object:get_luaentity()
		if not entity or entity.name ~= "__builtin:item" then
			return true
		end
	end
	return false
end

-- Can something be placed against it? (Against a chest would mean to open it.)
function building.is_support(pos)
	local def = core.registered_nodes[core.get_node(pos).name]
	return def and def.walkable and not def.on_rightclick
end

-- `v` places one `name` that it carries at `pos`, against the node at `under`.
function building.place(v, name, pos, under)
	local stack = tf.hands.take_out(v, name, 1)[1]
	local before = core.get_node(pos).name
	local pointed = { type = "node", under = under, above = pos }
	local on_place = stack:get_definition().on_place or core.item_place
	local ran, left =
		tf.hands.guarded(v, "placing " .. name, on_place, ItemStack(stack), tf.hands.of(v), pointed)
	local placed = core.get_node(pos).name ~= before
	-- A callback that fails half-way has returned no stack: the node then stands for the item.
	if not ran then
		left = placed and ItemStack("") or stack
	end
	tf.hands.keep(v, left or stack)
	if placed then
		tf.books.built(pos, before)
	end
	return placed, name .. " cannot be placed here"
end

return building
