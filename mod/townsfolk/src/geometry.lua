-- PURE: directions, distances and cells. x is east, y is UP, z is north; lengths are nodes.

local geometry = {}

-- Clockwise from north, an eighth of a turn each.
local COMPASS = { "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest" }

-- Nearer than this, sideways, there is no direction to speak of.
local HERE = 1

geometry.STEPS = {
	north = { x = 0, y = 0, z = 1 },
	east = { x = 1, y = 0, z = 0 },
	south = { x = 0, y = 0, z = -1 },
	west = { x = -1, y = 0, z = 0 },
}

function geometry.distance(a, b) return math.sqrt((a.x - b.x) ^ 2 + (a.y - b.y) ^ 2 + (a.z - b.z) ^ 2) end

-- Distance seen from above.
function geometry.sideways(a, b) return math.sqrt((a.x - b.x) ^ 2 + (a.z - b.z) ^ 2) end

-- The compass word from `from` towards `to`: "north" … "northwest", or "here".
function geometry.direction(from, to)
	if geometry.sideways(from, to) < HERE then
		return "here"
	end
	local eighths = math.atan2(to.x - from.x, to.z - from.z) / (math.pi / 4)
	return COMPASS[math.floor(eighths + 0.5) % 8 + 1]
end

-- The yaw, in radians as the engine counts them, of somebody at `from` who faces `to`.
function geometry.yaw(from, to) return math.atan2(from.x - to.x, to.z - from.z) end

-- `pos` moved by `count` steps of `step`.
function geometry.moved(pos, step, count)
	return { x = pos.x + step.x * count, y = pos.y + step.y * count, z = pos.z + step.z * count }
end

-- `pos` moved `distance` nodes sideways, straight away from `threat`.
function geometry.away(pos, threat, distance)
	local length = geometry.sideways(pos, threat)
	if length < 0.01 then
		return geometry.moved(pos, geometry.STEPS.north, distance)
	end
	local scale = distance / length
	return { x = pos.x + (pos.x - threat.x) * scale, y = pos.y, z = pos.z + (pos.z - threat.z) * scale }
end

-- The node whose middle is nearest.
function geometry.node(pos)
	return { x = math.floor(pos.x + 0.5), y = math.floor(pos.y + 0.5), z = math.floor(pos.z + 0.5) }
end

-- The node that holds the feet of a body whose lowest point is `pos`.
function geometry.feet(pos)
	-- A body on full ground is exactly on a node's border, give or take the engine's rounding.
	return geometry.node({ x = pos.x, y = pos.y + 0.1, z = pos.z })
end

-- A text that is the same for equal nodes only.
function geometry.key(pos) return ("%d,%d,%d"):format(pos.x, pos.y, pos.z) end

return geometry
