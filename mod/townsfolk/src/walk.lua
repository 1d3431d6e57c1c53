-- ADAPTER: walking. Turns a goal into searches (pathfind.lua) and their paths into velocities; opens
-- doors on the way, notices when it is stuck, and always tells how it ended. Far goals are walked in
-- legs: each search looks a limited way, and the next starts where its path ends.
local tf = ...

local walk = {}

local WALK_SPEED, RUN_SPEED = 2.5, 4 -- nodes a second
local REACHED = 0.35 -- nodes from a waypoint; over one step's way at running speed
local STUCK_SECONDS, STUCK_TRIES = 1.5, 3
local HOP_SPEED = 4.5
local SWIM_SPEED = 2
local MAX_LEGS = 12
local GOAL_MOVED = 2 -- nodes that a moving goal may move before the way is searched again
local SEARCH_SECONDS = 0.7 -- at least this long between two searches of one walk
local DOOR_BEHIND = 1.3
local BEST_CELLS = 400 -- as near as can be is not worth a long search

local searching = 0 -- walks that wait for their path; they share the step's budget

local function halt(v)
	if not tf.body.pos(v) then
		return
	end
	local velocity = v.object:get_velocity()
	v.object:set_velocity({ x = 0, y = velocity.y, z = 0 })
	tf.look.animate(v, "stand")
end

local function drop_search(w)
	if w.search then
		w.search, searching = nil, searching - 1
	end
end

-- The walk is over: its `done` hears how. Cleared first, for `done` may start another.
local function finish(v, ok, reason)
	local w = v.walk
	drop_search(w)
	if w.door then
		tf.terrain.close_door(w.door)
	end
	v.walk = nil
	halt(v)
	if w.done then
		w.done(ok, reason)
	end
end

local function goal_of(w)
	if type(w.goal) == "function" then
		return w.goal()
	end
	return w.goal
end

local function start_search(v, goal)
	local w, feet = v.walk, tf.geometry.feet(tf.body.pos(v))
	drop_search(w)
	w.search = tf.pathfind.new(
		function(x, y, z) return tf.terrain.class(v, x, y, z) end,
		feet,
		goal,
		{ within = w.within, max_cells = w.best and BEST_CELLS or nil }
	)
	w.path, w.searched_for, w.search_age = nil, goal, 0
	w.remaining = tf.geometry.distance(feet, goal)
	searching = searching + 1
end

-- Walks `v` to `goal`: a position, or a function that returns it (nil: it is gone). Options:
-- within = 0.9 (nodes from the goal), run = false, best = false (as near as can be is well enough).
-- done(ok, reason) is called once, also when another walk takes over.
function walk.to(v, goal, options, done)
	walk.stop(v, "something else came up")
	options = options or {}
	v.walk = {
		goal = goal,
		within = options.within or 0.9,
		best = options.best,
		done = done,
		speed = options.run and RUN_SPEED or WALK_SPEED,
		tries = 0,
		legs = 0,
	}
	local at = goal_of(v.walk)
	if not at or not tf.body.pos(v) then
		finish(v, false, "it is gone")
	else
		start_search(v, at)
	end
end

function walk.stop(v, reason)
	if v.walk then
		finish(v, false, reason or "stopped")
	end
end

local function follow(w)
	w.path, w.index, w.stuck_for, w.nearest = w.search.path, 1, 0, math.huge
	w.legs = w.legs + 1
	drop_search(w)
end

local function no_way(w)
	return ("there is no way to (%s)"):format(tf.geometry.key(tf.geometry.node(w.searched_for)))
end

-- A partial path is worth walking if it brings the goal nearer.
local function judge_partial(v, w)
	local nearer = w.remaining - w.search.best.remaining
	if nearer >= 1 and w.legs < MAX_LEGS then
		w.complete = w.best
		follow(w)
	else
		finish(v, false, no_way(w))
	end
end

local function search_on(v, w)
	local result = w.search:advance(math.ceil(tf.settings.search_cells / searching))
	if result == "found" then
		w.complete = true
		follow(w)
	elseif result == "partial" then
		judge_partial(v, w)
	elseif result == "none" then
		finish(v, false, no_way(w))
	end
end

local function retry(v, w, pos)
	w.tries = w.tries + 1
	if w.tries > STUCK_TRIES then
		finish(v, false, ("stuck at (%s)"):format(tf.geometry.key(tf.geometry.node(pos))))
		return
	end
	start_search(v, w.searched_for)
end

local function note_progress(w, distance, dtime)
	if distance < w.nearest - 0.1 then
		w.nearest, w.stuck_for = distance, 0
	else
		w.stuck_for = w.stuck_for + dtime
	end
end

local function steer(v, w, pos, cell)
	local velocity = v.object:get_velocity()
	local dx, dz = cell.x - pos.x, cell.z - pos.z
	local scale = w.speed / math.max(0.01, math.sqrt(dx * dx + dz * dz))
	local vy = velocity.y
	if tf.terrain.class(v, cell.x, cell.y, cell.z) == "water" or cell.y - 0.5 > pos.y + 1.1 then
		vy = cell.y > pos.y and SWIM_SPEED or -SWIM_SPEED
	elseif w.stuck_for > STUCK_SECONDS / 2 and vy == 0 then
		vy = HOP_SPEED
	end
	v.object:set_velocity({ x = dx * scale, y = vy, z = dz * scale })
	tf.body.face(v, cell)
	tf.look.animate(v, "walk")
end

-- The door on the way is opened, also one that somebody has closed on us; the one behind is closed.
local function tend_doors(v, w, pos, cell)
	if w.door and tf.geometry.distance(pos, w.door) > DOOR_BEHIND and w.door ~= cell then
		tf.terrain.close_door(w.door)
		w.door = nil
	end
	for _, at in ipairs({ cell, tf.geometry.feet(pos) }) do
		if tf.terrain.open_door(v, at) then
			w.door = at
		end
	end
end

local function arrived_at(pos, cell)
	return tf.geometry.sideways(pos, cell) < REACHED and math.abs(pos.y - cell.y + 0.5) < 1.2
end

local PASSABLE = { open = true, water = true, door = true }

local function go(v, w, dtime)
	local pos, cell = tf.body.pos(v), w.path[w.index]
	while cell and arrived_at(pos, cell) do
		w.index, w.nearest, w.stuck_for = w.index + 1, math.huge, 0
		cell = w.path[w.index]
	end
	if not cell then
		if w.complete then
			finish(v, true)
		else
			start_search(v, w.searched_for)
		end
		return
	end
	local class = tf.terrain.class(v, cell.x, cell.y, cell.z)
	note_progress(w, tf.geometry.distance(pos, cell), dtime)
	if not PASSABLE[class] or w.stuck_for > STUCK_SECONDS then
		retry(v, w, pos)
		return
	end
	tend_doors(v, w, pos, cell)
	steer(v, w, pos, cell)
end

-- True where the goal has moved and the way must be searched again; nil where the walk is over.
local function goal_moved(v, w)
	local goal = goal_of(w)
	if not goal then
		finish(v, false, "it is gone")
		return nil
	end
	if w.search_age > SEARCH_SECONDS and tf.geometry.distance(goal, w.searched_for) > GOAL_MOVED then
		start_search(v, goal)
		return true
	end
	return false
end

-- Called by the body in each of its steps.
function walk.step(v, dtime)
	local w = v.walk
	if not w then
		return
	end
	w.search_age = w.search_age + dtime
	if goal_moved(v, w) ~= nil and v.walk == w then
		if w.search then
			search_on(v, w)
		else
			go(v, w, dtime)
		end
	end
end

-- A body that leaves the world takes its search with it, also one that a walk's end has begun.
function walk.forget(v)
	if v.walk then
		drop_search(v.walk)
		v.walk = nil
	end
end

return walk
