-- ADAPTER: actions that walk: move_north/south/east/west, goto, follow, wander, flee.
local tf = ...

local register = tf.actions.register

local FEW_STEPS = 4
local FOLLOW_FROM, FOLLOW_TO, FOLLOW_RUN, FOLLOW_LOST = 3.5, 2, 8, 60
local FOLLOW_TRIES = 8
local WANDER_MIN, WANDER_MAX, WANDER_TRIES, HOME_RANGE = 3, 7, 5, 24
local FLEE_DISTANCE = 12
local GRUDGE_SECONDS = 30

local function register_move(direction)
	register("move_" .. direction, {
		description = ("Walk a few steps %s."):format(direction),
		phrases = {
			"go " .. direction,
			"walk " .. direction,
			("move to the %s"):format(direction),
			("take a few steps %s"):format(direction),
			("head %s a little"):format(direction),
			direction .. ", please",
		},
		run = function(v)
			local feet = tf.geometry.feet(tf.body.pos(v))
			local goal = tf.geometry.moved(feet, tf.geometry.STEPS[direction], FEW_STEPS)
			return tf.tasks.walk(v, goal, { best = true })
		end,
	})
end

for _, direction in ipairs({ "north", "south", "east", "west" }) do
	register_move(direction)
end

register("goto", {
	description = "Walk to your home, to a thing or to somebody near.",
	args = { { name = "place", kind = "place" } },
	phrases = {
		"go home",
		"go to the {node}",
		"walk to the {node}",
		"walk over to {player}",
		"come here",
		"come to me",
		"go over to the {node}",
		"run to the {node}",
		"meet me at the {node}",
	},
	run = function(v, args)
		return tf.tasks.near(v, args[1], 2, function() return true end)
	end,
})

register("follow", {
	description = "Follow a player until told to stop.",
	args = { { name = "whom", kind = "player" } },
	lasting = true,
	phrases = {
		"follow me",
		"come with me",
		"come along",
		"walk with me",
		"stay close to me",
		"keep up with me",
		"let's go together",
		"follow {player}",
	},
	run = function(v, args)
		local target, failures, rest = args[1], 0, 0
		local function goal() return tf.targets.pos(target) end
		local function arrived(ok)
			failures, rest = ok and 0 or failures + 1, 0.5
		end
		return {
			step = function(dtime)
				local pos = goal()
				local distance = pos and tf.geometry.distance(tf.body.pos(v), pos)
				if not pos or distance > FOLLOW_LOST or failures > FOLLOW_TRIES then
					return false, "lost " .. target.name
				end
				rest = rest - dtime
				if not v.walk and rest <= 0 and distance > FOLLOW_FROM then
					tf.walk.to(v, goal, { within = FOLLOW_TO, run = distance > FOLLOW_RUN }, arrived)
				end
			end,
		}
	end,
})

-- The feet's cell so far from `pos` in that direction.
local function ahead(pos, angle, length)
	return tf.geometry.feet(
		vector.new(pos.x + math.sin(angle) * length, pos.y, pos.z + math.cos(angle) * length)
	)
end

-- Somewhere near that is not inside a wall; back towards home where it is far away.
local function stroll_goal(v)
	local pos, home, goal = tf.body.pos(v), v.home, nil
	if tf.geometry.sideways(pos, home) > HOME_RANGE then
		return ahead(pos, math.atan2(home.x - pos.x, home.z - pos.z), WANDER_MAX)
	end
	for _ = 1, WANDER_TRIES do
		goal = ahead(pos, math.random() * 2 * math.pi, WANDER_MIN + math.random() * (WANDER_MAX - WANDER_MIN))
		if tf.terrain.class(v, goal.x, goal.y, goal.z) == "open" then
			break
		end
	end
	return goal
end

register("wander", {
	description = "Stroll a little way, anywhere.",
	phrases = {
		"take a walk",
		"walk around a bit",
		"go for a stroll",
		"explore a little",
		"look around the village",
		"wander around",
		"go play outside",
	},
	run = function(v) return tf.tasks.walk(v, stroll_goal(v), { best = true, within = 1.5 }) end,
})

-- Where who hurt it lately is, else a hostile mob near; nil: nobody.
local function threat(v)
	local lately = v.hurt_at and core.get_us_time() / 1e6 - v.hurt_at < GRUDGE_SECONDS
	local hurt_by = lately and v.hurt_by and v.hurt_by:get_pos()
	if hurt_by then
		return hurt_by
	end
	for _, object in ipairs(core.get_objects_inside_radius(tf.body.pos(v), tf.settings.sight)) do
		if tf.targets.is_hostile(object) then
			return object:get_pos()
		end
	end
	return nil
end

register("flee", {
	description = "Run away from whoever hurt you or from a monster.",
	phrases = {
		"run",
		"run away",
		"flee",
		"get out of here",
		"save yourself",
		"watch out, a monster",
		"hide",
		"get to safety",
	},
	check = function(v) return threat(v) ~= nil, "there is nothing to flee from" end,
	run = function(v)
		local pos = tf.body.pos(v)
		local goal = tf.geometry.feet(tf.geometry.away(pos, threat(v), FLEE_DISTANCE))
		return tf.tasks.walk(v, goal, { best = true, run = true, within = 2 })
	end,
})
