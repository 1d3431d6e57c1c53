-- PURE: an action and the inside of its tag, `give default:apple 2 sam`. Knows no action by name.

local tag = {}

local function quoted(arg)
	if arg == "" or arg:find(" ", 1, true) then
		return '"' .. arg .. '"'
	end
	return arg
end

-- The inside of the tag; the same text as the service makes of the same action.
function tag.format(name, args)
	local words = { name }
	for _, arg in ipairs(args or {}) do
		words[#words + 1] = quoted(arg)
	end
	return table.concat(words, " ")
end

-- The next word of `text` from `at`, and where the one after it begins; nil at the end.
local function next_word(text, at)
	local start = text:find("%S", at)
	if not start then
		return nil
	end
	if text:sub(start, start) ~= '"' then
		local word = text:match("^%S+", start)
		return word, start + #word
	end
	local word = text:match('^"([^"]*)"', start)
	if not word then
		return nil, nil, ("quote opened at character %d is not closed"):format(start)
	end
	return word, start + #word + 2
end

-- name, args of the inside of a tag; nil and the fault where it is none.
function tag.parse(text)
	local words, at = {}, 1
	while true do
		local word, after, fault = next_word(text, at)
		if fault then
			return nil, fault
		elseif not word then
			break
		end
		words[#words + 1], at = word, after
	end
	local name = table.remove(words, 1)
	if not name or not name:find("^%l[%l%d_]*$") then
		return nil, "a tag begins with the action's name in lower case"
	end
	return name, words
end

return tag
