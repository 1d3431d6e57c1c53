-- ADAPTER: the chat command `/ai`: for players help, say, list, status, rate; for who has the
-- privilege `townsfolk` also spawn, remove, persona, freeze, reload. commands/ adds demo and forget.
local tf = ...

local commands = { for_players = 5 } -- of the lines of HELP

local HELP = {
	{ "help", "what you are reading" },
	{ 'say "text"', "talk to the villager you look at, else the nearest; the answer is for you alone" },
	{ "list", "the villagers, where they are and what they do" },
	{ "status", "how the link to the service fares" },
	{ "rate up|down [name]", "say whether the last reply was good" },
	{ "spawn <name> <persona>", "a new villager where you stand", true },
	{ "remove <name>", "it goes for good; what it carried stays", true },
	{ "persona <name> <persona>", "another personality", true },
	{ "freeze <name> <seconds>", "it does nothing for so long; 0 ends it", true },
	{ "reload", "reconnect to the service, with the actions and personas as they are now", true },
}

local run = {}
local privileged = { spawn = true, remove = true, persona = true, freeze = true, reload = true }

core.register_privilege("townsfolk", {
	description = "May spawn, remove and change villagers",
	give_to_singleplayer = true,
})

-- Adds `/ai NAME`: help is {usage, what it is for}; fn(player name, what follows) gives true or false and what the
-- player is to read.
function commands.add(name, help, fn)
	table.insert(HELP, commands.for_players + 1, help)
	commands.for_players = commands.for_players + 1
	run[name] = fn
end

local function may_manage(player) return core.check_player_privs(player, { townsfolk = true }) end

-- What `fn(villager)` returns for the villager called `name`, or what is wrong.
local function with_villager(name, fn)
	local v = name and tf.villagers.by_name(name)
	if not v then
		return false, ("No villager is called %q. Try /ai list."):format(name or "")
	end
	return fn(v)
end

local function usage(subcommand)
	for _, entry in ipairs(HELP) do
		if entry[1]:match("^%a+") == subcommand then
			return false, "Usage: /ai " .. entry[1]
		end
	end
end

function run.help(player)
	local lines = {}
	for _, entry in ipairs(HELP) do
		if not entry[3] or may_manage(player) then
			lines[#lines + 1] = ("/ai %s: %s"):format(entry[1], entry[2])
		end
	end
	lines[#lines + 1] = "Right-click a villager to talk; sneak and right-click to give it what you hold."
	return true, table.concat(lines, "\n")
end

-- Named, looked at or talked with; else the nearest within hearing.
function commands.listener(player, line)
	local speaker, ears, range = tf.events.speaker(player), tf.events.ears(), tf.settings.hearing
	local now = tf.clock()
	local ear = tf.hearing.addressees(line, speaker, ears, range, now)[1]
		or tf.hearing.listeners(speaker, ears, range)[1]
	return ear and ear.villager
end

function run.say(name, rest)
	local line = tf.text.clean(rest:match('^"(.*)"$') or rest)
	local player = core.get_player_by_name(name)
	if line == "" then
		return usage("say")
	elseif not player or not core.check_player_privs(name, { shout = true }) then
		return false, "To talk you must be in the world and have the privilege shout."
	end
	local v = commands.listener(player, line)
	if not v then
		return false, "No villager is near enough to hear you. Try /ai list."
	end
	tf.events.speak_to(player, v, line, true)
	return true, ("You say to %s: %s"):format(v.name, line)
end

local function list_line(v, from)
	local pos = tf.body.pos(v)
	local where = core.pos_to_string(vector.round(pos or v.pos))
	if pos and from then
		where = ("%d nodes %s"):format(tf.geometry.distance(from, pos), tf.geometry.direction(from, pos))
	end
	local doing = v.doing and v.doing ~= "" and v.doing or "idle"
	return ("%s (%s): %s, %s"):format(v.name, v.persona, where, pos and doing or "in an unloaded place")
end

function run.list(name)
	local player = core.get_player_by_name(name)
	local lines = {}
	for i, v in ipairs(tf.villagers.known()) do
		lines[i] = list_line(v, player and player:get_pos())
	end
	if #lines == 0 then
		return true, "There are no villagers. Spawn one: /ai spawn <name> <persona>"
	end
	return true, table.concat(lines, "\n")
end

-- Where the service listens is the owner's business.
function run.status(name)
	local link = tf.link.connected() and "connected to" or "no answer from"
	local service = may_manage(name) and tf.settings.service_url or "the service"
	local mode = tf.script.active() and "villagers go by script" or "villagers think"
	return true, ("%s %s, %s; %s"):format(link, service, mode, tf.stats.line())
end

function run.rate(name, rest)
	local which, villager_name = rest:match("^(%a+)%s*(%S*)$")
	local value = ({ up = 1, down = -1 })[which]
	if not value then
		return usage("rate")
	end
	local v = villager_name ~= "" and tf.villagers.by_name(villager_name) or nil
	if villager_name ~= "" and not v then
		return with_villager(villager_name)
	end
	local rated, reason = tf.rating.give_last(name, value, v)
	return rated ~= nil, rated and ("Thank you: you rated %s's reply %s."):format(rated, which) or reason
end

function run.spawn(name, rest)
	local villager_name, persona = rest:match("^(%S+)%s+(%S+)$")
	local player = core.get_player_by_name(name)
	if not villager_name then
		return usage("spawn")
	elseif not player then
		return false, "Only a player in the world can spawn a villager: it appears where they stand."
	end
	local v, reason = tf.villagers.spawn(villager_name, persona, player:get_pos())
	if not v then
		return false, reason
	end
	tf.link.reconnect()
	return true, ("%s the %s is here."):format(v.name, v.persona)
end

function run.remove(_, rest)
	return with_villager(rest:match("^%S+$"), function(v)
		tf.villagers.remove(v)
		return true, v.name .. " is gone."
	end)
end

function run.persona(_, rest)
	local villager_name, persona = rest:match("^(%S+)%s+(%S+)$")
	if not villager_name then
		return usage("persona")
	end
	return with_villager(villager_name, function(v)
		local changed, reason = tf.villagers.set_persona(v, persona)
		if not changed then
			return false, reason
		end
		tf.link.reconnect()
		return true, ("%s is a %s now."):format(v.name, persona)
	end)
end

function run.freeze(_, rest)
	local villager_name, seconds = rest:match("^(%S+)%s+(%d+)$")
	if not villager_name then
		return usage("freeze")
	end
	return with_villager(villager_name, function(v)
		tf.villagers.freeze(v, tonumber(seconds))
		local told = tf.villagers.is_frozen(v) and "%s is frozen for %s seconds." or "%s is free."
		return true, told:format(v.name, seconds)
	end)
end

function run.reload()
	tf.link.reconnect()
	return true, "Connecting to the service again."
end

core.register_chatcommand("ai", {
	params = "help | say <text> | list | status | rate up|down [<name>] | demo … | forget me | …",
	description = "Talk to villagers and manage them",
	func = function(name, param)
		local subcommand, rest = param:match("^%s*(%a*)%s*(.-)%s*$")
		if subcommand == "" then
			return false, "Talk to villagers and manage them. Try /ai help."
		elseif not run[subcommand] then
			return false, ("There is no /ai %s. Try /ai help."):format(subcommand)
		elseif privileged[subcommand] and not may_manage(name) then
			return false,
				"You need the privilege townsfolk: ask the server's owner for /grant " .. name .. " townsfolk"
		end
		return run[subcommand](name, rest)
	end,
})

return commands
