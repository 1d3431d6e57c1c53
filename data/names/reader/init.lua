-- Writes what every item is called in English to names.json in the world's folder, and the actions with
-- which the mod greets the service to actions.json; then ends the server.

-- Titles carry marks for translation: \27(T@mod) … \27E.
local function plain(text) return text:gsub("\27%([^)]*%)", ""):gsub("\27[EF]", ""):match("^[^\n]*") end

local function write(file, value)
	core.safe_file_write(("%s/%s.json"):format(core.get_worldpath(), file), core.write_json(value))
end

core.register_on_mods_loaded(function()
	local titles = {}
	for name, def in pairs(core.registered_items) do
		if name:find(":", 1, true) and (def.groups or {}).not_in_creative_inventory ~= 1 then
			titles[name] = plain(def.short_description or def.description or "")
		end
	end
	write("names", titles)
	write("actions", townsfolk.get_actions())
	core.after(0, core.request_shutdown)
end)
