-- PURE: what the game has to tell beside its steps: one bounded queue a kind, and the kinds take turns.

local post = {}
post.__index = post

-- `outbox`: the module of this name.
function post.new(outbox) return setmetatable({ outbox = outbox, kinds = {}, last = 0 }, post) end

-- A new kind: {name, path, limit (items kept), batch (items in one message), gap (seconds between two messages
-- that are not full), message(items) -> table}.
function post:kind(kind)
	kind.box, kind.sent_at = self.outbox.new(kind.limit), -math.huge
	self.kinds[#self.kinds + 1] = kind
	return kind
end

local function is_due(kind, now)
	local count = kind.box:count()
	return count >= kind.batch or count > 0 and now - kind.sent_at >= (kind.gap or 0)
end

-- The next thing to send at time `now`, {kind, items, message}, or nil. Its items are out of their queue.
function post:next(now)
	for offset = 1, #self.kinds do
		local i = (self.last + offset - 1) % #self.kinds + 1
		local kind = self.kinds[i]
		if is_due(kind, now) then
			self.last, kind.sent_at = i, now
			local items = kind.box:take(kind.batch)
			return { kind = kind, items = items, message = kind.message(items) }
		end
	end
	return nil
end

-- It was not delivered: it is the first of its kind again.
function post.give_back(parcel) parcel.kind.box:give_back(parcel.items) end

return post
