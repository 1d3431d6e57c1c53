-- ADAPTER: a villager repeats what a player demonstrated, from where the player stands: with what it carries, by
-- the rules that hold for its own actions, and for the player too. What stands already is left as it is.
local tf = ...

local replay = {}

local FAR = 32 -- nodes between player and villager
local WAIT_SECONDS = 8 -- for somebody to leave the spot
local ASIDE = 2 -- nodes
local FACED = { facedir = true, ["4dir"] = true, wallmounted = true }
local AROUND = {
	{ x = 0, y = -1, z = 0 },
	{ x = 1, y = 0, z = 0 },
	{ x = -1, y = 0, z = 0 },
	{ x = 0, y = 0, z = 1 },
	{ x = 0, y = 0, z = -1 },
	{ x = 0, y = 1, z = 0 },
}

local function at(pos) return ("(%s)"):format(tf.geometry.key(pos)) end

-- Neither may build there: not the villager, and not the player whose wish it is.
local function protection(run, pos, action)
	if tf.building.is_protected(run.v, pos, action) or core.is_protected(pos, run.player) then
		return at(pos) .. " is protected"
	end
	return nil
end

-- Where to place against: as it was shown, else whatever is there.
local function support(pos, shown)
	if shown and tf.building.is_support(shown) then
		return shown
	end
	for _, step in ipairs(AROUND) do
		local beside = tf.geometry.moved(pos, step, 1)
		if tf.building.is_support(beside) then
			return beside
		end
	end
	return nil
end

local function turn(pos, step)
	local node = core.get_node(pos)
	local def = core.registered_nodes[node.name]
	if step.facing and node.name == step.node and def and FACED[def.paramtype2] then
		core.swap_node(pos, { name = node.name, param1 = node.param1, param2 = step.facing })
	end
end

local function place(run, step, item, pos)
	local there = core.registered_nodes[core.get_node(pos).name]
	local against = support(pos, step.under and tf.recording.absolute(step.under, run.origin))
	local reason = protection(run, pos, "place")
	if reason then
		return false, reason
	elseif not there or not there.buildable_to then
		return false, ("%s is in the way at %s"):format(core.get_node(pos).name, at(pos))
	elseif tf.hands.count(run.v, item) == 0 then
		return false, ("%s has no %s left"):format(run.v.name, item)
	elseif not against then
		return false, ("there is nothing at %s to place it against"):format(at(pos))
	end
	local placed, fault = tf.building.place(run.v, item, pos, against)
	if placed then
		turn(pos, step)
	end
	return placed, fault
end

-- The builder steps out of its own way; others are waited for.
local function step_aside(v, pos)
	if not v.walk and tf.geometry.distance(tf.body.pos(v), pos) < ASIDE then
		tf.walk.to(
			v,
			tf.geometry.feet(tf.geometry.away(tf.body.pos(v), pos, ASIDE)),
			{ best = true, within = 0.5 }
		)
	end
end

-- Each makes the task of one step; nil where there is nothing to be done.
local MAKE = {}

function MAKE.place(run, step, args, pos)
	if core.get_node(pos).name == step.node then
		return nil
	end
	local waited = 0
	return tf.tasks.at_node(run.v, pos, function(dtime)
		if not tf.building.is_occupied(pos) then
			return place(run, step, args[1], pos)
		end
		waited = waited + dtime
		if waited > WAIT_SECONDS then
			return false, ("somebody stands at %s"):format(at(pos))
		end
		step_aside(run.v, pos)
	end)
end

function MAKE.dig(run, step, _, pos)
	local name = core.get_node(pos).name
	local def = core.registered_nodes[name]
	local reason = protection(run, pos, "dig")
	if def and def.buildable_to then
		return nil
	elseif name ~= step.node then
		reason = ("%s is at %s where %s was dug"):format(name, at(pos), step.node)
	end
	reason = reason or tf.building.dig_fault(run.v, name, pos)
	if reason then
		return { step = function() return false, reason end }
	end
	return tf.building.dig_task(run.v, name, pos)
end

-- Out of the inventory what the recipe takes, into it what it gives; false where something is missing.
local function craft(v, step)
	local items, taken = {}, {}
	for i, name in ipairs(step.grid) do
		local stack = name ~= "" and tf.hands.take_out(v, name, 1)[1] or ItemStack("")
		if name ~= "" then
			taken[#taken + 1] = stack
		end
		items[i] = stack
	end
	local made, rest = core.get_craft_result({ method = "normal", width = step.width, items = items })
	local complete = not made.item:is_empty()
	for _, stack in ipairs(complete and rest.items or taken) do
		tf.hands.keep(v, stack)
	end
	for _, stack in ipairs(complete and made.replacements or {}) do
		tf.hands.keep(v, stack)
	end
	if complete then
		tf.hands.keep(v, made.item)
	end
	return complete, "it has not what the recipe takes"
end

function MAKE.craft(run, step)
	return { step = function() return craft(run.v, step) end }
end

function MAKE.say(run, _, args)
	return { step = function() return tf.talk.say(run.v, args[1], { to = run.player }) end }
end

local function move(run, _, _, pos) return tf.tasks.walk(run.v, pos, { best = true, within = 1.5 }) end

for direction in pairs(tf.geometry.STEPS) do
	MAKE["move_" .. direction] = move
end

local function task_of(run, step)
	local name, args = tf.tag.parse(step.action)
	return MAKE[name](run, step, args, tf.recording.absolute(step.place, run.origin))
end

local function tell(run, line) core.chat_send_player(run.player, line) end

local STOPPED = "%s stopped at step %d of %d (%s): %s. Put that right and have it replayed from the same place: "
	.. "what stands is left."

local function give_up(run, reason)
	run.over = true
	tell(run, STOPPED:format(run.v.name, run.index, #run.plan, run.plan[run.index].action, reason))
	return false, reason
end

local function finish(run)
	run.over = true
	tell(run, ("%s is done with %s: %s."):format(run.v.name, run.name, tf.recording.summary(run.plan)))
	return true
end

local function end_step(run)
	if run.task and run.task.stop then
		run.task.stop()
	end
	run.task = nil
end

-- One step of the demonstration at a time, at most one begun in a server step.
local function advance(run, dtime)
	if not run.task then
		run.index = run.index + 1
		if run.index > #run.plan then
			return finish(run)
		end
		run.task = task_of(run, run.plan[run.index])
		return nil
	end
	local ok, reason = run.task.step(dtime)
	if ok == nil then
		return nil
	end
	end_step(run)
	tf.villagers.save(run.v)
	if not ok then
		return give_up(run, reason or "it could not be done")
	end
end

-- Walking is open to all; what changes the world only to a persona that may do it.
local function forbidden(v, plan)
	for _, step in ipairs(plan) do
		local name, args = tf.tag.parse(step.action)
		if (name == "place" or name == "dig" or name == "say") and not tf.execute.is_allowed(v, name) then
			return ("The persona %s may not %s: ask another villager."):format(v.persona, name)
		end
		local _, reason = tf.law.content(name, args)
		if reason then
			return ("The rules forbid it: %s."):format(reason)
		elseif name ~= "say" and args[1] and tf.terrain.is_hazard(args[1]) then
			return ("Villagers do not handle %s: record it without."):format(args[1])
		end
	end
	return nil
end

local function missing(v, plan)
	local lines = {}
	for name, count in pairs(tf.recording.needs(plan, tf.tag)) do
		local short = count - tf.hands.count(v, name)
		if short > 0 then
			lines[#lines + 1] = ("%d %s"):format(short, name)
		end
	end
	table.sort(lines)
	return #lines > 0 and table.concat(lines, ", ") or nil
end

-- Of a plan the steps that are still to be done: a wall that stands in part needs fewer stones.
local function outstanding(plan, origin)
	local left = {}
	for _, step in ipairs(plan) do
		local pos = tf.recording.absolute(step.place, origin)
		if step.action:find("^place ") == nil or core.get_node(pos).name ~= step.node then
			left[#left + 1] = step
		end
	end
	return left
end

local function fault(v, player, plan, origin)
	local pos = tf.body.pos(v)
	if not core.check_player_privs(player, { interact = true }) then
		return "You may not build here: the privilege interact is missing."
	elseif not pos or tf.geometry.distance(pos, origin) > FAR then
		return ("%s is too far away: stand within %d nodes of it."):format(v.name, FAR)
	elseif tf.villagers.is_frozen(v) then
		return ("%s is frozen: /ai freeze %s 0 frees it."):format(v.name, v.name)
	end
	local short = missing(v, outstanding(plan, origin))
	return forbidden(v, plan)
		or short
			and ("%s needs %s more: hold it, sneak and right-click %s."):format(v.name, short, v.name)
end

-- `v` repeats `steps`, which are called `name`, from where `player` stands. True or false, and what the player is to
-- read; how it ended is told in the chat.
function replay.start(v, player, name, steps)
	local origin = tf.geometry.feet(core.get_player_by_name(player):get_pos())
	local plan = tf.recording.plan(steps)
	local reason = fault(v, player, plan, origin)
	if reason then
		return false, reason
	end
	local run = { v = v, player = player, name = name, plan = plan, origin = origin, index = 0 }
	tf.execute.undertake(v, "replay " .. name, {
		step = function(dtime) return advance(run, dtime) end,
		stop = function()
			end_step(run)
			if not run.over then
				tell(run, ("%s was stopped at step %d of %d of %s."):format(v.name, run.index, #plan, name))
			end
		end,
	})
	return true, ("%s begins %s: %s."):format(v.name, name, tf.recording.summary(plan))
end

return replay
