-- Townsfolk: villagers with a mind of their own. This file is the table of contents: it takes the
-- HTTP handle, which the engine gives to this file alone, and loads src/ in order. Each file's first
-- line says PURE (no engine call, tested by spec/) or ADAPTER.

local path = core.get_modpath(core.get_current_modname())

-- What the files share; other mods see `townsfolk` only (API.md).
local tf = { version = "0.1.0", http = core.request_http_api() }

local function load(name) return assert(loadfile(("%s/src/%s.lua"):format(path, name)))(tf) end

-- What needs no engine
tf.geometry = load("geometry")
tf.tag = load("tag")
tf.rate = load("rate")
tf.rules = load("rules")
tf.claims = load("claims")
tf.ledger = load("ledger")
tf.pathfind = load("pathfind")
tf.registry = load("registry").new()
tf.text = load("text")
tf.outbox = load("outbox")
tf.post = load("post")
tf.delta = load("delta")
tf.breaker = load("breaker")
tf.hearing = load("hearing")
tf.notable = load("notable")
tf.replies = load("replies")
tf.decisions = load("decisions")
tf.instinct = load("instinct")
tf.engagement = load("engagement")
tf.recording = load("recording")

-- The body: who they are, what they have, what they look like, how they move
tf.settings = load("settings")
tf.clock = load("clock")
tf.look = load("look")
tf.terrain = load("terrain")
tf.body = load("body")
tf.books = load("books")
tf.villagers = load("villagers")
tf.hands = load("hands")
tf.walk = load("walk")

-- The deeds: what an action's words mean, the checks, the actions themselves
tf.targets = load("targets")
tf.law = load("law")
tf.execute = load("execute")
tf.tasks = load("tasks")
tf.building = load("building")
tf.actions = load("actions")
for _, name in ipairs({ "social", "move", "items", "nodes", "fight" }) do
	load("actions/" .. name)
end

-- The mind: what they perceive, the link to the service, and what comes back as speech
tf.minds = load("minds").new(tf.settings.tick_seconds, tf.settings.notable_gap, tf.outbox, tf.delta)
tf.stats = load("stats")
tf.observe = load("observe")
tf.talk = load("talk")
tf.requests = load("requests")
tf.greeting = load("greeting")
tf.mail = load("mail")
tf.link = load("link")
tf.witness = load("witness")
tf.script = load("script")
tf.events = load("events")

-- What players use
tf.rating = load("rating")
load("form")
tf.demos = load("demos")
tf.replay = load("replay")
tf.on_forget = {} -- fn(player name), of other mods
tf.commands = load("commands")
for _, name in ipairs({ "demo", "forget" }) do
	load("commands/" .. name)
end

townsfolk = load("api")
