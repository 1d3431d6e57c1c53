-- ADAPTER: what happens in the game becomes events of the villagers who would notice it.
local tf = ...

local events = {}

local NEAR, GONE = 10, 16 -- nodes at which a player has come, and has left
local LOOK_SECONDS = 1
local BY_NODE = 10

local near = {} -- villager id -> set of player names
local guard = tf.hearing.guard(tf.settings.villager_talk)

local now = tf.clock

-- Adds an event {kind, who, text, name, count, private} to what `v` tells next.
function events.add(v, event)
	event.at = now()
	event.who, event.name = tf.text.name(event.who), tf.text.name(event.name)
	event.text = event.text and tf.text.clean(event.text)
	tf.minds:add(v.id, event, event.at)
end

local function eyes(player)
	local pos = player:get_pos()
	return { x = pos.x, y = pos.y + (player:get_properties().eye_height or 1.5), z = pos.z }
end

-- `player` as hearing.lua wants a speaker.
function events.speaker(player)
	return {
		pos = eyes(player),
		look = player:get_look_dir(),
		last = tf.talk.last_talk(player:get_player_name()),
	}
end

-- All villagers there are now, as hearing.lua wants them.
function events.ears()
	local ears = {}
	for i, v in ipairs(tf.villagers.all()) do
		ears[i] = { id = v.id, name = v.name, pos = tf.body.eyes(v), villager = v }
	end
	return ears
end

-- `player` says `line` to `v`, who is to answer; `private`: to the player alone.
function events.speak_to(player, v, line, private)
	local name = player:get_player_name()
	guard:player_spoke()
	tf.talk.note(name, v)
	tf.witness.spoken_to(v, name)
	if tf.villagers.is_frozen(v) then
		tf.script.no_words(v, name)
		return
	end
	events.add(v, { kind = "spoken_to", who = name, text = line, private = private or nil })
	tf.script.spoken_to(v, name)
end

local function hear(player, line)
	local speaker, ears = events.speaker(player), events.ears()
	local range, addressed = tf.settings.hearing, {}
	for _, ear in ipairs(tf.hearing.addressees(line, speaker, ears, range, now())) do
		addressed[ear.id] = true
		events.speak_to(player, ear.villager, line)
	end
	for _, ear in ipairs(tf.hearing.listeners(speaker, ears, range)) do
		if not addressed[ear.id] then
			events.add(ear.villager, { kind = "heard", who = player:get_player_name(), text = line })
		end
	end
end

core.register_on_chat_message(function(name, message)
	local player = core.get_player_by_name(name)
	local line = tf.text.clean(message)
	if
		player
		and line ~= ""
		and line:sub(1, 1) ~= "/"
		and core.check_player_privs(name, { shout = true })
	then
		hear(player, line)
	end
end)

-- A villager said `line` aloud. Others hear it only as far as a setting lets them.
function events.villager_said(v, line)
	if not guard:villager_spoke() then
		return
	end
	local speaker = { pos = tf.body.eyes(v) }
	for _, ear in ipairs(tf.hearing.listeners(speaker, events.ears(), tf.settings.hearing)) do
		if ear.id ~= v.id then
			events.add(ear.villager, { kind = "heard", who = v.name, text = line })
		end
	end
end

local function seen_at(pos, event)
	for _, v in ipairs(tf.villagers.all()) do
		if tf.geometry.distance(tf.body.pos(v), pos) <= BY_NODE then
			events.add(v, table.copy(event))
		end
	end
end

core.register_on_placenode(function(pos, node, placer)
	if placer and placer:is_player() then
		seen_at(pos, { kind = "placed", who = placer:get_player_name(), name = node.name })
	end
end)

core.register_on_dignode(function(pos, node, digger)
	if digger and digger:is_player() then
		seen_at(pos, { kind = "dug", who = digger:get_player_name(), name = node.name })
	end
end)

local function name_of(object)
	local _, name
	if object then
		_, name = tf.targets.describe(object)
	end
	return name
end

tf.body.on_punch(function(v, puncher, damage)
	local count = math.max(0, math.min(65535, math.floor(damage or 0)))
	events.add(v, { kind = "punched", who = name_of(puncher), count = count })
	tf.script.hurt(v, puncher)
end)

tf.body.on_gift(
	function(v, player, item, count)
		events.add(v, { kind = "gift", who = player:get_player_name(), name = item, count = count })
	end
)

tf.execute.on_outcome(function(v, ctx, tag, verdict, reason, rule)
	if ctx.turn_id then
		tf.link.outcome(v.id, ctx.turn_id, tag, verdict, reason, rule)
		local told = verdict == "done" and tag or ("%s: %s"):format(tag, reason or verdict)
		events.add(v, { kind = verdict == "done" and "arrived" or "failed", text = told })
	end
end)

local function look_for_players(v, players)
	local pos, before, after = tf.body.pos(v), near[v.id] or {}, {}
	for name, at in pairs(players) do
		local far = tf.geometry.distance(pos, at)
		after[name] = far <= (before[name] and GONE or NEAR) or nil
		if after[name] and not before[name] then
			events.add(v, { kind = "joined", who = name })
		end
	end
	for name in pairs(before) do
		if not after[name] then
			events.add(v, { kind = "left", who = name })
		end
	end
	near[v.id] = after
end

local function look_round()
	local players = {}
	for _, player in ipairs(core.get_connected_players()) do
		players[player:get_player_name()] = player:get_pos()
	end
	for _, v in ipairs(tf.villagers.all()) do
		look_for_players(v, players)
	end
	core.after(LOOK_SECONDS, look_round)
end

core.after(LOOK_SECONDS, look_round)

tf.villagers.on_deactivate(function(v)
	near[v.id] = nil
	tf.minds:forget(v.id)
	tf.observe.forget(v)
end)

return events
