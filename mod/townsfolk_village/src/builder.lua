-- ADAPTER: puts a plan into the world, once its part of the map is there.

local palette = ...

local builder = {}

-- These hold an inventory or a text, which only their own construction gives them.
local CONSTRUCTED = { chest = true, sign = true, furnace = true, bookshelf = true }

local function resolve(name)
	local real = core.registered_aliases[name] or name
	return core.registered_nodes[real] and real or nil
end

local function offset(centre, pos) return vector.add(centre, vector.new(pos.x, pos.y, pos.z)) end

-- One write for the whole area: tens of thousands of single ones would hold up the server.
local function write_bulk(plan, centre, names)
	local manip = VoxelManip()
	local low, high = manip:read_from_map(offset(centre, plan.min), offset(centre, plan.max))
	local area = VoxelArea:new({ MinEdge = low, MaxEdge = high })
	local data, param2 = manip:get_data(), manip:get_param2_data()
	local air = core.get_content_id("air")
	for _, node in ipairs(plan.nodes) do
		local index = area:indexp(offset(centre, node.pos))
		local name = names[node.part]
		data[index] = name and core.get_content_id(name) or air
		param2[index] = name and node.param2 or 0
	end
	manip:set_data(data)
	manip:set_param2_data(param2)
	manip:write_to_map(true)
end

local function construct(plan, centre, names)
	for _, node in ipairs(plan.nodes) do
		if CONSTRUCTED[node.part] and names[node.part] then
			core.set_node(offset(centre, node.pos), { name = names[node.part], param2 = node.param2 })
		end
	end
end

local function write_signs(plan, centre)
	for _, sign in ipairs(plan.signs) do
		local meta = core.get_meta(offset(centre, sign.pos))
		meta:set_string("text", sign.text)
		meta:set_string("infotext", '"' .. sign.text .. '"')
	end
end

local function fill_chests(plan, centre)
	for _, chest in ipairs(plan.chests) do
		local inventory = core.get_meta(offset(centre, chest.pos)):get_inventory()
		for _, item in ipairs(chest.items) do
			if core.registered_items[item:match("^%S+")] then
				inventory:add_item("main", item)
			end
		end
	end
end

--- Builds `plan` around `centre` (the ground's own node there).
-- @return true, or nil and the reason
function builder.build(plan, centre)
	local names, reason = palette.choose(resolve)
	if not names then
		return nil, reason
	end
	write_bulk(plan, centre, names)
	construct(plan, centre, names)
	write_signs(plan, centre)
	fill_chests(plan, centre)
	return true
end

--- Has the map made for `plan` around `centre`, then calls `done()`.
function builder.emerge(plan, centre, done)
	core.emerge_area(offset(centre, plan.min), offset(centre, plan.max), function(_, _, remaining)
		if remaining == 0 then
			done()
		end
	end)
end

--- The ground's topmost solid node at `pos`, looked for downward; nil over a hole or an ocean.
function builder.ground(pos)
	for y = pos.y, pos.y - 60, -1 do
		local at = vector.new(pos.x, y, pos.z)
		local name = core.get_node(at).name
		local def = core.registered_nodes[name]
		if
			def
			and def.walkable
			and core.get_item_group(name, "leaves") == 0
			and core.get_item_group(name, "tree") == 0
		then
			return at
		end
	end
	return nil
end

return builder
