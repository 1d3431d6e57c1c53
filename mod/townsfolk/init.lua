-- Townsfolk: villagers with a mind of their own. This file is the table of contents: it takes the
-- HTTP handle, which the engine gives to this file alone, and loads src/ in order. Each file's first
-- line says PURE (no engine call, tested by spec/) or ADAPTER.

local path = core.get_modpath(core.get_current_modname())

-- What the files share; other mods see `townsfolk` only (API.md).
local tf = {version = "0.1.0", http = core.request_http_api()}

local function load(name)
	return assert(loadfile(("%s/src/%s.lua"):format(path, name)))(tf)
end

-- What needs no engine
tf.geometry = load("geometry")
tf.tag = load("tag")
tf.rate = load("rate")
tf.claims = load("claims")
tf.pathfind = load("pathfind")
tf.registry = load("registry").new()

-- The body: who they are, what they look like, how they move
tf.settings = load("settings")
tf.look = load("look")
tf.terrain = load("terrain")
tf.body = load("body")
tf.villagers = load("villagers")
tf.hands = load("hands")
tf.walk = load("walk")

-- The deeds: what an action's words mean, the checks, the actions themselves
tf.targets = load("targets")
tf.execute = load("execute")
tf.tasks = load("tasks")
tf.actions = load("actions")
for _, name in ipairs({"social", "move", "items", "nodes", "fight"}) do
	load("actions/" .. name)
end

townsfolk = load("api")
