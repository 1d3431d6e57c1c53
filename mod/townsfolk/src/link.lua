-- ADAPTER: the link to the service: connects, asks for all villagers that are due in one request,
-- polls while turns are under way, lets the mail go between, and waits longer after each failure.
-- At most one request is under way, so a server step never sends two.
local tf = ...

local link = {}

local HEARTBEAT = 1 -- seconds; how soon a silent end is noticed
local MAX_WAIT_MS = 50
local FIRST_DELAY, LONGEST_DELAY = 0.5, 3
local MAX_OUTCOMES = 256
local MAX_OBSERVATIONS = 64
local ANSWER_OLD = 10 -- seconds after which nobody waits for an answer any more

local breaker = tf.breaker.new(FIRST_DELAY, LONGEST_DELAY)
local outcomes = tf.outbox.new(MAX_OUTCOMES)
local greeted = false -- the service knows this game
local mailed = false -- the last request was mail
local most = MAX_OBSERVATIONS
local pending, not_before, asked_at = 0, 0, 0
local asked_by = {} -- villager id -> the player whose answer is awaited

local now = tf.clock

local answered_at = now()

-- Who waits for this villager's answer is told that it does not come.
local function no_answer(id)
	local v = tf.villagers.get(id)
	if v and asked_by[id] then
		tf.script.no_words(v, asked_by[id])
	end
	asked_by[id] = nil
end

local routes = tf.decisions.new({
	villager = function(id) return tf.villagers.get(id) end,
	say = function(v, line, decision)
		local player = tf.decisions.player(decision)
		asked_by[v.id] = nil
		tf.talk.say(v, line, { to = player, private = decision.private == true, turn_id = decision.turn_id })
	end,
	submit = function(v, action, context)
		asked_by[v.id] = nil
		tf.execute.submit(v, action, context)
	end,
	stale = function(decision, actions)
		tf.stats.stale = tf.stats.stale + 1
		for _, action in ipairs(actions) do
			local tag = tf.tag.format(action.name, action.args)
			core.log("action", ("[townsfolk] %s: %s refused: stale"):format(decision.villager_id, tag))
			link.outcome(decision.villager_id, decision.turn_id, tag, "refused", "stale")
		end
		no_answer(decision.villager_id)
	end,
}, tf.settings.stale_after)

-- Does the service answer?
function link.connected()
	return greeted and breaker.state == "closed" and link.silence() <= tf.settings.script_after
end

-- Seconds since the service last answered.
function link.silence() return now() - answered_at end

-- Tells what became of an action that the service decided.
function link.outcome(villager_id, turn_id, tag, verdict, reason, rule)
	if tf.text.name(turn_id) then
		outcomes:push({
			turn_id = turn_id,
			villager_id = villager_id,
			action = tf.text.clean(tag),
			verdict = verdict,
			reason = reason and tf.text.clean(reason),
			rule = rule,
		})
	end
end

-- Greets the service anew: it gets the actions and personas as they are now.
function link.reconnect() greeted = false end

-- It is there, though it may not have done what was asked.
local function reached()
	if breaker:success() then
		core.log("action", ("[townsfolk] the service at %s is reached again"):format(tf.settings.service_url))
	end
end

local function answered()
	answered_at = now()
	reached()
end

local function failed(reason)
	tf.stats.failures = tf.stats.failures + 1
	pending = 0
	if breaker:failure(now()) then
		core.log(
			"warning",
			("[townsfolk] the service at %s is away: %s"):format(tf.settings.service_url, reason)
		)
	end
end

-- What all requests do alike; true where the request went well.
local function settle(what, value, retry_after_ms)
	if what == "ok" then
		answered()
	elseif what == "unknown" then
		reached()
		greeted = false
	elseif what == "busy" then
		reached()
		not_before = now() + math.max(0.1, (retry_after_ms or 500) / 1000)
	else
		failed(value)
	end
	return what == "ok"
end

-- --- connecting ---

local function welcomed(reply)
	greeted = true
	most = math.max(1, math.min(MAX_OBSERVATIONS, tonumber(reply.max_observations) or MAX_OBSERVATIONS))
	tf.minds:reset()
	core.log(
		"action",
		("[townsfolk] connected to the service %s at %s"):format(
			tostring(reply.service_version),
			tf.settings.service_url
		)
	)
	local default
	for _, entry in ipairs(type(reply.allowed) == "table" and reply.allowed or {}) do
		if type(entry) == "table" and type(entry.persona) == "string" and type(entry.actions) == "table" then
			tf.execute.allow(entry.persona, entry.actions)
			default = entry.persona == reply.default_persona and entry.actions or default
		end
	end
	for _, persona in ipairs(type(reply.unknown_personas) == "table" and reply.unknown_personas or {}) do
		core.log(
			"warning",
			("[townsfolk] the service has no persona %s; %s answers for it"):format(
				tostring(persona),
				tostring(reply.default_persona)
			)
		)
		tf.execute.allow(persona, default)
	end
end

local function connect()
	tf.requests.post("/v1/games", tf.greeting.message(), function(what, value, retry_after_ms)
		if settle(what, value, retry_after_ms) then
			welcomed(value)
		end
	end)
end

-- --- steps ---

local function active_ids(at)
	local ids = {}
	for _, v in ipairs(tf.villagers.all()) do
		if not tf.villagers.is_frozen(v) then
			tf.minds:engage(v.id, tf.execute.is_engaged(v), at)
			ids[#ids + 1] = v.id
		end
	end
	return ids
end

-- The wire's `Observation` of one mind that is due, and the events in it.
local function observation(mind, at)
	local v = tf.villagers.get(mind.id)
	local events = tf.minds:take(mind.id, at)
	local changed = mind.delta:changed(tf.observe.parts(v, at))
	for _, event in ipairs(events) do
		if event.kind == "spoken_to" then
			asked_by[v.id] = event.who
		end
	end
	return {
		villager_id = v.id,
		name = v.name,
		persona = v.persona,
		snapshot_time = at,
		time_of_day = core.get_timeofday(),
		me = changed.me,
		around = changed.around,
		events = events,
	}
end

-- What the service did not take is told again, where it was only busy; else nobody waits for it. Whom it froze
-- stands still here, too.
local function take_refusal(refused, mine)
	local v = tf.villagers.get(refused.villager_id)
	if v and refused.code == "frozen" then
		tf.villagers.freeze(v, math.max(0, (tonumber(refused.retry_after_ms) or 0) / 1000))
	end
	if mine and refused.code == "busy" then
		local wait = math.max(0.5, (tonumber(refused.retry_after_ms) or 0) / 1000)
		tf.minds:give_back(refused.villager_id, mine.events, now() + wait)
	else
		tf.minds:give_back(refused.villager_id, {}, 0)
		no_answer(refused.villager_id)
	end
end

local function take_refusals(reply, sent)
	for _, refused in ipairs(type(reply.refused) == "table" and reply.refused or {}) do
		local id = type(refused) == "table" and refused.villager_id
		if type(id) == "string" then
			take_refusal(refused, sent[id])
			sent[id] = nil
		end
	end
end

local function take_reply(reply, sent)
	pending = tonumber(reply.pending) or 0
	take_refusals(reply, sent)
	for _, mine in pairs(sent) do
		mine.mind.delta:acknowledge()
	end
	tf.stats.decisions = tf.stats.decisions + (type(reply.decisions) == "table" and #reply.decisions or 0)
	routes:route(reply, now())
end

local function take_back(sent, told)
	for id, mine in pairs(sent) do
		tf.minds:give_back(id, mine.events, 0)
	end
	outcomes:give_back(told)
end

local function collect(due, at)
	local observations, sent = {}, {}
	for i, mind in ipairs(due) do
		observations[i] = observation(mind, at)
		sent[mind.id] = { mind = mind, events = observations[i].events }
	end
	return observations, sent
end

local function filled(list) return #list > 0 and list or nil end

local function send_step(due, at)
	local observations, sent = collect(due, at)
	local told = outcomes:take(MAX_OUTCOMES)
	asked_at = at
	tf.requests.post("/v1/step", {
		game_id = tf.greeting.game_id(),
		observations = filled(observations),
		outcomes = filled(told),
		max_wait_ms = MAX_WAIT_MS,
	}, function(what, value, retry_after_ms)
		if settle(what, value, retry_after_ms) then
			take_reply(value, sent)
		elseif what ~= "rejected" then
			take_back(sent, told)
		else
			core.log("error", "[townsfolk] the service did not take a step: " .. value)
			tf.minds:reset()
			for id in pairs(sent) do
				no_answer(id)
			end
		end
	end)
end

local function step_if_due(at)
	local due = tf.minds:due(active_ids(at), most, at)
	local probing = breaker.state ~= "closed"
	if #due > 0 or outcomes:count() > 0 or pending > 0 or probing or at - asked_at >= HEARTBEAT then
		send_step(due, at)
	end
end

core.register_globalstep(function()
	local at = now()
	if not tf.requests.ready() or at < not_before or not breaker:allows(at) then
		return
	elseif not greeted then
		connect()
	elseif not mailed and tf.mail.send(at, settle) then
		mailed = true
	else
		-- A step after each piece of mail: who rates without end must not keep the villagers from thinking.
		mailed = false
		step_if_due(at)
	end
end)

-- What is registered while the game runs can be decided on at once.
tf.actions.on_change(link.reconnect)

-- What was said during an outage is not answered after it.
function link.forget_old() tf.minds:expire(ANSWER_OLD, now()) end

return link
