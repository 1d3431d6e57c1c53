-- ADAPTER: the registry as the rest of the mod and other mods see it.
local tf = ...

local actions = {}
local changed = {}

-- fn() when an action is registered or taken back.
function actions.on_change(fn) table.insert(changed, fn) end

local function tell_change()
	for _, fn in ipairs(changed) do
		fn()
	end
end

-- Raises an error that says what is wrong with `def`; its fields are in API.md.
function actions.register(name, def)
	tf.registry:register(name, def)
	tell_change()
end

function actions.unregister(name)
	tf.registry:unregister(name)
	tell_change()
end

-- What is sent when the game connects.
function actions.specs() return tf.registry:specs() end

return actions
