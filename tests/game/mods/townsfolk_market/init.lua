-- A small square on which things go round as long as `/market open` lasts: villagers give to the player and get it
-- back, dig and place dirt, take up what lies there. `/market count` tells how many of each there are in all.
-- What is there was put there in the first start.

local DIRT, GOLD = "default:dirt", "default:gold_lump"
local HALF, LYING, WALL = 6, 30, 8
local PAUSE = 0.3 -- seconds between two deeds of one villager
local NAMES = { "Ada", "Bob" }
local CORNER = vector.new(-HALF, 1, -HALF)
local storage = core.get_mod_storage()
local open = false

local function lay(pos, item)
	core.add_entity(pos, "__builtin:item", core.serialize({ itemstring = item, age = 0 }))
end

-- Apart from each other: lumps that lie together become one.
local function lay_out()
	for i = 0, LYING - 1 do
		lay(vector.new(i % 6 * 2 - 5, 1, math.floor(i / 6) * 2 - 4), GOLD)
	end
end

local function build()
	for x = -HALF, HALF do
		for z = -HALF, HALF do
			core.set_node(vector.new(x, 0, z), { name = "default:stone" })
		end
	end
	for z = 1, WALL do
		core.set_node(vector.add(CORNER, vector.new(0, 0, z)), { name = DIRT })
	end
	for i, name in ipairs(NAMES) do
		local v = assert(townsfolk.spawn(name, "explorer", vector.new(i * 2 - 3, 0.5, 0)))
		v.inv:add_item("main", GOLD .. " 20")
		v.inv:add_item("main", DIRT .. " 5")
		townsfolk.set_home(v, v.home) -- so that it is written down
	end
	lay_out()
	storage:set_string("built", "yes")
end

core.after(0, core.emerge_area, vector.new(-16, -16, -16), vector.new(16, 16, 16), function(_, _, remaining)
	if remaining == 0 then
		for _, pos in ipairs({ { -8, -8 }, { -8, 8 }, { 8, -8 }, { 8, 8 } }) do
			for y = -8, 8, 16 do
				core.forceload_block(vector.new(pos[1], y, pos[2]), true)
			end
		end
		if storage:get_string("built") == "" then
			build()
		end
		core.log("action", "[market] ready")
	end
end)

core.register_on_joinplayer(function(player)
	player:set_pos(vector.new(0, 0.5, 3))
	player:set_physics_override({ gravity = 0 })
end)

-- --- what goes on ---

-- The real player with one key held down.
local function sneaking(player)
	local own = { get_player_control = function() return { sneak = true } end }
	return setmetatable(own, {
		__index = function(_, method)
			return function(_, ...) return player[method](player, ...) end
		end,
	})
end

local function perform(v, name, ...)
	local ctx = { turn_id = "t" .. core.get_us_time(), snapshot_time = core.get_us_time() / 1e6 }
	townsfolk.perform(v, { name = name, args = { ... } }, ctx)
end

local function hand_back(v, player) v.object:get_luaentity():on_rightclick(sneaking(player)) end

local DEEDS = {
	function(v, player) perform(v, "give", GOLD, tostring(math.random(5)), player:get_player_name()) end,
	function(v, player) perform(v, "give", DIRT, "1", player:get_player_name()) end,
	hand_back,
	hand_back,
	function(v) perform(v, "dig", DIRT) end,
	function(v) perform(v, "place", DIRT) end,
	function(v) perform(v, "take", GOLD) end,
}

local function trade()
	local player = core.get_connected_players()[1]
	for _, v in ipairs(open and player and townsfolk.get_villagers() or {}) do
		if not v.task then
			DEEDS[math.random(#DEEDS)](v, player)
		end
	end
	core.after(PAUSE, trade)
end

core.after(PAUSE, trade)

townsfolk.register_on_outcome(function(_, _, tag, verdict)
	if verdict == "done" then
		core.log("action", "[market] done " .. tag)
	end
end)

-- --- what there is ---

local function count_list(counts, list)
	for _, stack in ipairs(list) do
		local name = stack:get_name()
		counts[name] = (counts[name] or 0) + stack:get_count()
	end
end

local function count()
	local counts = { [DIRT] = 0, [GOLD] = 0 }
	for _, v in ipairs(townsfolk.get_known_villagers()) do
		count_list(counts, v.inv:get_list("main"))
	end
	for _, player in ipairs(core.get_connected_players()) do
		count_list(counts, player:get_inventory():get_list("main"))
	end
	for _, entity in pairs(core.luaentities) do
		if entity.name == "__builtin:item" then
			count_list(counts, { ItemStack(entity.itemstring) })
		end
	end
	local low, high = vector.new(-HALF * 2, -2, -HALF * 2), vector.new(HALF * 2, HALF, HALF * 2)
	counts[DIRT] = counts[DIRT] + #core.find_nodes_in_area(low, high, DIRT)
	return counts
end

core.register_chatcommand("market", {
	func = function(_, param)
		open = param == "open"
		local counts = count()
		return true, ("market: %d dirt, %d gold"):format(counts[DIRT], counts[GOLD])
	end,
})
