-- ADAPTER: actions that hurt, and only mobs: attack, guard. Players, villagers and tamed animals
-- are never struck.
local tf = ...

local register = tf.actions.register
local STRIKE_DISTANCE, STRIKE_SECONDS = 2.2, 1
local GUARD_RADIUS, GUARD_POST, LOOK_SECONDS = 8, 3, 1

local function best_weapon(v)
	local best, best_damage = ItemStack(""), 0
	for _, stack in ipairs(v.inv:get_list("main")) do
		local damage = (stack:get_tool_capabilities().damage_groups or {}).fleshy or 0
		if core.registered_tools[stack:get_name()] and damage > best_damage then
			best, best_damage = stack, damage
		end
	end
	return best
end

local function strike(v, object)
	local dir = vector.direction(tf.body.pos(v), object:get_pos())
	tf.look.animate(v, "mine")
	tf.hands.guarded(
		v,
		"strike",
		object.punch,
		object,
		v.object,
		STRIKE_SECONDS,
		best_weapon(v):get_tool_capabilities(),
		dir
	)
end

local function belongs_to_somebody(object)
	local entity = object:get_luaentity()
	return entity.tamed or (entity.owner or "") ~= ""
end

-- A step function that chases `target` and strikes it; gives true once it is gone.
local function fight(v, target)
	local rest, unreachable = 0, nil
	local function goal() return tf.targets.pos(target) end
	return function(dtime)
		local pos = goal()
		if not pos or target.object:get_hp() <= 0 then
			return true
		elseif unreachable then
			return false, unreachable
		end
		rest = rest - dtime
		if tf.geometry.distance(tf.body.pos(v), pos) > STRIKE_DISTANCE then
			if not v.walk then
				tf.walk.to(
					v,
					goal,
					{ within = STRIKE_DISTANCE - 0.7, run = true },
					function(ok, reason) unreachable = not ok and reason or nil end
				)
			end
		elseif rest <= 0 then
			rest = STRIKE_SECONDS
			tf.body.face(v, pos)
			strike(v, target.object)
		end
	end
end

register("attack", {
	description = "Fight a mob near.",
	args = { { name = "mob", kind = "mob" } },
	hostile = true,
	phrases = {
		"attack the monster",
		"kill it",
		"fight that monster",
		"help me fight",
		"get that zombie",
		"defend us",
		"strike it down",
	},
	check = function(_, args)
		return not belongs_to_somebody(args[1].object), args[1].name .. " belongs to somebody"
	end,
	run = function(v, args)
		return { step = fight(v, args[1]), stop = function() tf.look.rest(v) end }
	end,
})

local function intruder(pos)
	for _, object in ipairs(core.get_objects_inside_radius(pos, GUARD_RADIUS)) do
		if tf.targets.is_hostile(object) and not belongs_to_somebody(object) then
			return { kind = "mob", name = object:get_luaentity().name, object = object }
		end
	end
	return nil
end

local function back_to_post(v, goal)
	if not v.walk and tf.geometry.distance(tf.body.pos(v), goal()) > GUARD_POST then
		tf.walk.to(v, goal, { within = GUARD_POST - 1 })
	end
end

register("guard", {
	description = "Stay at a place and keep hostile mobs away from it.",
	args = { { name = "place", kind = "place" } },
	lasting = true,
	phrases = {
		"guard this place",
		"protect me",
		"keep watch",
		"stand guard here",
		"guard the {node}",
		"watch over the {node}",
		"guard home",
		"protect {player}",
	},
	run = function(v, args)
		local fighting, look_in = nil, 0
		local function goal() return tf.targets.pos(args[1]) end
		return {
			step = function(dtime)
				if not goal() then
					return false, args[1].name .. " is gone"
				end
				look_in = look_in - dtime
				if fighting then
					-- Won or not to be reached: back to watching.
					fighting = fighting(dtime) == nil and fighting or nil
				elseif look_in <= 0 then
					look_in = LOOK_SECONDS
					local mob = intruder(goal())
					fighting = mob and fight(v, mob)
					back_to_post(v, goal)
				end
			end,
			stop = function() tf.look.rest(v) end,
		}
	end,
})
