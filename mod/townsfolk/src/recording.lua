-- PURE: a demonstration: what a player did, step by step, counted from where it began; what of it a villager has
-- to do, and what it needs for that.

local recording = {}
recording.__index = recording

recording.MAX_STEPS = 256
local STRIDE = 4 -- nodes, as far as the actions move_… walk
local LEAP = 16 -- nodes at once that nobody walks

-- `origin`: the node of the player's feet at the start; `tag`: the module of this name.
function recording.new(name, origin, tag)
	return setmetatable(
		{ name = name, origin = origin, tag = tag, steps = {}, stride_from = origin },
		recording
	)
end

local function minus(a, b) return { x = a.x - b.x, y = a.y - b.y, z = a.z - b.z } end

-- Where a place of a step is, for one who begins at `origin`.
function recording.absolute(place, origin)
	return { x = origin.x + place.x, y = origin.y + place.y, z = origin.z + place.z }
end

function recording:is_full() return #self.steps >= recording.MAX_STEPS end

-- Adds that `name` with `args` was done at `pos`, as an action of that name would be; the step.
-- detail: for a node placed {node, under = position it was placed against, facing}, for a craft {grid, width}.
function recording:add(name, args, pos, detail)
	local step = { action = self.tag.format(name, args), place = minus(pos, self.origin) }
	for field, value in pairs(detail or {}) do
		step[field] = field == "under" and minus(value, self.origin) or value
	end
	self.steps[#self.steps + 1] = step
	return step
end

-- Is `pos` where the walk under way, if there is one, began?
function recording:is_at_start(pos)
	local from = self.stride_from
	return pos.x == from.x and pos.z == from.z
end

local function heading(way)
	if math.abs(way.x) >= math.abs(way.z) then
		return way.x > 0 and "east" or "west", math.abs(way.x)
	end
	return way.z > 0 and "north" or "south", math.abs(way.z)
end

-- The player is at `pos` now; the step where this makes another few steps in one direction, else nil.
function recording:walked(pos)
	local direction, far = heading(minus(pos, self.stride_from))
	if far > LEAP then
		self.stride_from = pos
		return nil
	elseif far < STRIDE then
		return nil
	end
	self.stride_from = pos
	return self:add("move_" .. direction, nil, pos)
end

local function kind(step) return step.action:match("^%S+") end

local function is_move(step) return kind(step):find("^move_") ~= nil end

local WALKS_ITSELF = { place = true, dig = true }

-- The steps that somebody has to do who repeats them: of several moves the last, and none before a node that is
-- gone to anyway.
function recording.plan(steps)
	local plan = {}
	for i, step in ipairs(steps) do
		local after = steps[i + 1]
		if
			not is_move(step)
			or after and not is_move(after) and not WALKS_ITSELF[kind(after)]
			or not after
		then
			plan[#plan + 1] = step
		end
	end
	return plan
end

local function use(needs, have, name)
	if (have[name] or 0) > 0 then
		have[name] = have[name] - 1
	else
		needs[name] = (needs[name] or 0) + 1
	end
end

local USE = {}

function USE.place(needs, have, args) use(needs, have, args[1]) end

function USE.craft(needs, have, args, step)
	for _, name in ipairs(step.grid) do
		if name ~= "" then
			use(needs, have, name)
		end
	end
	have[args[1]] = (have[args[1]] or 0) + tonumber(args[2])
end

-- Items that have to be at hand to repeat `steps`, name -> count; what is crafted on the way counts as there.
function recording.needs(steps, tag)
	local needs, have = {}, {}
	for _, step in ipairs(steps) do
		local name, args = tag.parse(step.action)
		if USE[name] then
			USE[name](needs, have, args, step)
		end
	end
	return needs
end

-- "12 place, 3 dig": how often what was done, most often first.
function recording.summary(steps)
	local counts, lines = {}, {}
	for _, step in ipairs(steps) do
		local name = is_move(step) and "move" or kind(step)
		counts[name] = (counts[name] or 0) + 1
	end
	for name, count in pairs(counts) do
		lines[#lines + 1] = { name = name, count = count }
	end
	table.sort(lines, function(a, b)
		if a.count ~= b.count then
			return a.count > b.count
		end
		return a.name < b.name
	end)
	for i, line in ipairs(lines) do
		lines[i] = ("%d %s"):format(line.count, line.name)
	end
	return #lines > 0 and table.concat(lines, ", ") or "nothing yet"
end

return recording
