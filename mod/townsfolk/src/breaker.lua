-- PURE: a circuit breaker, so that a service that is away costs one try now and then and no more.
--
--     closed --failure--> open --delay over--> half-open --success--> closed
--                          ^------ failure, delay doubled ---'
--
-- The caller passes the clock in (seconds) and asks `allows` before each try.

local breaker = {}
breaker.__index = breaker

-- `first_delay`, `longest_delay`: seconds between tries while open.
function breaker.new(first_delay, longest_delay)
	return setmetatable({
		state = "closed",
		first_delay = first_delay,
		longest_delay = longest_delay,
		delay = first_delay,
		retry_at = 0,
	}, breaker)
end

-- May a try be made now? After the delay exactly one may, until its end is told.
function breaker:allows(now)
	if self.state == "closed" then
		return true
	elseif self.state == "open" and now >= self.retry_at then
		self.state = "half-open"
		return true
	end
	return false
end

-- Tells that a try went well; true where that closed the breaker.
function breaker:success()
	local changed = self.state ~= "closed"
	self.state, self.delay = "closed", self.first_delay
	return changed
end

-- Tells that a try failed; true where that opened a closed breaker.
function breaker:failure(now)
	local changed = self.state == "closed"
	self.delay = changed and self.first_delay or math.min(self.delay * 2, self.longest_delay)
	self.state, self.retry_at = "open", now + self.delay
	return changed
end

return breaker
