-- ADAPTER: `/ai demo`: players show how something is done, and have villagers repeat it.
local tf = ...

local HELP = "start [name] | stop | list | replay <name> [villager]"
local run = {}

function run.start(player, rest) return tf.demos.start(player, rest) end

function run.stop(player) return tf.demos.stop(player) end

function run.list(player)
	local lines = {}
	for i, name in ipairs(tf.demos.names(player)) do
		lines[i] = ("%s: %s"):format(name, tf.recording.summary(tf.demos.get(player, name)))
	end
	if #lines == 0 then
		return true, "You have shown nothing yet. Record something: /ai demo start hut"
	end
	return true, table.concat(lines, "\n")
end

-- The villager named; else the one looked at, talked with or nearest.
local function who(player, villager_name)
	if villager_name ~= "" then
		local v = tf.villagers.by_name(villager_name)
		return v, ("No villager is called %q. Try /ai list."):format(villager_name)
	end
	local v = tf.commands.listener(core.get_player_by_name(player), "")
	return v, "No villager is near: name one, /ai demo replay <name> <villager>, or go to one."
end

function run.replay(player, rest)
	local name, villager_name = rest:match("^(%S+)%s*(%S*)$")
	if not name then
		return false, "Usage: /ai demo replay <name> [villager]"
	end
	local steps = tf.demos.get(player, name)
	if not steps then
		return false, ("You have no demonstration called %s. Try /ai demo list."):format(name)
	end
	local v, reason = who(player, villager_name)
	if not v then
		return false, reason
	end
	return tf.replay.start(v, player, name, steps)
end

tf.commands.add(
	"demo",
	{ "demo " .. HELP, "show how something is done; have a villager repeat it" },
	function(player, rest)
		local what, more = rest:match("^(%a*)%s*(.-)$")
		if not run[what] then
			return false, "Usage: /ai demo " .. HELP
		elseif not core.get_player_by_name(player) then
			return false, "Only a player in the world can show something."
		end
		return run[what](player, more)
	end
)
