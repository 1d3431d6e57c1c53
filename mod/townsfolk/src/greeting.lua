-- ADAPTER: who this game is to the service, and what its villagers can do.
local tf = ...

local greeting = {}

local MAX_PERSONAS = 64
local storage = core.get_mod_storage()

-- The game's name for itself: set by its owner, else made once for each world.
function greeting.game_id()
	if tf.text.name(tf.settings.game_id) then
		return tf.settings.game_id
	end
	if storage:get_string("game_id") == "" then
		storage:set_string("game_id", core.sha1(core.get_worldpath() .. os.time()):sub(1, 16))
	end
	return storage:get_string("game_id")
end

local function personas()
	local list, listed = {}, {}
	for _, v in ipairs(tf.villagers.known()) do
		if not listed[v.persona] and #list < MAX_PERSONAS then
			listed[v.persona] = true
			list[#list + 1] = v.persona
		end
	end
	return #list > 0 and list or nil
end

local function game_name() return Settings(core.get_worldpath() .. "/world.mt"):get("gameid") end

-- The wire's `Game`.
function greeting.message()
	return {
		game_id = greeting.game_id(),
		mod_version = tf.version,
		engine_version = core.get_version().string,
		game_name = game_name(),
		actions = tf.actions.specs(),
		personas = personas(),
	}
end

return greeting
