-- PURE: token buckets, one a key: `capacity` at once, `per_second` on average.

local rate = {}
rate.__index = rate

function rate.new(capacity, per_second)
	return setmetatable({ capacity = capacity, per_second = per_second, buckets = {} }, rate)
end

-- Takes one token of `key` at time `now` (seconds); false where there is none.
function rate:take(key, now)
	local bucket = self.buckets[key] or { tokens = self.capacity, at = now }
	self.buckets[key] = bucket
	local refilled = bucket.tokens + math.max(0, now - bucket.at) * self.per_second
	bucket.tokens, bucket.at = math.min(self.capacity, refilled), now
	if bucket.tokens < 1 then
		return false
	end
	bucket.tokens = bucket.tokens - 1
	return true
end

return rate
