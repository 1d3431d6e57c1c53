-- ADAPTER: tasks that several actions share. A task is {step = function(dtime), stop = function()};
-- step gives nothing (it goes on), true (done) or false and a reason (failed).
local tf = ...

local tasks = {}

-- Walks `v` to `goal` (position or function), then is done. Options as of walk.to.
function tasks.walk(v, goal, options)
	local started, over, ok, reason
	return {
		step = function()
			-- Not before the first step: beginning this task has ended the walk of the last one.
			if not started then
				started = true
				tf.walk.to(v, goal, options, function(...)
					over, ok, reason = true, ...
				end)
			end
			if over then
				return ok, reason
			end
		end,
	}
end

-- Walks `v` to within `within` nodes of `target`, then goes on with the step function `act`.
function tasks.near(v, target, within, act)
	local function goal() return tf.targets.pos(target) end
	local walking, there = tasks.walk(v, goal, { within = within }), false
	return {
		step = function(dtime)
			if not there then
				local ok, reason = walking.step(dtime)
				if not ok then
					return ok, reason
				end
				there = true
			end
			if not goal() then
				return false, target.name .. " is gone"
			end
			return act(dtime)
		end,
	}
end

-- As near(), for a node that must be within reach of the eyes.
function tasks.at_node(v, pos, act)
	local below_eyes = vector.new(pos.x, pos.y - tf.body.EYES, pos.z)
	local walking, there = tasks.walk(v, below_eyes, { within = tf.settings.reach - 0.7 }), false
	return {
		step = function(dtime)
			if not there then
				local ok, reason = walking.step(dtime)
				if not ok then
					return ok, reason
				end
				there = true
				tf.body.face(v, pos)
			end
			if tf.geometry.distance(tf.body.eyes(v), pos) > tf.settings.reach then
				return false, "out of reach"
			end
			return act(dtime)
		end,
		stop = function() tf.look.rest(v) end,
	}
end

return tasks
