-- PURE: whom a line of chat is meant for, and when villagers have talked among themselves enough.

local hearing = {}

-- Somebody within this angle of the middle of the view is looked at: cos(20°).
local LOOKED_AT = 0.94
-- Seconds for which a talk goes on without a name.
local TALK_LASTS = 20

local function words(line) return " " .. line:lower():gsub("[%p%s]+", " ") .. " " end

-- Is `name` in `line`, as a word of its own, whatever its case?
function hearing.names(line, name)
	return words(line):find(words(name):gsub("^ +", " "):gsub(" +$", " "), 1, true) ~= nil
end

local function distance(a, b) return math.sqrt((a.x - b.x) ^ 2 + (a.y - b.y) ^ 2 + (a.z - b.z) ^ 2) end

-- The cosine of the angle between where the speaker looks and where `pos` is.
local function facing(speaker, pos)
	local far = distance(speaker.pos, pos)
	if far < 0.01 then
		return 1
	end
	local look = speaker.look
	local dot = look.x * (pos.x - speaker.pos.x)
		+ look.y * (pos.y - speaker.pos.y)
		+ look.z * (pos.z - speaker.pos.z)
	return dot / far
end

local function within(speaker, villagers, range)
	local near = {}
	for _, villager in ipairs(villagers) do
		local far = distance(speaker.pos, villager.pos)
		if far <= range then
			near[#near + 1] = { villager = villager, distance = far }
		end
	end
	table.sort(near, function(a, b) return a.distance < b.distance end)
	return near
end

-- The villagers within earshot, nearest first.
function hearing.listeners(speaker, villagers, range)
	local listeners = {}
	for i, one in ipairs(within(speaker, villagers, range)) do
		listeners[i] = one.villager
	end
	return listeners
end

-- Those whom `speaker` means with `line`: all that are named; else the nearest looked at; else the
-- one talked with just now; else nobody.
--
-- line      text
-- speaker   {pos = of the eyes, look = unit vector, last = {id, at} of the last talk or nil}
-- villagers list of {id, name, pos}
function hearing.addressees(line, speaker, villagers, range, now)
	local near = hearing.listeners(speaker, villagers, range)
	local named = {}
	for _, villager in ipairs(near) do
		if hearing.names(line, villager.name) then
			named[#named + 1] = villager
		end
	end
	if #named > 0 then
		return named
	end
	return { hearing.looked_at(speaker, near) or hearing.talked_with(speaker, near, now) }
end

-- The first of `near` that the speaker looks at, or nil.
function hearing.looked_at(speaker, near)
	for _, villager in ipairs(near) do
		if facing(speaker, villager.pos) >= LOOKED_AT then
			return villager
		end
	end
	return nil
end

-- The one of `near` that the speaker talked with a moment ago, or nil.
function hearing.talked_with(speaker, near, now)
	local last = speaker.last
	for _, villager in ipairs(near) do
		if last and last.id == villager.id and now - last.at <= TALK_LASTS then
			return villager
		end
	end
	return nil
end

local guard = {}
guard.__index = guard

-- Lets `limit` lines of villagers be heard by villagers before a player must speak again.
function hearing.guard(limit) return setmetatable({ limit = limit, lines = 0 }, guard) end

function guard:player_spoke() self.lines = 0 end

-- May villagers hear the line that a villager says now?
function guard:villager_spoke()
	self.lines = self.lines + 1
	return self.lines <= self.limit
end

return hearing
