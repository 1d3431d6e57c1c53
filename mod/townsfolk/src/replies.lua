-- PURE: the last replies that each player got, so that they can be rated and shown in the form.

local replies = {}
replies.__index = replies

function replies.new(limit) return setmetatable({ limit = limit, by_player = {} }, replies) end

-- Adds what `player` was told; the parts of one turn become one reply.
function replies:add(player, turn_id, villager, line)
	local list = self.by_player[player] or {}
	self.by_player[player] = list
	local last = list[#list]
	if last and last.turn_id == turn_id then
		last.text = last.text .. " " .. line
		return
	end
	list[#list + 1] = { turn_id = turn_id, villager_id = villager.id, name = villager.name, text = line }
	if #list > self.limit then
		table.remove(list, 1)
	end
end

-- The replies that `player` got, newest first; those of one villager where `villager_id` is given.
function replies:of(player, villager_id)
	local found = {}
	local list = self.by_player[player] or {}
	for i = #list, 1, -1 do
		if not villager_id or list[i].villager_id == villager_id then
			found[#found + 1] = list[i]
		end
	end
	return found
end

-- Marks a reply as rated; false where this player has no such reply or rated it so already.
function replies:rate(player, turn_id, value)
	for _, reply in ipairs(self:of(player)) do
		if reply.turn_id == turn_id and reply.rated ~= value then
			reply.rated = value
			return true
		end
	end
	return false
end

function replies:forget(player) self.by_player[player] = nil end

return replies
