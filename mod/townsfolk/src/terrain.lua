-- ADAPTER: what a node means to somebody who walks (the classes of pathfind.lua), and doors.

local terrain = {}

local has_doors = core.global_exists("doors") and doors.get ~= nil
local DOOR_TOP = "doors:hidden"
local DOORWAY = 1.1 -- nodes around a door's middle in which one would be caught
local class_of = {} -- node name -> class, as far as the name alone decides

local function group(def, name) return (def.groups and def.groups[name] or 0) > 0 end

local function is_danger(def)
	return (def.damage_per_second or 0) > 0 or group(def, "lava") or group(def, "fire")
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

-- A door with an owner is not a villager's to open.
local function is_free_door(pos)
	local meta = core.get_meta(pos)
	return meta:get_string("owner") == "" and meta:get_string("doors_owner") == ""
end

local function is_door(name) return has_doors and doors.registered_doors[name] ~= nil end

local function door_class(pos) return is_free_door(pos) and "door" or "wall" end

-- The class of the node at x, y, z.
function terrain.class(x, y, z)
	local pos = { x = x, y = y, z = z }
	local name = core.get_node(pos).name
	if is_door(name) then
		return door_class(pos)
	elseif name == DOOR_TOP then
		pos.y = y - 1
		return is_door(core.get_node(pos).name) and door_class(pos) or "wall"
	end
	return by_name(name)
end

-- A fence gate is no door to the doors mod: each of its two nodes names the other as `_gate`.
-- Swings the gate at `pos` if it is one and stands as said; true if it did.
local function swing_gate(pos, is_open)
	local node = core.get_node(pos)
	local def = core.registered_nodes[node.name]
	if not def or not def._gate or def.walkable == is_open then
		return false
	end
	core.swap_node(pos, { name = def._gate, param2 = node.param2 })
	return true
end

-- The closed door or gate at `pos` is opened; true where there was one that a villager may open.
function terrain.open_door(pos)
	if is_door(core.get_node(pos).name) then
		return is_free_door(pos) and doors.get(pos):open() ~= false
	end
	return swing_gate(pos, false)
end

local function is_occupied(pos) return #core.get_objects_inside_radius(pos, DOORWAY) > 0 end

-- Left open while somebody stands in it.
function terrain.close_door(pos)
	if is_occupied(pos) then
		return
	elseif is_door(core.get_node(pos).name) then
		doors.get(pos):close()
	else
		swing_gate(pos, true)
	end
end

return terrain
