-- PURE: what the rules file allows. The service judges by the same rules (`townsfolk rules` writes them as JSON)
-- with code of its own, and nothing is taken from it here. Rules with a fault forbid everything.

local rules = {}
rules.__index = rules

local SLOTS = 60 -- parts of a window that are counted: an action weighs on it a sixtieth longer at most
local WINDOWS = { per_minute = 60, per_day = 86400 } -- seconds

local KINDS = {
	control_character = { "%c", "\194[\128-\159]", "\226\128[\168\169]" },
	address = { "[%w_.+-]+@[%w-]+%.%a", "%d+%.%d+%.%d+%.%d+" },
	link = { "%a+://", "www%." },
}

local SHAPES = {
	areas = { from = "corner", to = "corner" },
	permissions = {
		personas = "words",
		areas = "words",
		reason = "text",
		allow = "words",
		deny = "words",
		freeze = "flag",
	},
	limits = {
		personas = "words",
		areas = "words",
		reason = "text",
		actions = "words",
		per_minute = "count",
		per_day = "count",
	},
	names = { patterns = "words", except = "words", reason = "text", freeze = "flag" },
	texts = { begins = "words", holds = "words", kinds = "kinds", reason = "text", freeze = "flag" },
}

local function is_list(value, fits)
	if type(value) ~= "table" or #value == 0 then
		return false
	end
	local count = 0
	for _, one in pairs(value) do
		count = count + 1
		if not fits(one) then
			return false
		end
	end
	return count == #value
end

local IS = {}

function IS.text(value) return type(value) == "string" and value ~= "" end

function IS.flag(value) return type(value) == "boolean" end

function IS.count(value) return type(value) == "number" and value >= 1 and value % 1 == 0 end

function IS.words(value) return is_list(value, IS.text) end

function IS.kinds(value)
	return is_list(value, function(kind) return KINDS[kind] ~= nil end)
end

function IS.corner(value)
	return is_list(value, function(number) return type(number) == "number" end) and #value == 3
end

local function need(ok, text, ...)
	if not ok then
		error(text:format(...), 0)
	end
end

local function check_rule(section, name, rule)
	need(type(name) == "string" and type(rule) == "table", "%s.%s is no rule", section, tostring(name))
	for field, value in pairs(rule) do
		local shape = SHAPES[section][field]
		need(shape, "%s.%s: no field is called %s", section, name, tostring(field))
		need(IS[shape](value), "%s.%s.%s is not of the kind %s", section, name, field, shape)
	end
	need(section == "areas" or rule.reason, "%s.%s has no reason", section, name)
end

local NEEDED = {
	areas = function(rule) return rule.from and rule.to end,
	permissions = function(rule) return (rule.allow == nil) ~= (rule.deny == nil) end,
	limits = function(rule) return rule.actions and (rule.per_minute or rule.per_day) end,
	names = function(rule) return rule.patterns end,
	texts = function(rule) return rule.begins or rule.holds or rule.kinds end,
}

local function check_areas(file, section)
	for name, rule in pairs(file[section] or {}) do
		for _, area in ipairs(rule.areas or {}) do
			need((file.areas or {})[area], "%s.%s names an area that is not there: %s", section, name, area)
		end
	end
end

local function check_file(file)
	need(type(file) == "table" and file.version == 1, "version must be 1")
	need(IS.count(file.max_text), "max_text must be a whole number")
	for section, list in pairs(file) do
		if section ~= "version" and section ~= "max_text" then
			need(SHAPES[section] and type(list) == "table", "no section is called %s", tostring(section))
			for name, rule in pairs(list) do
				check_rule(section, name, rule)
				need(NEEDED[section](rule), "%s.%s does not say what it is about", section, name)
			end
		end
	end
	check_areas(file, "permissions")
	check_areas(file, "limits")
end

-- The rules of a file that was parsed; where it has a fault, rules that forbid everything, and the fault.
function rules.new(file)
	local sound, fault = pcall(check_file, file)
	if not sound then
		return setmetatable({ fault = fault }, rules), fault
	end
	return setmetatable({ file = file }, rules)
end

local function closed(self) return "rules", "the rules file has a fault: " .. self.fault end

local function has(list, word)
	for _, one in ipairs(list or {}) do
		if one == word then
			return true
		end
	end
	return false
end

-- In the order of their names, so that the same rule decides each time.
local function each(list)
	local names = {}
	list = list or {}
	for name in pairs(list) do
		names[#names + 1] = name
	end
	table.sort(names)
	local i = 0
	return function()
		i = i + 1
		return names[i], list[names[i]]
	end
end

local function within(area, pos)
	for i, axis in ipairs({ "x", "y", "z" }) do
		if pos[axis] < area.from[i] or pos[axis] > area.to[i] then
			return false
		end
	end
	return true
end

-- Is the rule for this persona, at one of these places?
local function fits(self, rule, persona, places)
	if rule.personas and not has(rule.personas, persona) then
		return false
	end
	for _, name in ipairs(rule.areas or {}) do
		for _, pos in ipairs(places) do
			if within(self.file.areas[name], pos) then
				return true
			end
		end
	end
	return rule.areas == nil
end

local function is_like(name, pattern)
	local escaped = pattern:lower():gsub("[^%w*]", "%%%0"):gsub("%*", ".*")
	return name:lower():find("^" .. escaped .. "$") ~= nil
end

-- Each check gives the rule that forbids and its reason, or nothing.

function rules:name(action, name)
	if self.fault then
		return closed(self)
	end
	for rule, def in each(self.file.names) do
		for _, pattern in ipairs(has(def.except, action) and {} or def.patterns) do
			if is_like(name, pattern) then
				return rule, ("%s %s: %s"):format(action, name, def.reason)
			end
		end
	end
end

local function breaks(def, text)
	local lower = text:lower()
	for _, begin in ipairs(def.begins or {}) do
		if lower:match("^%s*(.*)"):sub(1, #begin) == begin:lower() then
			return true
		end
	end
	for _, part in ipairs(def.holds or {}) do
		if lower:find(part:lower(), 1, true) then
			return true
		end
	end
	for _, kind in ipairs(def.kinds or {}) do
		for _, pattern in ipairs(KINDS[kind]) do
			if text:find(pattern) then
				return true
			end
		end
	end
	return false
end

function rules:text(text)
	if self.fault then
		return closed(self)
	end
	local _, continuations = text:gsub("[\128-\191]", "")
	if #text - continuations > self.file.max_text then
		return "text_length", ("it is longer than %d characters"):format(self.file.max_text)
	end
	for rule, def in each(self.file.texts) do
		if breaks(def, text) then
			return rule, def.reason
		end
	end
end

-- For a line that is said, in no action: one that begins like a command runs none, and breaks no rule.
function rules:speech(line)
	if line:find("^%s*/") then
		return "speech", 'it begins like a command, with "/"'
	end
	return self:text(line)
end

-- places: all that the action is about, the villager's own first.
function rules:permission(persona, action, places)
	if self.fault then
		return closed(self)
	end
	for rule, def in each(self.file.permissions) do
		local forbids = has(def.deny, action) or def.allow and not has(def.allow, action)
		if forbids and fits(self, def, persona, places) then
			return rule, ("%s: %s"):format(action, def.reason)
		end
	end
end

-- Of `slots` (number -> count) those that still count in the slot `latest`, and their sum. What was done later than
-- that, by a clock that has been put back since, was done just now.
local function recent(slots, latest)
	local kept, sum = {}, 0
	for slot, count in pairs(slots or {}) do
		if slot >= latest - SLOTS then
			slot = math.min(slot, latest)
			kept[slot], sum = (kept[slot] or 0) + count, sum + count
		end
	end
	return kept, sum
end

-- spent: what this villager did lately, a table that is kept with it; `now` in seconds of a clock that goes on
-- while the server is down. What is allowed is counted.
function rules:limit(persona, action, places, spent, now)
	if self.fault then
		return closed(self)
	end
	local counted = {}
	for rule, def in each(self.file.limits) do
		local about = has(def.actions, "*") or has(def.actions, action)
		for window, seconds in pairs(about and fits(self, def, persona, places) and WINDOWS or {}) do
			local key, latest = rule .. " " .. window, math.floor(now * SLOTS / seconds)
			local slots, sum = recent(spent[key], latest)
			spent[key] = def[window] and slots
			if def[window] and sum >= def[window] then
				return rule, ("%s: %s: more than %d %s"):format(action, def.reason, def[window], window)
			end
			counted[key] = def[window] and latest
		end
	end
	for key, slot in pairs(counted) do
		spent[key][slot] = (spent[key][slot] or 0) + 1
	end
end

-- Is a villager frozen for breaking it?
function rules:freezes(rule)
	local file = self.file or {}
	for _, section in ipairs({ "permissions", "names", "texts" }) do
		local def = (file[section] or {})[rule]
		if def then
			return def.freeze == true
		end
	end
	return false
end

return rules
