-- ADAPTER: a villager's hands: what the engine's and other mods' functions get as the digger or
-- placer. Not a player: mods that ask `is_player()` (locked chests, owned doors) rightly refuse it.
local tf = ...

local hands = {}

-- No player can bear a name with a colon, so no player's rights are borrowed by a namesake.
function hands.actor(v) return "townsfolk:" .. v.name end

local BARE = 0 -- no slot of the inventory
local Hands = {}

function Hands:is_player() -- luacheck: ignore
	return false
end

function Hands:get_player_name() return hands.actor(self.villager) end

function Hands:get_inventory() return self.villager.inv end

function Hands:get_wield_list() -- luacheck: ignore
	return "main"
end

function Hands:get_wield_index() return self.index end

function Hands:get_wielded_item()
	if self.index == BARE then
		return ItemStack("")
	end
	return self.villager.inv:get_stack("main", self.index)
end

function Hands:set_wielded_item(stack)
	if self.index ~= BARE then
		self.villager.inv:set_stack("main", self.index, stack)
	end
	return self.index ~= BARE
end

function Hands:get_player_control() -- luacheck: ignore
	return {}
end

function Hands:get_look_dir() return core.yaw_to_dir(self.villager.object:get_yaw() or 0) end

function Hands:get_look_horizontal() return self.villager.object:get_yaw() or 0 end

-- All other methods are those of the body.
local function of_body(self, method)
	return Hands[method]
		or function(_, ...)
			local object = self.villager.object
			return object[method](object, ...)
		end
end

-- Hands of `v` that hold the stack `index` of its inventory; nil: bare.
function hands.of(v, index)
	return setmetatable({ villager = v, index = index or BARE }, { __index = of_body })
end

-- The quickest way for `v` to dig a node: seconds and the index of the tool (nil: bare hands);
-- nil where nothing that it has can dig it.
function hands.best_tool(v, node_groups)
	local best, best_index
	local function try(stack, index)
		local dig = core.get_dig_params(node_groups, stack:get_tool_capabilities())
		if dig.diggable and (not best or dig.time < best) then
			best, best_index = dig.time, index
		end
	end
	try(ItemStack(""), nil)
	for index, stack in ipairs(v.inv:get_list("main")) do
		if not stack:is_empty() and core.registered_tools[stack:get_name()] then
			try(stack, index)
		end
	end
	return best, best_index
end

-- Adds `stack` to the villager's inventory; what finds no room falls down before it.
function hands.keep(v, stack)
	local left = v.inv:add_item("main", stack)
	if not left:is_empty() then
		tf.books.drop(tf.body.pos(v), left)
	end
end

-- Takes `count` of the item out of the inventory, slot by slot so that wear and metadata stay with
-- their stacks; the stacks taken, fewer than asked for where it has fewer.
function hands.take_out(v, name, count)
	local taken = {}
	for index, stack in ipairs(v.inv:get_list("main")) do
		if count > 0 and stack:get_name() == name then
			local part = stack:take_item(count)
			count = count - part:get_count()
			v.inv:set_stack("main", index, stack)
			taken[#taken + 1] = part
		end
	end
	return taken
end

function hands.count(v, name)
	local total = 0
	for _, stack in ipairs(v.inv:get_list("main")) do
		if stack:get_name() == name then
			total = total + stack:get_count()
		end
	end
	return total
end

-- Runs another mod's code for a villager: an error there must not take the server down.
-- Returns true and what `fn` returned, or false and the error's text, which is logged.
function hands.guarded(v, what, fn, ...)
	local results = { pcall(fn, ...) }
	if not results[1] then
		core.log("error", ("[townsfolk] %s failed for %s: %s"):format(what, v.name, tostring(results[2])))
	end
	return unpack(results, 1, table.maxn(results))
end

return hands
