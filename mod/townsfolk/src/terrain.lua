-- ADAPTER: what a node means to somebody who walks (the classes of pathfind.lua), and doors.
local tf = ...

local terrain = {}

local has_doors = core.global_exists("doors") and doors.get ~= nil
local DOOR_TOP = "doors:hidden"
local DOORWAY = 1.1 -- nodes around a door's middle in which one would be caught
local CLOSE_AGAIN, CLOSE_TRIES = 1, 10 -- seconds between tries
local class_of = {} -- node name -> class, as far as the name alone decides

local function group(def, name) return (def.groups and def.groups[name] or 0) > 0 end

local function is_danger(def)
	return (def.damage_per_second or 0) > 0 or group(def, "lava") or group(def, "fire")
end

local EXPLOSIVES = { tnt = true, mcl_tnt = true }

-- Is an item or node of this name dangerous, or becomes something that is? What no villager handles.
function terrain.is_hazard(name)
	local def = core.registered_items[name]
	return EXPLOSIVES[name:match("^[^:]*")]
		or name:find("lava") ~= nil
		or name:find("^fire:") ~= nil
		or def ~= nil and (is_danger(def) or group(def, "tnt"))
end

local function classify(name)
	local def = core.registered_nodes[name]
	if not def or name == "ignore" then
		return "unknown"
	elseif is_danger(def) then
		return "danger"
	elseif def.liquidtype and def.liquidtype ~= "none" then
		return "water"
	elseif not def.walkable then
		return "open"
	elseif def._gate then
		return "door"
	elseif group(def, "fence") or group(def, "wall") then
		return "wall"
	end
	return "solid"
end

local function by_name(name)
	local class = class_of[name]
	if not class then
		class = classify(name)
		class_of[name] = class
	end
	return class
end

-- A door with an owner, or that is protected, is not a villager's to open.
local function is_free_door(pos, v)
	local meta = core.get_meta(pos)
	return meta:get_string("owner") == ""
		and meta:get_string("doors_owner") == ""
		and not core.is_protected(pos, tf.hands.actor(v))
end

local function is_door(name) return has_doors and doors.registered_doors[name] ~= nil end

local function door_class(pos, v) return is_free_door(pos, v) and "door" or "wall" end

-- The class of the node at x, y, z for `v`.
function terrain.class(v, x, y, z)
	local pos = { x = x, y = y, z = z }
	local name = core.get_node(pos).name
	if is_door(name) then
		return door_class(pos, v)
	elseif name == DOOR_TOP then
		pos.y = y - 1
		return is_door(core.get_node(pos).name) and door_class(pos, v) or "wall"
	end
	local class = by_name(name)
	return class == "door" and door_class(pos, v) or class
end

-- A fence gate is no door to the doors mod: each of its two nodes names the other as `_gate`.
-- (Open ones are walkable too, around their posts: the name tells.) Opens or closes the gate at `pos`;
-- true if there is one that stood otherwise.
local function swing_gate(pos, open)
	local node = core.get_node(pos)
	local def = core.registered_nodes[node.name]
	if not def or not def._gate or (node.name:find("_open$") ~= nil) == open then
		return false
	end
	core.swap_node(pos, { name = def._gate, param2 = node.param2 })
	return true
end

-- The closed door or gate at `pos` is opened; true where there was one that `v` may open.
function terrain.open_door(v, pos)
	local name = core.get_node(pos).name
	if is_door(name) then
		return is_free_door(pos, v) and doors.get(pos):open() ~= false
	end
	return by_name(name) == "door" and is_free_door(pos, v) and swing_gate(pos, true)
end

local function is_occupied(pos) return #core.get_objects_inside_radius(pos, DOORWAY) > 0 end

-- Not while somebody stands in it: then it is tried again for some seconds (`tries`: those left).
function terrain.close_door(pos, tries)
	tries = tries or CLOSE_TRIES
	if is_occupied(pos) then
		if tries > 1 then
			core.after(CLOSE_AGAIN, terrain.close_door, pos, tries - 1)
		end
	elseif is_door(core.get_node(pos).name) then
		doors.get(pos):close()
	else
		swing_gate(pos, false)
	end
end

return terrain
