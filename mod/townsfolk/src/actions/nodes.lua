-- ADAPTER: actions that change the world's nodes: dig, place. How it is done is building.lua's.
local tf = ...

local register = tf.actions.register

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
		local reason = tf.building.dig_fault(v, args[1].name, args[1].pos)
		return reason == nil, reason
	end,
	run = function(v, args) return tf.building.dig_task(v, args[1].name, args[1].pos) end,
})

local function is_spot(v, pos)
	local def = core.registered_nodes[core.get_node(pos).name]
	return def
		and def.buildable_to
		and def.liquidtype == "none"
		and tf.building.is_support(vector.offset(pos, 0, -1, 0))
		and not tf.building.is_occupied(pos)
		and not tf.building.is_protected(v, pos, "place")
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
			local ground = vector.offset(pos, 0, -1, 0)
			if not tf.building.is_support(ground) or tf.building.is_protected(v, pos, "place") then
				return false, "the spot has changed"
			elseif tf.hands.count(v, args[1].name) == 0 then
				return false, ("%s carries no %s"):format(v.name, args[1].name)
			end
			return tf.building.place(v, args[1].name, pos, ground)
		end)
	end,
})
