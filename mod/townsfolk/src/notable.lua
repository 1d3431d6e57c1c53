-- PURE: which nodes are worth a villager's notice, and which of those found are told.

local notable = {}

-- What grows, what is written, stored or worked with, what hands have built: never what the ground is made
-- of, which is everywhere.
notable.DEFAULT = "group:door,group:bed,group:tree,group:flower,group:mushroom,group:sapling,group:torch,"
	.. "torch,chest,sign,furnace,stone_with,bookshelf,ladder,water_source,lava_source,anvil,brewing_stand,"
	.. "campfire,farming,mese_post,door,trapdoor,group:wood,group:fence,pane_flat,bar_flat,meselamp,bones,rail,tnt,"
	.. "cactus,papyrus,with_berries,default:apple,default:brick,default:stonebrick,default:stone_block,"
	.. "default:cobble,default:mossycobble,default:glass,default:clay,default:gravel,vessels:shelf"

-- Does `entry` mean the node `name`? It is `group:door`, a whole name, or words of a name (`stone_with`).
local function means(entry, name, groups)
	local group = entry:match("^group:(.+)$")
	if group then
		return (groups[group] or 0) > 0
	end
	local words = name:gsub(":", "_")
	return entry == name or ("_" .. words .. "_"):find("_" .. entry .. "_", 1, true) ~= nil
end

-- The names, of `registered` (name -> {groups}), that the comma-separated `setting` means, sorted.
function notable.names(setting, registered)
	local names = {}
	for name, def in pairs(registered) do
		for entry in setting:gmatch("[^,%s]+") do
			if means(entry, name, def.groups or {}) then
				names[#names + 1] = name
				break
			end
		end
	end
	table.sort(names)
	return names
end

local function square(a, b) return (a.x - b.x) ^ 2 + (a.y - b.y) ^ 2 + (a.z - b.z) ^ 2 end

local function nearer(a, b)
	if a.square ~= b.square then
		return a.square < b.square
	end
	return a.name < b.name
end

-- The `each` nearest of one name: a lake or a forest must not crowd out the chest beside it.
local function nearest_of(name, positions, from, each)
	local best = {}
	for _, pos in ipairs(positions) do
		local found = { name = name, pos = pos, square = square(from, pos) }
		if #best < each or nearer(found, best[each]) then
			best[math.min(#best + 1, each)] = found
			table.sort(best, nearer)
		end
	end
	return best
end

-- Of `found` (name -> positions) the `each` nearest of a name and the `limit` nearest of all, nearest first.
function notable.nearest(found, from, each, limit)
	local all = {}
	for name, positions in pairs(found) do
		for _, one in ipairs(nearest_of(name, positions, from, each)) do
			all[#all + 1] = one
		end
	end
	table.sort(all, nearer)
	for i = #all, limit + 1, -1 do
		all[i] = nil
	end
	return all
end

return notable
