-- Chat commands by which a test sees what no client is told: nodes, what a villager carries; and protects nodes.

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
