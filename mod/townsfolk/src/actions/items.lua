-- ADAPTER: actions that move items: give, take. What leaves one inventory enters another, or lies
-- on the ground; never more, never less.
local tf = ...

local register = tf.actions.register
local GIVE_DISTANCE, TAKE_DISTANCE = 3, 1.6

local function has_enough(v, args)
	local count = tf.hands.count(v, args[1].name)
	return count >= args[2], ("%s carries only %d %s"):format(v.name, count, args[1].name)
end

local function hand_over(v, name, count, player)
	local inventory, pos = player:get_inventory(), player:get_pos()
	for _, stack in ipairs(tf.hands.take_out(v, name, count)) do
		local left = inventory:add_item("main", stack)
		stack:take_item(left:get_count())
		tf.books.gave(v, player, stack)
		if not left:is_empty() then
			tf.books.drop(pos, left)
		end
	end
end

register("give", {
	description = "Give a player some of an item that you carry.",
	args = {
		{ name = "item", kind = "carried" },
		{ name = "count", kind = "int", min = 1, max = 99 },
		{ name = "whom", kind = "player" },
	},
	phrases = {
		"give me {item}",
		"can I have {item}",
		"could I have {item}",
		"hand me {item}",
		"give {player} {item}",
		"I need {item}",
		"share {item} with me",
		"sell me {item}",
		"I want {item}",
	},
	check = has_enough,
	run = function(v, args)
		return tf.tasks.near(v, args[3], GIVE_DISTANCE, function()
			local enough, reason = has_enough(v, args)
			if not enough then
				return false, reason
			end
			tf.body.face(v, args[3].object:get_pos())
			hand_over(v, args[1].name, args[2], args[3].object)
			return true
		end)
	end,
})

-- What finds no room stays on the ground.
local function pick_up(v, object)
	local stack = ItemStack(object:get_luaentity().itemstring)
	local left = v.inv:add_item("main", stack)
	if left:get_count() == stack:get_count() then
		return false, "there is no room in the inventory"
	end
	tf.books.picked_up(object, left)
	return true
end

register("take", {
	description = "Pick up an item that lies on the ground.",
	args = { { name = "item", kind = "dropped" } },
	exclusive = true,
	phrases = {
		"pick that up",
		"take the {item}",
		"pick up the {item}",
		"you can have what I dropped",
		"grab it",
		"take this",
		"collect the things on the ground",
	},
	run = function(v, args)
		return tf.tasks.near(v, args[1], TAKE_DISTANCE, function() return pick_up(v, args[1].object) end)
	end,
})
