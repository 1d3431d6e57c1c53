-- ADAPTER: takes over while the service is away, and hands back by itself. What to do is instinct.lua's.
local tf = ...

local script = {}

local THINK_SECONDS = 0.5
local TELL_AGAIN = 15 -- seconds between two excuses to one player
local NO_WORDS = "I can't find words just now."
local AWAY =
	"I can't find words just now, my mind is away. (The service does not answer; villagers go by script.)"

local scripted = false
local memories, hurts = {}, {} -- by villager id
local asked, told = {}, {} -- player -> {id, at} who waits for an answer; player -> time of the last excuse

local now = tf.clock

-- Do villagers go by script now?
function script.active() return scripted end

local function excuse(v, player, line)
	local at = now()
	if told[player] and at - told[player] < TELL_AGAIN then
		return
	end
	told[player] = at
	tf.talk.say(v, line, { to = player, private = true })
end

-- The answer that `player` waits for does not come.
function script.no_words(v, player) excuse(v, player, scripted and AWAY or NO_WORDS) end

-- `player` said something to `v`.
function script.spoken_to(v, player)
	asked[player] = { id = v.id, at = now() }
	if scripted then
		excuse(v, player, AWAY)
	end
end

-- `v` was hurt by `puncher` (an object, or nil).
function script.hurt(v, puncher)
	local from = puncher and puncher:get_pos()
	if from then
		hurts[v.id] = { at = now(), from = from }
	end
end

local function players_near(pos)
	local players = {}
	for _, player in ipairs(core.get_connected_players()) do
		players[#players + 1] = {
			name = player:get_player_name(),
			distance = tf.geometry.distance(pos, player:get_pos()),
		}
	end
	return players
end

local DO = {}

function DO.flee(v, deed)
	tf.execute.stop(v)
	tf.walk.to(v, tf.geometry.away(tf.body.pos(v), deed.from, deed.distance), { run = true, best = true })
end

function DO.greet(v, deed) tf.talk.say(v, deed.line, { to = deed.player }) end

function DO.walk(v, deed) tf.walk.to(v, deed.to, { best = true }) end

local function act(v)
	local pos, at = tf.body.pos(v), now()
	memories[v.id] = memories[v.id] or tf.instinct.new(at)
	local deed = tf.instinct.next(memories[v.id], {
		now = at,
		home = v.home,
		home_distance = tf.geometry.sideways(pos, v.home),
		hurt = hurts[v.id],
		walking = v.walk ~= nil or v.task ~= nil,
		players = players_near(pos),
	}, math.random)
	if deed then
		DO[deed.kind](v, deed)
	end
end

local function tell_those_who_wait()
	for player, waiting in pairs(asked) do
		local v = tf.villagers.get(waiting.id)
		if v and now() - waiting.at < tf.settings.stale_after then
			excuse(v, player, AWAY)
		end
	end
end

local function take_over()
	tf.stats.fallbacks = tf.stats.fallbacks + 1
	core.log(
		"warning",
		("[townsfolk] no answer for %.1f s: villagers go by script"):format(tf.link.silence())
	)
	tell_those_who_wait()
end

local function hand_back()
	core.log("action", "[townsfolk] villagers think again")
	for _, v in ipairs(tf.villagers.all()) do
		if not v.task then
			tf.walk.stop(v)
		end
	end
	tf.link.forget_old()
	memories, hurts, told = {}, {}, {}
end

local function think()
	local away = tf.link.silence() > tf.settings.script_after
	if away ~= scripted then
		scripted = away
		local change = away and take_over or hand_back
		change()
	end
	for _, v in ipairs(tf.villagers.all()) do
		if scripted and not tf.villagers.is_frozen(v) then
			act(v)
		end
	end
	core.after(THINK_SECONDS, think)
end

core.after(THINK_SECONDS, think)

tf.talk.on_reply(function(player) asked[player] = nil end)

core.register_on_leaveplayer(function(player)
	local name = player:get_player_name()
	asked[name], told[name] = nil, nil
end)

return script
