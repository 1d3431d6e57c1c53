-- ADAPTER: speech reaches players here and nowhere else: to those within hearing, or to one alone.
-- What nobody asked for is limited, so that villagers do not fill the chat.
local tf = ...

local talk = { replies = tf.replies.new(6) }

local MINUTE = 60

local one = tf.rate.new(math.max(1, tf.settings.unasked_per_minute), tf.settings.unasked_per_minute / MINUTE)
local all =
	tf.rate.new(math.max(1, tf.settings.unasked_per_minute_all), tf.settings.unasked_per_minute_all / MINUTE)
local last = {} -- player -> {id, at} of the villager they talked with
local on_reply = {}

local now = tf.clock

-- Remembers that `player` and `v` talk with each other now.
function talk.note(player, v) last[player] = { id = v.id, at = now() } end

function talk.last_talk(player) return last[player] end

-- fn(player name, v, turn_id or nil) after a player got an answer.
function talk.on_reply(fn) table.insert(on_reply, fn) end

local function may_speak_unasked(v)
	if tf.settings.unasked_per_minute <= 0 or tf.settings.unasked_per_minute_all <= 0 then
		return false
	end
	return one:take(v.id, now()) and all:take("all", now())
end

local function hears(player, pos) return tf.geometry.distance(player:get_pos(), pos) <= tf.settings.hearing end

-- Who gets a line: the one it is for, wherever they are, and unless it is private all who stand near.
local function audience(v, options)
	local names, pos = {}, tf.body.pos(v)
	for _, player in ipairs(core.get_connected_players()) do
		local name = player:get_player_name()
		if name == options.to or pos and not options.private and hears(player, pos) then
			names[#names + 1] = name
		end
	end
	return names
end

local function face(v, player_name)
	local player = core.get_player_by_name(player_name)
	if player and tf.body.pos(v) and not v.walk then
		tf.body.face(v, player:get_pos())
	end
end

local function answered(v, line, options)
	talk.note(options.to, v)
	face(v, options.to)
	if options.turn_id then
		talk.replies:add(options.to, options.turn_id, v, line)
	end
	for _, fn in ipairs(on_reply) do
		fn(options.to, v, options.turn_id)
	end
end

-- `v` says `line`. Options: to = name of the player it is for, private = to nobody else,
-- turn_id = of the turn that it is part of. False and the reason where it was not said.
function talk.say(v, line, options)
	options = options or {}
	line = tf.text.clean(line)
	if line == "" then
		return false, "there is nothing to say"
	end
	local rule, reason = tf.law.speech(line)
	if rule then
		tf.link.outcome(v.id, options.turn_id, tf.tag.format("say", { line }), "refused", reason, rule)
		tf.law.broken(v, rule)
		return false, reason
	elseif not options.to and not may_speak_unasked(v) then
		return false, "it has spoken enough unasked"
	end
	for _, name in ipairs(audience(v, options)) do
		core.chat_send_player(name, ("<%s> %s"):format(v.name, line))
	end
	if options.to and core.get_player_by_name(options.to) then
		answered(v, line, options)
	end
	if not options.private and tf.body.pos(v) then
		tf.events.villager_said(v, line)
	end
	return true
end

function talk.forget(player)
	last[player] = nil
	talk.replies:forget(player)
end

core.register_on_leaveplayer(function(player) talk.forget(player:get_player_name()) end)

return talk
