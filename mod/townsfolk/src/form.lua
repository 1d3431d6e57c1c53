-- ADAPTER: the form that a right click on a villager opens: talk, the last replies, a thumb for each.
local tf = ...

local FORM = "townsfolk:talk"
local REACH = 8 -- nodes; who goes further away talks in the chat
local SHOWN = 4
local GREEN, RED = "#6fdc6f", "#ff7b7b"

local open = {} -- player -> villager id

local escape = core.formspec_escape

local function thumb(x, y, reply, value)
	local name = ("rate_%s_%s"):format(value > 0 and "up" or "down", reply.turn_id)
	local colour = reply.rated == value and (value > 0 and GREEN or RED) or "#ffffff"
	return ("style[%s;textcolor=%s]button[%.2f,%.2f;0.9,0.8;%s;%s]"):format(
		escape(name),
		colour,
		x,
		y,
		escape(name),
		value > 0 and "+1" or "-1"
	)
end

local function reply_row(i, reply)
	local y = 1.2 + (i - 1) * 1.3
	return ("textarea[0.4,%.2f;7.2,1.2;;;%s]"):format(y, escape(reply.text))
		.. thumb(7.7, y, reply, 1)
		.. thumb(8.7, y, reply, -1)
end

local function content(v, player)
	local parts = {
		"formspec_version[4]size[10,8.4]",
		("label[0.4,0.6;%s]"):format(escape(("%s, %s"):format(v.name, v.persona:gsub("_", " ")))),
		"button_exit[8.7,0.2;0.9,0.8;close;X]",
	}
	local replies = tf.talk.replies:of(player, v.id)
	for i = 1, math.min(SHOWN, #replies) do
		parts[#parts + 1] = reply_row(i, replies[i])
	end
	if #replies == 0 then
		parts[#parts + 1] = ("label[0.4,1.6;%s]"):format(
			escape(v.name .. " has not said anything to you yet.")
		)
	end
	parts[#parts + 1] = ("field[0.4,7.2;7.2,0.8;line;%s;]field_close_on_enter[line;false]"):format(
		escape("Say")
	)
	parts[#parts + 1] = "button[7.7,7.2;1.9,0.8;say;Say]"
	return table.concat(parts)
end

local function show(player, v)
	open[player] = v.id
	core.show_formspec(player, FORM, content(v, player))
end

local function within_reach(player, v)
	local pos = tf.body.pos(v)
	return pos ~= nil and tf.geometry.distance(player:get_pos(), pos) <= REACH
end

-- The turn and the value that a pressed thumb means, or nil.
local function thumb_pressed(fields)
	for field in pairs(fields) do
		local which, turn_id = field:match("^rate_(%l+)_(.+)$")
		if which then
			return turn_id, which == "up" and 1 or -1
		end
	end
	return nil
end

local function say(player, v, line)
	if not core.check_player_privs(player, { shout = true }) then
		core.chat_send_player(
			player:get_player_name(),
			"You may not speak here: the privilege shout is missing."
		)
	elseif within_reach(player, v) then
		tf.events.speak_to(player, v, line, true)
	else
		core.chat_send_player(player:get_player_name(), v.name .. " is too far away: come nearer.")
	end
end

local function take_fields(player, v, fields)
	local name, line = player:get_player_name(), tf.text.clean(fields.line)
	local turn_id, value = thumb_pressed(fields)
	if turn_id then
		tf.rating.give(name, turn_id, value)
	elseif (fields.say or fields.key_enter_field == "line") and line ~= "" then
		say(player, v, line)
	else
		return
	end
	show(name, v)
end

core.register_on_player_receive_fields(function(player, formname, fields)
	if formname ~= FORM then
		return false
	end
	local name = player:get_player_name()
	local v = open[name] and tf.villagers.get(open[name])
	if fields.quit or not v then
		open[name] = nil
	else
		take_fields(player, v, fields)
	end
	return true
end)

tf.body.on_rightclick(function(v, clicker) show(clicker:get_player_name(), v) end)

tf.talk.on_reply(function(player, v)
	if open[player] == v.id then
		show(player, v)
	end
end)

core.register_on_leaveplayer(function(player) open[player:get_player_name()] = nil end)
