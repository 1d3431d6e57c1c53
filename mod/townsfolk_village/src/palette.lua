-- PURE: which node stands for each part of the plan, in the game that is running.
--
-- A part has candidates, best first. A part that the game has no node for is left out, but for the
-- ground's and the walls': every game maps those for its map generator, or there is no village.

local palette = {}

local NEEDED = { "grass", "dirt", "stone" }

local CANDIDATES = {
	grass = { "default:dirt_with_grass", "mapgen_dirt_with_grass" },
	dirt = { "default:dirt", "mapgen_dirt" },
	stone = { "default:cobble", "mapgen_cobble", "mapgen_stone" },
	path = { "default:gravel", "mapgen_gravel", "mapgen_cobble", "mapgen_stone" },
	water = { "default:water_source", "mapgen_water_source" },

	floor = { "default:wood", "mapgen_junglewood", "mapgen_stone" },
	beam = { "default:tree", "mapgen_tree", "mapgen_stone" },
	walls_wood = { "default:pine_wood", "default:wood", "mapgen_stone" },
	walls_brick = { "default:brick", "mapgen_stone" },
	walls_stone = { "default:stonebrick", "mapgen_cobble", "mapgen_stone" },
	walls_plaster = { "default:silver_sandstone_brick", "mapgen_sandstone", "mapgen_stone" },
	stone_pile = { "default:stonebrick", "mapgen_stone" },
	window = { "default:glass" },
	roof_wood = { "stairs:stair_wood" },
	roof_stone = { "stairs:stair_cobble" },
	ridge_wood = { "stairs:slab_wood", "default:wood" },
	ridge_stone = { "stairs:slab_cobble", "default:cobble" },
	bench = { "stairs:stair_wood" },
	counter = { "stairs:slab_wood", "default:wood" },
	awning = { "wool:red" },
	awning_light = { "wool:white" },
	fence = { "default:fence_wood" },
	torch = { "default:torch" },
	torch_wall = { "default:torch_wall" },
	trunk = { "default:tree", "mapgen_tree" },
	leaves = { "default:leaves", "mapgen_leaves" },
	soil = { "farming:soil_wet" },
	wheat = { "farming:wheat_8" },
	cotton = { "farming:cotton_8" },
	rose = { "flowers:rose" },
	tulip = { "flowers:tulip" },
	dandelion = { "flowers:dandelion_yellow" },
	tuft = { "default:grass_4" },
	bookshelf = { "default:bookshelf" },
	furnace = { "default:furnace" },
	door = { "doors:door_wood_a" },
	door_top = { "doors:hidden" },
	bed_bottom = { "beds:bed_bottom" },
	bed_top = { "beds:bed_top" },
	chest = { "default:chest" },
	sign = { "default:sign_wall_wood" },
	air = { "air" },
}

--- The names of the running game's nodes by part.
-- @param resolve function(name) -> the registered node's name, or nil where the game has none
-- @return table part -> node name, or nil and the reason
function palette.choose(resolve)
	local chosen = {}
	for part, candidates in pairs(CANDIDATES) do
		for _, name in ipairs(candidates) do
			chosen[part] = chosen[part] or resolve(name)
		end
	end
	for _, part in ipairs(NEEDED) do
		if not chosen[part] then
			return nil, "the game has none of " .. table.concat(CANDIDATES[part], ", ")
		end
	end
	return chosen
end

return palette
