-- PURE: which parts of an observation changed since the last one that the service has taken.
-- What did not change is left out; a distance that changed by less than a node did not change.

local delta = {}
delta.__index = delta

local TOLERANCE = 1
local LENGTHS = { distance = true, home_distance = true, x = true, y = true, z = true }

local same

local function same_fields(a, b)
	for field, value in pairs(a) do
		if not same(value, b[field], field) then
			return false
		end
	end
	for field in pairs(b) do
		if a[field] == nil then
			return false
		end
	end
	return true
end

-- The order of lists says who is nearest; it swaps with every step, which is no news.
local function same_list(a, b)
	local used = {}
	for i, item in ipairs(a) do
		local match
		for offset = 0, #b - 1 do
			local j = (i - 1 + offset) % #b + 1
			if not used[j] and same(item, b[j]) then
				match = j
				break
			end
		end
		if not match then
			return false
		end
		used[match] = true
	end
	return true
end

function same(a, b, field)
	if type(a) ~= type(b) then
		return false
	elseif type(a) == "number" and LENGTHS[field] then
		return math.abs(a - b) < TOLERANCE
	elseif type(a) ~= "table" then
		return a == b
	elseif #a ~= #b then
		return false
	end
	return #a > 0 and same_list(a, b) or #a == 0 and same_fields(a, b)
end

delta.same = same

function delta.new() return setmetatable({ taken = {}, sent = {} }, delta) end

-- Of `parts` (name -> table) those that changed; remembered as sent until told what became of them.
function delta:changed(parts)
	local changed = {}
	for name, part in pairs(parts) do
		if not same(part, self.taken[name]) then
			changed[name] = part
		end
	end
	self.sent = changed
	return changed
end

-- The service has taken what was sent last.
function delta:acknowledge()
	for name, part in pairs(self.sent) do
		self.taken[name] = part
	end
	self.sent = {}
end

-- The service knows nothing any more, or may not: all is to be sent again.
function delta:reset()
	self.taken, self.sent = {}, {}
end

return delta
