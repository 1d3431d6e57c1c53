-- PURE: who may act on a node or an item that several villagers want. A claim is held until its
-- holder releases it or its time is over; among those who ask in one step the order decides.

local claims = {}
claims.__index = claims

-- `lifetime`: seconds after which a forgotten claim is void.
function claims.new(lifetime) return setmetatable({ lifetime = lifetime, held = {}, taken = 0 }, claims) end

-- Sorts requests with `snapshot_time` and `villager_id`: who saw it first, then the lower id.
function claims.sort(requests)
	table.sort(requests, function(a, b)
		if a.snapshot_time ~= b.snapshot_time then
			return a.snapshot_time < b.snapshot_time
		elseif a.villager_id ~= b.villager_id then
			return a.villager_id < b.villager_id
		end
		return a.number < b.number
	end)
end

-- The villager that holds `key` at time `now`, or nil.
function claims:holder(key, now)
	local claim = self.held[key]
	if claim and now - claim.at < self.lifetime then
		return claim.villager_id
	end
	self.held[key] = nil
	return nil
end

-- True where `key` (any value but nil) is now `villager_id`'s.
function claims:take(key, villager_id, now)
	local holder = self:holder(key, now)
	if holder and holder ~= villager_id then
		return false
	end
	self.taken = self.taken + 1
	self.held[key] = { villager_id = villager_id, at = now, number = self.taken }
	return true
end

-- Gives back what `villager_id` holds; where `upto` is given, only what it had taken when `taken` was that.
function claims:release(villager_id, upto)
	for key, claim in pairs(self.held) do
		if claim.villager_id == villager_id and claim.number <= (upto or self.taken) then
			self.held[key] = nil
		end
	end
end

return claims
