-- ADAPTER: keeps the ledger (ledger.lua) in the world's folder and settles after a crash what was saved at different
-- moments, so that an item is with one, not with two and not with none. All that changes a villager's items goes
-- through here. What players, map and other mods do among themselves is the engine's.
local tf = ...

local books = {}

local FILE = core.get_worldpath() .. "/townsfolk_items.lua"
local ENGINES_MARK = core.get_worldpath() .. "/env_meta.txt" -- written right after map and players
local NUMBER = "townsfolk:items" -- in the player's own record
local ITEM = "__builtin:item"
local REMOVAL_SECONDS = 1 -- the engine takes a removed object out of its block within half of it
local LOOK_SECONDS = 5
local NEAR = 1 -- nodes that an item may have fallen or drifted since its block knew of it

local own -- the ledger; nil until the first step, when the map can be read
local doubles = {} -- number -> what must not come back out of the saved map
local dropping = false

local function read(path)
	local file = io.open(path, "rb")
	local text = file and file:read("*a") or nil
	if file then
		file:close()
	end
	return text
end

local function mark() return core.sha1(read(ENGINES_MARK) or "") end

local function write()
	if not core.safe_file_write(FILE, core.serialize(own)) then
		core.log("error", ("[townsfolk] %s can't be written: is the disk full?"):format(FILE))
	end
end

local function turned()
	own:turn(mark())
	return own
end

-- A file that can't be read is put aside: the villagers then have nothing.
local function saved()
	local text = read(FILE)
	local found, reason = core.deserialize(text or "", true)
	if text and not found then
		os.rename(FILE, FILE .. ".unreadable")
		core.log(
			"error",
			("[townsfolk] %s can't be read (%s): restore it from a backup"):format(FILE, tostring(reason))
		)
	end
	return found
end

local function name_at(pos)
	core.load_area(pos)
	return core.get_node(pos).name
end

-- Its block does not know of it any more.
local function forget(number)
	turned():gone(number)
	write()
end

-- Once its block is there, what was picked up is seen to have been in the saved map or not.
local function look_after_doubles()
	for number, double in pairs(doubles) do
		if core.compare_block_status(double.pos, "active") then
			doubles[number] = nil
			forget(number)
		end
	end
	if next(doubles) then
		core.after(LOOK_SECONDS, look_after_doubles)
	end
end

-- To be called in the first step. What each villager carries is known from then on.
function books.open()
	local found = saved()
	own = found and tf.ledger.recover(found, mark(), name_at) or tf.ledger.new(mark())
	for number, double in pairs(own.next.lying) do
		doubles[number] = double
	end
	write()
	look_after_doubles()
end

-- The items, as they were kept; nil where nothing is written of this villager.
function books.carried(id) return own:carried(id) end

-- What the villager carries now; nil: it is gone for good. Before the first step nothing changes.
function books.keep(id, items)
	if own and own:carried(id) ~= items then
		turned():carry(id, items)
		write()
	end
end

local function moved(v, player, stack, given)
	local number = turned():transfer(v.id, player:get_player_name(), stack:to_string(), given)
	player:get_meta():set_int(NUMBER, number)
end

-- The villager has given this to the player, or got it; to be followed by villagers.save in the same step.
function books.gave(v, player, stack) moved(v, player, stack, true) end

function books.got(v, player, stack) moved(v, player, stack, false) end

-- The node at `pos`, which was called `before`, has gone into an inventory or come out of it.
function books.built(pos, before) turned():node(tf.geometry.key(pos), pos, before, core.get_node(pos).name) end

-- Lays a stack on the ground, so that the next save knows of it: of what `core.add_item` lays down the block only
-- knows an empty stack until it is unloaded.
function books.drop(pos, stack)
	dropping = true
	core.add_entity(pos, ITEM, core.serialize({ itemstring = stack:to_string(), age = 0 }))
	dropping = false
end

-- The villager has taken up all or part of this item entity; `left` stays there.
function books.picked_up(object, left)
	local entity, pos = object:get_luaentity(), object:get_pos()
	local number = turned():picked_up(pos, entity.itemstring)
	core.after(REMOVAL_SECONDS, forget, number)
	-- Emptied first: whoever still holds the entity must not get the items again.
	entity.itemstring = ""
	object:remove()
	if not left:is_empty() then
		books.drop(pos, left)
	end
end

-- The number of the double that this is, or nil.
local function find_double(pos, item)
	for number, double in pairs(doubles) do
		if double.item == item and tf.geometry.distance(double.pos, pos) <= NEAR then
			return number
		end
	end
	return nil
end

core.register_on_mods_loaded(function()
	local item = core.registered_entities[ITEM]
	local on_activate = item.on_activate
	function item.on_activate(self, ...)
		on_activate(self, ...)
		local number = not dropping and find_double(self.object:get_pos(), self.itemstring)
		if number then
			doubles[number] = nil
			core.after(REMOVAL_SECONDS, forget, number)
			self.itemstring = ""
			self.object:remove()
		end
	end
end)

local function give(player, stack)
	local left = player:get_inventory():add_item("main", stack)
	if not left:is_empty() then
		books.drop(player:get_pos(), left)
	end
end

-- What the player has passed on since is the villager's loss: better one too few than one too many.
local function take_back(player, stack, v)
	local inventory = player:get_inventory()
	for name in pairs(inventory:get_lists()) do
		stack:take_item(inventory:remove_item(name, stack):get_count())
	end
	if v and not stack:is_empty() then
		v.inv:remove_item("main", stack)
		tf.villagers.save(v)
	end
end

core.register_on_joinplayer(function(player)
	local meta = player:get_meta()
	local due, number = turned():settle(player:get_player_name(), meta:get_int(NUMBER))
	for _, transfer in ipairs(due or {}) do
		local stack = ItemStack(transfer.item)
		if transfer.give then
			give(player, stack)
		else
			take_back(player, stack, tf.villagers.get(transfer.id))
		end
	end
	if due then
		meta:set_int(NUMBER, number)
		write()
	end
end)

return books
