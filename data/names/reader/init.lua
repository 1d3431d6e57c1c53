-- Writes to the world's folder what every item is called in English (names.json), which of them villagers notice
-- (notable.json), and the actions with which the mod greets the service (actions.json); then ends the server.
local notable = dofile(core.get_modpath("townsfolk") .. "/src/notable.lua")

-- Titles carry marks for translation: \27(T@mod) … \27E.
local function plain(text) return text:gsub("\27%([^)]*%)", ""):gsub("\27[EF]", ""):match("^[^\n]*") end

local function write(file, value)
	core.safe_file_write(("%s/%s.json"):format(core.get_worldpath(), file), core.write_json(value))
end

-- Doors, gates and crops are items whose nodes bear other names: they count as these.
local function is_node(name)
	for _, ending in ipairs({ "", "_a", "_8" }) do
		if core.registered_nodes[name .. ending] then
			return true
		end
	end
	return false
end

local function noticed(titles)
	local names = {}
	for _, name in ipairs(notable.names(notable.DEFAULT, core.registered_items)) do
		names[#names + 1] = titles[name] and is_node(name) and name or nil
	end
	return names
end

core.register_on_mods_loaded(function()
	local titles = {}
	for name, def in pairs(core.registered_items) do
		if name:find(":", 1, true) and (def.groups or {}).not_in_creative_inventory ~= 1 then
			titles[name] = plain(def.short_description or def.description or "")
		end
	end
	write("names", titles)
	write("notable", noticed(titles))
	write("actions", townsfolk.get_actions())
	core.after(0, core.request_shutdown)
end)
