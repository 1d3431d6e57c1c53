-- PURE: what each villager has to tell the service, and when it is due. Knows no villager but by its id.

local minds = {}
minds.__index = minds

local EVENTS = 32

-- How soon an event wants an answer. Those that are not here wait for the next tick.
local URGENT = { spoken_to = true }
local NOTABLE = { punched = true, gift = true, joined = true }

-- tick    seconds between observations of a villager that nothing happens to
-- gap     seconds between two observations of one villager that nobody speaks to
-- outbox, delta  the modules of these names
function minds.new(tick, gap, outbox, delta)
	return setmetatable({ tick = tick, gap = gap, outbox = outbox, delta = delta, of = {} }, minds)
end

function minds:get(id, now)
	local mind = self.of[id]
	if not mind then
		mind = {
			id = id,
			events = self.outbox.new(EVENTS),
			delta = self.delta.new(),
			told_at = now,
			not_before = now,
			urgent = false,
			notable = false,
			engaged = false,
		}
		self.of[id] = mind
	end
	return mind
end

function minds:forget(id) self.of[id] = nil end

local function mark(mind, event)
	mind.urgent = mind.urgent or URGENT[event.kind] or false
	mind.notable = mind.notable or NOTABLE[event.kind] or false
end

function minds:add(id, event, now)
	local mind = self:get(id, now)
	mind.events:push(event)
	mark(mind, event)
end

function minds:is_due(mind, now)
	if now < mind.not_before then
		return false
	elseif mind.urgent then
		return true
	end
	return mind.notable and now - mind.told_at >= self.gap or self:ticks(mind, now)
end

-- Is it time to decide on something of itself?
function minds:ticks(mind, now) return not mind.engaged and now - mind.told_at >= self.tick end

-- While it is `engaged` with what it was asked for, small news wait, and it decides on nothing of itself.
function minds:engage(id, engaged, now) self:get(id, now).engaged = engaged end

-- Up to `most` of `ids` that are due, as minds {id, delta, …}: those spoken to first, then those who waited longest.
function minds:due(ids, most, now)
	local due = {}
	for _, id in ipairs(ids) do
		local mind = self:get(id, now)
		if self:is_due(mind, now) then
			due[#due + 1] = mind
		end
	end
	table.sort(due, function(a, b)
		if a.urgent ~= b.urgent then
			return a.urgent
		elseif a.told_at ~= b.told_at then
			return a.told_at < b.told_at
		end
		return a.id < b.id
	end)
	for i = #due, most + 1, -1 do
		due[i] = nil
	end
	return due
end

-- The events of a villager that is due; a tick behind them when it is time for one. They are told, until given back.
function minds:take(id, now)
	local mind = self:get(id, now)
	local ticks = self:ticks(mind, now)
	mind.told_at, mind.urgent, mind.notable = now, false, false
	local events = mind.events:take(EVENTS - 1)
	if ticks or #events == 0 then
		events[#events + 1] = { kind = "tick", at = now }
	end
	return events
end

-- The service did not take `events`: they are told again, not before `at`.
function minds:give_back(id, events, at)
	local mind = self.of[id]
	if not mind then
		return
	end
	local kept = {}
	for _, event in ipairs(events) do
		if event.kind ~= "tick" then
			kept[#kept + 1] = event
			mark(mind, event)
		end
	end
	mind.events:give_back(kept)
	mind.not_before = math.max(mind.not_before, at)
	mind.delta:reset()
end

-- Drops what `player` did and said.
function minds:forget_player(player)
	for _, mind in pairs(self.of) do
		for _, event in ipairs(mind.events:take(EVENTS)) do
			if event.who ~= player then
				mind.events:push(event)
			end
		end
	end
end

-- Drops events older than `seconds`: after an outage nobody wants an answer to what was said long ago.
function minds:expire(seconds, now)
	for _, mind in pairs(self.of) do
		mind.urgent, mind.notable = false, false
		for _, event in ipairs(mind.events:take(EVENTS)) do
			if now - event.at <= seconds then
				mind.events:push(event)
				mark(mind, event)
			end
		end
	end
end

-- The service knows nothing any more: all is told anew.
function minds:reset()
	for _, mind in pairs(self.of) do
		mind.delta:reset()
	end
end

return minds
