-- PURE: how a player takes to what a villager told them: did they answer, stay, walk along, trade, come back, or
-- leave? Each sign is told once for a turn. Clock and positions are passed in; lengths are nodes.

local engagement = {}
engagement.__index = engagement

local ANSWER_SECONDS = 20
local LEAVE_SECONDS, LEAVE_DISTANCE = 10, 12
local STAY_SECONDS, STAY_DISTANCE = 30, 8
local FOLLOW_WAY, FOLLOW_DISTANCE = 6, 6
local WATCH_SECONDS = 60
local AWAY_DISTANCE, AWAY_SECONDS, BACK_DISTANCE = 16, 120, 8
local MAX_PAIRS = 256 -- of players and villagers

-- emit(entry): a sign {villager_id, player, kind, text, at, turn_id}.
-- distance(a, b): of two positions.
function engagement.new(emit, distance)
	return setmetatable({ emit = emit, distance = distance, pairs = {}, count = 0 }, engagement)
end

local function key(player, villager_id) return player .. " " .. villager_id end

local function tell(self, pair, kind, now, text)
	if not pair.told[kind] then
		pair.told[kind] = true
		self.emit({
			villager_id = pair.villager_id,
			player = pair.player,
			kind = kind,
			text = text,
			at = now,
			turn_id = pair.turn_id,
		})
	end
end

local function after(pair, now) return ("%.0f s"):format(now - pair.at) end

-- The pair that spoke longest ago makes room.
local function make_room(self)
	local oldest
	for _, pair in pairs(self.pairs) do
		oldest = (not oldest or pair.at < oldest.at) and pair or oldest
	end
	self.pairs[key(oldest.player, oldest.villager_id)] = nil
	self.count = self.count - 1
end

-- The villager at `pos` answered `player` in this turn; further parts of a turn change nothing.
function engagement:spoke(player, villager_id, turn_id, pos, now)
	local id = key(player, villager_id)
	local pair = self.pairs[id]
	if pair and pair.turn_id == turn_id then
		return
	elseif not pair then
		self.count = self.count + 1
	end
	self.pairs[id] =
		{ player = player, villager_id = villager_id, turn_id = turn_id, at = now, from = pos, told = {} }
	if self.count > MAX_PAIRS then
		make_room(self)
	end
end

-- `player` said something to the villager.
function engagement:heard(player, villager_id, now)
	local pair = self.pairs[key(player, villager_id)]
	if pair and now - pair.at <= ANSWER_SECONDS then
		tell(self, pair, "answered", now, after(pair, now))
	end
end

-- Something changed hands between the two.
function engagement:traded(player, villager_id, what, now)
	local pair = self.pairs[key(player, villager_id)]
	if pair and now - pair.at <= WATCH_SECONDS then
		tell(self, pair, "traded", now, what)
	end
end

local function watch(self, pair, pos, villager_pos, now)
	local far, waited = self.distance(pos, villager_pos), now - pair.at
	if
		waited <= LEAVE_SECONDS
		and far > LEAVE_DISTANCE
		and not pair.told.answered
		and not pair.told.traded
	then
		tell(self, pair, "left", now, after(pair, now))
	elseif self.distance(pair.from, villager_pos) >= FOLLOW_WAY and far <= FOLLOW_DISTANCE then
		tell(self, pair, "followed", now, after(pair, now))
	elseif waited >= STAY_SECONDS and far <= STAY_DISTANCE then
		tell(self, pair, "stayed", now, after(pair, now))
	end
end

local function watch_return(self, pair, far, now)
	if far > AWAY_DISTANCE then
		pair.away_since = pair.away_since or now
	elseif far <= BACK_DISTANCE and pair.away_since then
		if now - pair.away_since >= AWAY_SECONDS then
			tell(self, pair, "came_back", now, after(pair, now))
		end
		pair.away_since = nil
	end
end

-- Where everybody is now: player -> position, villager id -> position; who is not there is far away.
function engagement:look(players, villagers, now)
	for _, pair in pairs(self.pairs) do
		local pos, villager_pos = players[pair.player], villagers[pair.villager_id]
		if pos and villager_pos and now - pair.at <= WATCH_SECONDS then
			watch(self, pair, pos, villager_pos, now)
		end
		if villager_pos then
			watch_return(self, pair, pos and self.distance(pos, villager_pos) or math.huge, now)
		end
	end
end

-- `player` left the server.
function engagement:gone(player, now)
	for _, pair in pairs(self.pairs) do
		if pair.player == player and now - pair.at <= LEAVE_SECONDS and not pair.told.answered then
			tell(self, pair, "left", now, after(pair, now))
		end
	end
end

function engagement:forget(player)
	for id, pair in pairs(self.pairs) do
		if pair.player == player then
			self.pairs[id], self.count = nil, self.count - 1
		end
	end
end

return engagement
