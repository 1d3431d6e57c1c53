-- Chat commands by which a test sees what no client is told: nodes, what a villager carries; protects nodes; and
-- lays out what is around.

local protected = {}

local is_protected = core.is_protected
function core.is_protected(pos, name)
	return protected[core.pos_to_string(vector.round(pos))] or is_protected(pos, name)
end

core.register_chatcommand("node", {
	func = function(_, param)
		local pos = core.string_to_pos(param)
		return true, ("node %s is %s"):format(param, core.get_node(pos).name)
	end,
})

core.register_chatcommand("protect", {
	func = function(_, param)
		protected[core.pos_to_string(core.string_to_pos(param))] = true
		return true, "protected " .. param
	end,
})

core.register_chatcommand("carried", {
	func = function(_, param)
		local name, item = param:match("^(%S+) (%S+)$")
		local count = 0
		for _, stack in ipairs(townsfolk.get_villager(name).inv:get_list("main")) do
			count = count + (stack:get_name() == item and stack:get_count() or 0)
		end
		return true, ("%s carries %d"):format(name, count)
	end,
})

-- "blocks NAME: (1,9,0) (5,9,0)": where nodes of that name are, near the player.
core.register_chatcommand("blocks", {
	func = function(name, param)
		local pos = vector.round(core.get_player_by_name(name):get_pos())
		local low, high = vector.offset(pos, -100, -4, -20), vector.offset(pos, 100, 8, 20)
		local found = {}
		for i, at in ipairs(core.find_nodes_in_area(low, high, { param })) do
			found[i] = core.pos_to_string(at)
		end
		return true, ("blocks %s: %s"):format(param, table.concat(found, " "))
	end,
})

local SCENERY = {
	"default:chest",
	"default:furnace",
	"default:bookshelf",
	"default:sapling",
	"default:fence_wood",
	"default:meselamp",
	"default:papyrus",
	"flowers:rose",
	"vessels:shelf",
}

-- "scenery SEED": other surroundings for each seed, north of the player.
core.register_chatcommand("scenery", {
	func = function(name, param)
		local feet = vector.round(vector.offset(core.get_player_by_name(name):get_pos(), 0, 0.1, 0))
		local random = PcgRandom(tonumber(param))
		for _ = 1, random:next(3, 7) do
			local at = vector.offset(feet, random:next(-8, 12), 0, random:next(3, 8))
			core.set_node(at, { name = SCENERY[random:next(1, #SCENERY)] })
		end
		return true, "scenery " .. param .. " is laid out"
	end,
})
