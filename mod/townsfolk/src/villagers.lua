-- ADAPTER: who the villagers are. One record each, kept in mod storage, and what they carry in the books; the body in
-- the world only carries the id, so that a record is never in two places. Knows nothing of bodies but the reference.
local tf = ...

local villagers = {}

local STORED = {
	"id",
	"name",
	"persona",
	"home",
	"pos",
	"hp",
	"memory",
	"doing",
	"frozen_until",
	"absent_until",
	"spent",
	"inventory", -- until the books have it
}
local INVENTORY_SIZE = 16
local storage = core.get_mod_storage()
local records = {} -- id -> record, of all villagers ever spawned
local on_activate, on_deactivate = {}, {}

-- Detached inventories are sent to all players but those of one player; nobody bears this name.
local NOBODY = "(townsfolk)"
local DENY_ALL = {
	allow_move = function() return 0 end,
	allow_put = function() return 0 end,
	allow_take = function() return 0 end,
}

local function storage_key(id) return "villager:" .. id end

local function inventory_name(v) return "townsfolk:" .. v.id end

-- A line is a slot: the engine's texts of items have no line breaks.
local function fill_inventory(v, lines)
	for index, line in ipairs(lines:split("\n", true)) do
		v.inv:set_stack("main", index, ItemStack(line))
	end
end

local function open_inventory(v)
	v.inv = core.create_detached_inventory(inventory_name(v), DENY_ALL, NOBODY)
	v.inv:set_size("main", INVENTORY_SIZE)
end

local function inventory_lines(v)
	local lines = {}
	for index, stack in ipairs(v.inv:get_list("main")) do
		lines[index] = stack:to_string()
	end
	return table.concat(lines, "\n")
end

-- Writes the record down: with the engine's own saving (the body's get_staticdata), and in each step in which items
-- may have changed hands, so that after a crash they are not with both or with nobody.
function villagers.save(v)
	if records[v.id] ~= v then
		return -- removed for good, and its last action ends only now
	end
	-- A dead body is still there for a moment; what counts then is where the villager comes back.
	if tf.body.pos(v) and not v.absent_until then
		v.pos, v.hp = tf.body.pos(v), v.object:get_hp()
	end
	local stored = {}
	for _, field in ipairs(STORED) do
		stored[field] = v[field]
	end
	storage:set_string(storage_key(v.id), core.serialize(stored))
	tf.books.keep(v.id, inventory_lines(v))
end

local function load_one(key, text)
	local stored, reason = core.deserialize(text, true)
	if not stored then
		core.log(
			"error",
			("[townsfolk] %s in the mod's storage can't be read: %s"):format(key, tostring(reason))
		)
		return
	end
	records[stored.id] = stored
	open_inventory(stored)
end

local function load_all()
	for key, text in pairs(storage:to_table().fields) do
		if key:find("^villager:") then
			load_one(key, text)
		end
	end
end

-- Worlds of before there were books have the items in the record.
local function load_items()
	tf.books.open()
	for id, v in pairs(records) do
		fill_inventory(v, tf.books.carried(id) or table.concat(v.inventory or {}, "\n"))
		v.inventory = nil
		villagers.save(v)
	end
end

local function in_id_order(list)
	table.sort(list, function(a, b) return a.id < b.id end)
	return list
end

-- The villagers whose bodies are in the loaded world, in the order of their ids.
function villagers.all()
	local list = {}
	for _, v in pairs(records) do
		if tf.body.pos(v) then
			list[#list + 1] = v
		end
	end
	return in_id_order(list)
end

-- All villagers there are, also those in unloaded parts of the world (`pos`: last seen).
function villagers.known()
	local list = {}
	for _, v in pairs(records) do
		list[#list + 1] = v
	end
	return in_id_order(list)
end

function villagers.get(id) return records[id] end

-- By name, in any case of letters.
function villagers.by_name(name)
	for _, v in pairs(records) do
		if v.name:lower() == name:lower() then
			return v
		end
	end
	return nil
end

local function persona_fault(persona)
	if type(persona) ~= "string" or #persona > 32 or not persona:find("^%l[%l%d_]*$") then
		return "a persona's name is up to 32 lower-case letters, digits and _"
	end
	return nil
end

local function fault(name, persona)
	if type(name) ~= "string" or #name > 32 or not name:find("^%a[%w_-]*$") then
		return "a villager's name is one word of up to 32 letters, digits, _ and -"
	elseif villagers.by_name(name) then
		return ("there is a villager called %s already"):format(name)
	end
	return persona_fault(persona)
end

local function next_id()
	local number = storage:get_int("last_id") + 1
	storage:set_int("last_id", number)
	return ("v%04d"):format(number)
end

-- A new villager at home at `pos` (a position in a loaded block); nil and the reason if it cannot be.
function villagers.spawn(name, persona, pos)
	local reason = fault(name, persona)
	if reason then
		return nil, reason
	end
	local v = { id = next_id(), name = name, persona = persona, memory = {}, hp = tf.body.HP_MAX }
	v.home, v.pos = vector.new(pos), vector.new(pos)
	records[v.id] = v
	open_inventory(v)
	if not tf.body.add(v, pos) then
		records[v.id] = nil
		core.remove_detached_inventory(inventory_name(v))
		return nil, ("no body can be put at %s: is the place loaded?"):format(core.pos_to_string(pos))
	end
	villagers.save(v)
	return v
end

-- Removes a villager for good; what it carried stays where it stood.
function villagers.remove(v)
	local pos = tf.body.pos(v) or v.pos
	for _, stack in ipairs(v.inv:get_list("main")) do
		if not stack:is_empty() then
			tf.books.drop(pos, stack)
		end
	end
	records[v.id] = nil
	storage:set_string(storage_key(v.id), "")
	tf.books.keep(v.id, nil)
	tf.body.remove(v)
	core.remove_detached_inventory(inventory_name(v))
end

-- True; false and the reason where no persona can be called so (the service would refuse all villagers).
function villagers.set_persona(v, persona)
	local reason = persona_fault(persona)
	if reason then
		return false, reason
	end
	v.persona = persona
	tf.body.dress(v)
	villagers.save(v)
	return true
end

function villagers.set_home(v, pos)
	v.home = vector.new(pos)
	villagers.save(v)
end

-- Nothing is done for `seconds` of game time; 0 ends it.
function villagers.freeze(v, seconds)
	v.frozen_until = core.get_gametime() + seconds
	if seconds > 0 then
		tf.execute.stop(v)
	end
	villagers.save(v)
end

function villagers.is_frozen(v) return v.frozen_until ~= nil and core.get_gametime() < v.frozen_until end

local function call_all(list, v)
	for _, fn in ipairs(list) do
		fn(v)
	end
end

-- fn(v) when a villager's body comes into the loaded world, and when it leaves it.
function villagers.on_activate(fn) table.insert(on_activate, fn) end

function villagers.on_deactivate(fn) table.insert(on_deactivate, fn) end

function villagers.activated(v) call_all(on_activate, v) end

function villagers.deactivated(v) call_all(on_deactivate, v) end

core.register_on_shutdown(function()
	for _, v in pairs(records) do
		villagers.save(v)
	end
end)

-- By then every mod's items are known, so no carried stack is taken for an unknown one.
core.register_on_mods_loaded(load_all)
core.after(0, load_items)

return villagers
