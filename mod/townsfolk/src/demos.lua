-- ADAPTER: records what players demonstrate: each step with what a villager in their place would have seen before
-- it. The steps are kept in the mod's storage, for replay; with what was seen they go to the service (mail.lua).
local tf = ...

local demos = {}

local LOOK_SECONDS = 0.5
local MAX_RECORDING, MAX_KEPT = 8, 16 -- players at once; demonstrations of one player
local BATCH = 8 -- steps told at once
local SAY_CHARACTERS = 200
local NO_VILLAGER = "builder" -- whose demonstration it is where no villager is near
local NAME = "^[%w_-]+$"

local storage = core.get_mod_storage()
local sessions, count = {}, 0 -- player -> what is being recorded

local now = tf.clock

local function key(player, name) return ("demo:%s:%s"):format(player, name) end

-- The steps of a demonstration that `player` recorded; nil where there is none of this name.
function demos.get(player, name)
	local text = storage:get_string(key(player, name))
	return text ~= "" and core.deserialize(text, true) or nil
end

-- Names of all that `player` recorded, sorted.
function demos.names(player)
	local names, prefix = {}, key(player, "")
	for field in pairs(storage:to_table().fields) do
		if field:sub(1, #prefix) == prefix then
			names[#names + 1] = field:sub(#prefix + 1)
		end
	end
	table.sort(names)
	return names
end

-- What a villager is to observe.lua: here the player, at home where the demonstration began.
local function stand_in(session, player)
	return {
		id = "player:" .. session.player,
		object = player,
		inv = player:get_inventory(),
		home = session.recording.origin,
	}
end

local function look(session, at)
	local player = core.get_player_by_name(session.player)
	local self = player and stand_in(session, player)
	if self then
		tf.observe.look(self, at)
		local parts = tf.observe.parts(self, at)
		session.seen = { at = at, time_of_day = core.get_timeofday(), me = parts.me, around = parts.around }
		if session.changed or session.recording:is_at_start(tf.geometry.feet(player:get_pos())) then
			session.before_walk = session.seen
		end
		session.changed = false
	end
end

-- The wire's `Observation` of the moment `seen` before a step; its events say what the villager did last.
local function observation(session, seen)
	local last, events = session.last, {}
	if last then
		events[1] = { kind = "arrived", at = seen.at, text = tf.text.clean(last.action) }
	end
	events[#events + 1] = { kind = "tick", at = seen.at }
	return {
		villager_id = "player:" .. session.player,
		name = session.player,
		persona = session.persona,
		snapshot_time = seen.at,
		time_of_day = seen.time_of_day,
		me = seen.me,
		around = seen.around,
		events = events,
	}
end

local function flush(session)
	if #session.waiting > 0 then
		tf.mail.demonstrate({
			demo_id = session.id,
			name = session.recording.name,
			player = session.player,
			villager_id = session.villager_id,
			steps = session.waiting,
		})
		session.waiting = {}
	end
end

-- `step` was recorded, `seen` being the moment before it: the next one is seen after it.
local function note(session, step, seen)
	table.insert(session.waiting, {
		number = #session.recording.steps - 1,
		action = tf.text.clean(step.action),
		place = step.place,
		observation = observation(session, seen),
	})
	session.last, session.changed = step, true
	if #session.waiting >= BATCH then
		flush(session)
	end
	if session.recording:is_full() then
		local _, told = demos.stop(session.player)
		core.chat_send_player(session.player, "A demonstration has no room for more. " .. told)
	end
end

local function record(player, name, args, pos, detail)
	local session = player and sessions[player]
	if session then
		note(session, session.recording:add(name, args, pos, detail), session.seen)
	end
end

local function nearest_villager(pos)
	local best, best_far = nil, tf.settings.hearing
	for _, v in ipairs(tf.villagers.all()) do
		local far = tf.geometry.distance(pos, tf.body.pos(v))
		if far <= best_far then
			best, best_far = v, far
		end
	end
	return best
end

local function free_name(player)
	local number = 1
	while storage:get_string(key(player, "demo" .. number)) ~= "" do
		number = number + 1
	end
	return "demo" .. number
end

-- Why `player` cannot record `name` now; nil where they can.
local function fault(player, name)
	local names = demos.names(player)
	if sessions[player] then
		return ("You are recording %s: /ai demo stop ends that first."):format(
			sessions[player].recording.name
		)
	elseif #name > 32 or not name:find(NAME) then
		return "A demonstration's name is one word of up to 32 letters, digits, _ and -."
	elseif count >= MAX_RECORDING then
		return ("%d players are recording, more cannot at once: try again in a while."):format(count)
	elseif #names >= MAX_KEPT and not demos.get(player, name) then
		return ("You have %d demonstrations, and no more are kept: record one of them anew. They are: %s"):format(
			#names,
			table.concat(names, ", ")
		)
	end
	return nil
end

-- What `player` (in the world) does from now on is recorded as `name` ("": one is found). True or false, and
-- what the player is to read.
function demos.start(player, name)
	name = name ~= "" and name or free_name(player)
	local reason = fault(player, name)
	if reason then
		return false, reason
	end
	local pos = core.get_player_by_name(player):get_pos()
	local v = nearest_villager(pos)
	local session = {
		id = ("%s:%s"):format(player, core.sha1(player .. name .. os.time()):sub(1, 16)),
		player = player,
		persona = v and v.persona or NO_VILLAGER,
		villager_id = v and v.id,
		recording = tf.recording.new(name, tf.geometry.feet(pos), tf.tag),
		waiting = {},
	}
	sessions[player], count = session, count + 1
	look(session, now())
	local shown_to = v and ("%s watches. "):format(v.name) or ""
	return true,
		(
			"Recording %s: walk, dig, place, craft, talk. %sThe steps also go to the service, for villagers to learn "
			.. "from. /ai demo stop ends it."
		):format(name, shown_to)
end

-- Ends what `player` is recording, and keeps it. True or false, and what the player is to read.
function demos.stop(player)
	local session = sessions[player]
	if not session then
		return false, "You are not recording: /ai demo start [name] begins."
	end
	sessions[player], count = nil, count - 1
	tf.observe.forget({ id = "player:" .. player })
	flush(session)
	local name, steps = session.recording.name, session.recording.steps
	if #steps == 0 then
		return true, ("Nothing was done, so %s is not kept."):format(name)
	end
	storage:set_string(key(player, name), core.serialize(steps))
	return true,
		("Recorded %s: %s. /ai demo replay %s has a villager do it where you stand."):format(
			name,
			tf.recording.summary(steps),
			name
		)
end

-- Nothing of `player` is kept, nor recorded on.
function demos.forget(player)
	if sessions[player] then
		sessions[player], count = nil, count - 1
	end
	for _, name in ipairs(demos.names(player)) do
		storage:set_string(key(player, name), "")
	end
end

-- --- what players do ---

local function name_of(object) return object and object:is_player() and object:get_player_name() or nil end

core.register_on_placenode(function(pos, node, placer, _, stack, pointed)
	local player = name_of(placer)
	if player and sessions[player] then
		local item = stack and not stack:is_empty() and stack:get_name() or node.name
		local under = pointed and pointed.under or vector.offset(pos, 0, -1, 0)
		record(player, "place", { item }, pos, { node = node.name, under = under, facing = node.param2 })
	end
end)

core.register_on_dignode(
	function(pos, node, digger) record(name_of(digger), "dig", { node.name }, pos, { node = node.name }) end
)

core.register_on_craft(function(stack, crafter, grid, inventory)
	local player = name_of(crafter)
	if player and sessions[player] and not stack:is_empty() then
		local names = {}
		for i, ingredient in ipairs(grid) do
			names[i] = ingredient:get_name()
		end
		local detail = { grid = names, width = inventory:get_width("craft") }
		local args = { stack:get_name(), tostring(stack:get_count()) }
		record(player, "craft", args, tf.geometry.feet(crafter:get_pos()), detail)
	end
end)

core.register_on_chat_message(function(player, message)
	local line = tf.text.clean(message, SAY_CHARACTERS):gsub('"', "'")
	local speaker = sessions[player] and core.get_player_by_name(player)
	if speaker and line ~= "" and line:sub(1, 1) ~= "/" then
		record(player, "say", { line }, tf.geometry.feet(speaker:get_pos()))
	end
end)

local function watch(session, at)
	local player = core.get_player_by_name(session.player)
	local step = player and session.recording:walked(tf.geometry.feet(player:get_pos()))
	if step then
		note(session, step, session.before_walk)
	end
	if session.changed or at - session.seen.at >= LOOK_SECONDS then
		look(session, at)
	end
end

core.register_globalstep(function()
	local at = now()
	for _, session in pairs(sessions) do
		watch(session, at)
	end
end)

core.register_on_leaveplayer(function(player)
	if sessions[player:get_player_name()] then
		demos.stop(player:get_player_name())
	end
end)

core.register_on_shutdown(function()
	for player in pairs(table.copy(sessions)) do
		demos.stop(player)
	end
end)

return demos
