-- The scenes of the second start: what the first one left is still there.
local probe = ...

local function keeper()
	local v = townsfolk.get_villager("keeper")
	local pos = v and probe.wait(15, function() return townsfolk.get_pos(v) end)
	probe.wait(1)
	return {
		name = v and v.name,
		persona = v and v.persona,
		id = v and v.id,
		home = v and v.home,
		memory = v and v.memory,
		carried = v and probe.count(v.inv, probe.cobble),
		doing = v and v.doing,
		distance = pos and vector.distance(pos, v.home),
		known = #townsfolk.get_known_villagers(),
	}
end

-- No villager has two bodies.
local function bodies()
	probe.wait(4)
	local seen, twice = {}, 0
	for _, entity in pairs(core.luaentities) do
		local v = entity.name == "townsfolk:villager" and entity.villager
		twice = twice + (v and seen[v.id] and 1 or 0)
		if v then
			seen[v.id] = true
		end
	end
	return { twice = twice, active = #townsfolk.get_villagers() }
end

return { { name = "keeper", run = keeper }, { name = "bodies", run = bodies } }
