-- PURE: a bounded queue of things to tell. When it is full the oldest goes, and is counted.

local outbox = {}
outbox.__index = outbox

function outbox.new(limit) return setmetatable({ limit = limit, items = {}, dropped = 0 }, outbox) end

function outbox:trim()
	while #self.items > self.limit do
		table.remove(self.items, 1)
		self.dropped = self.dropped + 1
	end
end

function outbox:push(item)
	self.items[#self.items + 1] = item
	self:trim()
end

function outbox:count() return #self.items end

-- Up to `most` items, oldest first; they are gone from the queue.
function outbox:take(most)
	local taken, rest = {}, {}
	for i, item in ipairs(self.items) do
		local into = i <= most and taken or rest
		into[#into + 1] = item
	end
	self.items = rest
	return taken
end

-- Puts items that could not be delivered back in front of those that came since.
function outbox:give_back(taken)
	local items = {}
	for _, list in ipairs({ taken, self.items }) do
		for _, item in ipairs(list) do
			items[#items + 1] = item
		end
	end
	self.items = items
	self:trim()
end

return outbox
