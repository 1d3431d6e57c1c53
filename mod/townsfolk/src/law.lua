-- ADAPTER: the rules of this world, asked for a villager: townsfolk_rules.json in the world's folder, else the
-- mod's own. Whoever breaks a rule that says so is frozen at once.
local tf = ...

local law = {}

local WORLD = core.get_worldpath() .. "/townsfolk_rules.json"
local SHIPPED = core.get_modpath(core.get_current_modname()) .. "/rules.json"

local function read(path)
	local file = io.open(path, "r")
	local text = file and file:read("*a")
	if file then
		file:close()
	end
	return text
end

local function load_rules()
	local rules, fault = tf.rules.new(core.parse_json(read(WORLD) or read(SHIPPED) or ""))
	if fault then
		core.log("error", ("[townsfolk] villagers do nothing, the rules have a fault: %s"):format(fault))
	end
	return rules
end

local rules = load_rules()

-- The place of each argument that has one, the villager's own first.
local function places_of(v, values)
	local places = { tf.body.pos(v) }
	for _, value in ipairs(values) do
		places[#places + 1] = type(value) == "table" and tf.targets.pos(value) or nil
	end
	return places
end

-- Each gives the rule that forbids and its reason, or nothing.

-- The names and texts among the arguments, as they were sent.
function law.content(name, args)
	local def = tf.registry:get(name)
	for i, arg in ipairs(def and def.args or {}) do
		local text = args[i]
		local rule, reason
		if text and arg.kind == "text" then
			rule, reason = rules:text(text)
		elseif text then
			rule, reason = rules:name(name, text)
		end
		if rule then
			return rule, reason
		end
	end
end

function law.speech(line) return rules:speech(line) end

function law.permission(v, name, values) return rules:permission(v.persona, name, places_of(v, values)) end

-- For what is done to one node, wherever the villager stands.
function law.at(v, name, pos) return rules:permission(v.persona, name, { pos }) end

-- Counts it, too.
function law.limit(v, name, values)
	v.spent = v.spent or {}
	return rules:limit(v.persona, name, places_of(v, values), v.spent, os.time())
end

-- `v` proposed what `rule` forbids.
function law.broken(v, rule)
	if rule and rules:freezes(rule) then
		core.log("warning", ("[townsfolk] %s is frozen: it broke the rule %s"):format(v.name, rule))
		tf.villagers.freeze(v, tf.settings.freeze_seconds)
	end
end

return law
