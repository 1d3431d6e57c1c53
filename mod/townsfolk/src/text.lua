-- PURE: what may go over the wire. Texts of players, signs and items are untrusted: colour and
-- translation marks, control characters and broken UTF-8 are taken out before anybody reads them.

local text = {}

text.MAX = 500
local MAX_NAME = 64

-- Well-formed UTF-8 (RFC 3629), one character of more than a byte each.
local CHARACTERS = {
	"^[\194-\223][\128-\191]",
	"^\224[\160-\191][\128-\191]",
	"^[\225-\236\238\239][\128-\191][\128-\191]",
	"^\237[\128-\159][\128-\191]",
	"^\240[\144-\191][\128-\191][\128-\191]",
	"^[\241-\243][\128-\191][\128-\191][\128-\191]",
	"^\244[\128-\143][\128-\191][\128-\191]",
}

local function character(line, at)
	local byte = line:byte(at)
	if byte < 128 then
		return line:sub(at, at)
	end
	for _, pattern in ipairs(CHARACTERS) do
		local found = line:match(pattern, at)
		if found then
			return found
		end
	end
	return nil
end

local function without_marks(line) return (line:gsub("\27%([^)]*%)", ""):gsub("\27.", ""):gsub("%c+", " ")) end

-- `line` as plain UTF-8 of at most `limit` (MAX) characters, without marks and outer spaces.
function text.clean(line, limit)
	-- Cut first: no character is longer than 4 bytes, and marks rarely fill the rest.
	line = without_marks(tostring(line or ""):sub(1, 8 * text.MAX)):match("^%s*(.-)%s*$")
	local kept, at = {}, 1
	while at <= #line and #kept < (limit or text.MAX) do
		local found = character(line, at)
		kept[#kept + 1] = found
		at = at + (found and #found or 1)
	end
	return table.concat(kept)
end

-- `name` where it is one the wire takes (a registered name, a player's), else nil.
function text.name(name)
	if type(name) == "string" and #name <= MAX_NAME and name:find("^[%w_.:-]+$") then
		return name
	end
	return nil
end

-- The number with one decimal: positions and distances need no more.
function text.tenth(number) return math.floor(number * 10 + 0.5) / 10 end

return text
