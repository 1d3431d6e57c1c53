-- PURE: the actions villagers can do, by name. What is registered wrongly is refused loudly, when
-- the game loads; what is asked for wrongly is refused with a reason, when it runs.

local registry = {}
registry.__index = registry

local MAX_ACTIONS, MAX_ARGS, MAX_PHRASES, MAX_CHOICES, MAX_TEXT = 128, 4, 16, 32, 500
local MAX_INT, MAX_NAME = 1000000, 64
local NAME = "^[%w_.:-]+$"
local IDENTIFIER = "^%l[%l%d_]*$"

-- The kinds of arguments (`ArgKind` of the service); all but the last three name something near.
registry.KINDS = {
	"player",
	"creature",
	"mob",
	"dropped",
	"carried",
	"node",
	"place",
	"int",
	"text",
	"choice",
}

local IS_KIND = {}
for _, kind in ipairs(registry.KINDS) do
	IS_KIND[kind] = true
end

local FIELDS = {
	description = "string",
	args = "table",
	phrases = "table",
	hostile = "boolean",
	lasting = "boolean",
	exclusive = "boolean",
	cooldown = "number",
	check = "function",
	run = "function",
}

local function need(ok, name, text, ...)
	if not ok then
		error(("townsfolk.register_action(%q): "):format(tostring(name)) .. text:format(...), 0)
	end
end

local function check_fields(name, def)
	for field, value in pairs(def) do
		local wanted = FIELDS[field]
		need(wanted, name, "no field is called %q; see API.md", tostring(field))
		need(type(value) == wanted, name, "%s is a %s, must be a %s", field, type(value), wanted)
	end
	need(def.run, name, "run is missing: give a function(villager, args)")
	need(#(def.description or "") <= MAX_TEXT, name, "description is longer than %d", MAX_TEXT)
	need((def.cooldown or 0) >= 0, name, "cooldown is negative")
end

local function check_phrases(name, phrases)
	need(#phrases <= MAX_PHRASES, name, "%d phrases, at most %d", #phrases, MAX_PHRASES)
	for i, phrase in ipairs(phrases) do
		need(type(phrase) == "string" and #phrase <= MAX_TEXT, name, "phrases[%d] must be a short text", i)
	end
end

local function check_choices(name, arg)
	need(type(arg.choices) == "table" and #arg.choices > 0, name, "%s needs choices", arg.name)
	need(#arg.choices <= MAX_CHOICES, name, "%s has over %d choices", arg.name, MAX_CHOICES)
	for _, choice in ipairs(arg.choices) do
		need(
			type(choice) == "string" and #choice <= MAX_NAME and choice:find(NAME),
			name,
			"choice %q is not one word",
			tostring(choice)
		)
	end
end

local function is_whole(number)
	return type(number) == "number" and number % 1 == 0 and math.abs(number) <= MAX_INT
end

local function check_range(name, arg)
	local min, max = arg.min or 0, arg.max or 99
	need(is_whole(min) and is_whole(max), name, "%s: min and max must be whole, up to %d", arg.name, MAX_INT)
	need(min <= max, name, "%s has min over max", arg.name)
end

local function check_arg(name, i, arg)
	need(
		type(arg) == "table"
			and type(arg.name) == "string"
			and #arg.name <= MAX_NAME
			and arg.name:find(IDENTIFIER),
		name,
		"args[%d] needs a name in lower case",
		i
	)
	need(
		IS_KIND[arg.kind],
		name,
		"%s has kind %q, must be one of: %s",
		arg.name,
		tostring(arg.kind),
		table.concat(registry.KINDS, ", ")
	)
	if arg.kind == "int" then
		check_range(name, arg)
	elseif arg.kind == "text" then
		local length = arg.max_length or 120
		need(length >= 1 and length <= MAX_TEXT, name, "%s: max_length must be 1 to %d", arg.name, MAX_TEXT)
	elseif arg.kind == "choice" then
		check_choices(name, arg)
	end
end

local function check_args(name, args)
	need(#args <= MAX_ARGS, name, "%d args, at most %d", #args, MAX_ARGS)
	for i, arg in ipairs(args) do
		check_arg(name, i, arg)
	end
end

function registry.new() return setmetatable({ defs = {}, count = 0 }, registry) end

-- Adds an action; raises an error that says what is wrong with `def` (fields in API.md).
function registry:register(name, def)
	need(
		type(name) == "string" and #name <= 32 and name:find(IDENTIFIER),
		name,
		"a name is up to 32 lower-case letters, digits and _"
	)
	need(type(def) == "table", name, "the definition must be a table")
	need(not self.defs[name], name, "already registered; townsfolk.unregister_action first to replace it")
	need(self.count < MAX_ACTIONS, name, "%d actions are registered, there is no room for more", MAX_ACTIONS)
	check_fields(name, def)
	check_args(name, def.args or {})
	check_phrases(name, def.phrases or {})
	local copy = { name = name, args = {}, phrases = {} }
	for field, value in pairs(def) do
		copy[field] = value
	end
	self.defs[name], self.count = copy, self.count + 1
end

function registry:unregister(name)
	if self.defs[name] then
		self.defs[name], self.count = nil, self.count - 1
	end
end

function registry:get(name) return self.defs[name] end

local function arg_spec(arg)
	local spec = { name = arg.name, kind = arg.kind }
	if arg.kind == "int" then
		spec.min, spec.max = arg.min or 0, arg.max or 99
	elseif arg.kind == "text" then
		spec.max_length = arg.max_length or 120
	elseif arg.kind == "choice" then
		spec.choices = arg.choices
	end
	return spec
end

-- Empty lists are left out: the engine would write them as null.
local function action_spec(def)
	local spec = { name = def.name, description = def.description, hostile = def.hostile or nil }
	if #def.args > 0 then
		spec.args = {}
		for i, arg in ipairs(def.args) do
			spec.args[i] = arg_spec(arg)
		end
	end
	if #def.phrases > 0 then
		spec.phrases = def.phrases
	end
	return spec
end

-- All actions in the order of their names, as the service wants them (`ActionSpec`).
function registry:specs()
	local specs = {}
	for _, def in pairs(self.defs) do
		specs[#specs + 1] = action_spec(def)
	end
	table.sort(specs, function(a, b) return a.name < b.name end)
	return specs
end

-- Characters, not bytes, of a UTF-8 text.
local function length(text)
	local _, continuations = text:gsub("[\128-\191]", "")
	return #text - continuations
end

local READ = {}

function READ.int(arg, text)
	local number = text:find("^%-?%d+$") and tonumber(text)
	local min, max = arg.min or 0, arg.max or 99
	if not number or number < min or number > max then
		return nil, ("%s must be a whole number from %d to %d, not %q"):format(arg.name, min, max, text)
	end
	return number
end

function READ.text(arg, text)
	local longest = arg.max_length or 120
	if length(text) > longest then
		return nil, ("%s is longer than %d characters"):format(arg.name, longest)
	elseif text:find("%c") then
		return nil, ("%s has control characters"):format(arg.name)
	end
	return text
end

function READ.choice(arg, text)
	for _, choice in ipairs(arg.choices) do
		if choice == text then
			return text
		end
	end
	return nil, ("%s must be one of %s, not %q"):format(arg.name, table.concat(arg.choices, ", "), text)
end

local function read_name(arg, text)
	if #text > MAX_NAME or not text:find(NAME) then
		return nil, ("%s must be one name, not %q"):format(arg.name, text)
	end
	return text
end

-- The arguments as values (int: number, else text); nil and a reason where they do not fit.
function registry:read(name, args)
	local def = self.defs[name]
	if #args ~= #def.args then
		return nil, ("%s takes %d arguments, not %d"):format(name, #def.args, #args)
	end
	local values = {}
	for i, arg in ipairs(def.args) do
		local value, reason = (READ[arg.kind] or read_name)(arg, args[i])
		if value == nil then
			return nil, reason
		end
		values[i] = value
	end
	return values
end

return registry
