-- ADAPTER: watches how players take to the villagers (engagement.lua) and has it told (mail.lua).
local tf = ...

local witness = {}

local LOOK_SECONDS = 1
local signs = tf.engagement.new(tf.mail.log, tf.geometry.distance)

local now = tf.clock

-- `player` said something to `v`.
function witness.spoken_to(v, player) signs:heard(player, v.id, now()) end

function witness.forget(player) signs:forget(player) end

tf.talk.on_reply(function(player, v, turn_id)
	local pos = tf.body.pos(v)
	if turn_id and pos then
		signs:spoke(player, v.id, turn_id, pos, now())
	end
end)

tf.body.on_gift(
	function(v, player, item, count)
		signs:traded(player:get_player_name(), v.id, ("%s %d"):format(item, count), now())
	end
)

-- What the villager gave.
tf.execute.on_outcome(function(v, _, tag, verdict)
	local name, args = tf.tag.parse(tag)
	if name == "give" and verdict == "done" then
		signs:traded(args[3], v.id, ("%s %s"):format(args[1], args[2]), now())
	end
end)

local function look()
	local players, villagers = {}, {}
	for _, player in ipairs(core.get_connected_players()) do
		players[player:get_player_name()] = player:get_pos()
	end
	for _, v in ipairs(tf.villagers.all()) do
		villagers[v.id] = tf.body.pos(v)
	end
	signs:look(players, villagers, now())
	core.after(LOOK_SECONDS, look)
end

core.after(LOOK_SECONDS, look)

core.register_on_leaveplayer(function(player) signs:gone(player:get_player_name(), now()) end)

return witness
