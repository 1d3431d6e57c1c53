-- ADAPTER: what the server's owner has set (settingtypes.txt), read once when the mod loads.

local settings = {}

function settings.number(name, default) return tonumber(core.settings:get("townsfolk." .. name)) or default end

function settings.text(name, default)
	local value = core.settings:get("townsfolk." .. name)
	return value and value ~= "" and value or default
end

settings.sight = settings.number("sight", 16) -- nodes
settings.reach = settings.number("reach", 4) -- nodes, from the eyes
settings.stale_after = settings.number("stale_after", 12) -- seconds from snapshot to action
settings.actions_per_second = settings.number("actions_per_second", 1)
settings.action_burst = settings.number("action_burst", 6)
settings.freeze_seconds = settings.number("freeze_seconds", 5) -- for breaking a rule
settings.task_seconds = settings.number("task_seconds", 60) -- an action that takes longer has failed
settings.return_after = settings.number("return_after", 60) -- seconds from death to coming home
settings.search_cells = settings.number("search_cells", 150) -- path cells looked at in one server step

settings.service_url = settings.text("service_url", "http://127.0.0.1:8123"):gsub("/+$", "")
settings.api_token = settings.text("api_token", "")
settings.game_id = settings.text("game_id", "")
settings.request_seconds = math.max(1, math.floor(settings.number("request_seconds", 3))) -- 5.6 takes 0.5 for "never"
settings.script_after = settings.number("script_after", 2) -- seconds without an answer
settings.tick_seconds = settings.number("tick_seconds", 20) -- between looks round that nothing calls for
settings.notable_gap = settings.number("notable_gap", 3) -- seconds between answers to what happens
settings.hearing = settings.number("hearing", 12) -- nodes
settings.unasked_per_minute = settings.number("unasked_per_minute", 2) -- lines of one villager
settings.unasked_per_minute_all = settings.number("unasked_per_minute_all", 6) -- of all together
settings.villager_talk = settings.number("villager_talk", 0) -- lines villagers hear of each other in a row
settings.notable_nodes = settings.text("notable_nodes", nil) -- nil: notable.DEFAULT

return settings
