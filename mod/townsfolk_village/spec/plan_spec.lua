-- The plan can be built and lived in: parts have nodes, homes and signs stand where they should.

local plan = dofile("src/plan.lua")
local palette = dofile("src/palette.lua")

local function any(name) return name end

describe("plan", function()
	local village = plan.make()
	local parts = {}
	for _, node in ipairs(village.nodes) do
		parts[node.pos.x .. "," .. node.pos.y .. "," .. node.pos.z] = node.part
	end

	local function part_at(pos, up) return parts[pos.x .. "," .. pos.y + (up or 0) .. "," .. pos.z] end

	it("uses no part that the palette lacks", function()
		local names = assert(palette.choose(any))
		for _, node in ipairs(village.nodes) do
			if not names[node.part] then
				error("the palette has no " .. node.part)
			end
		end
	end)

	it("stays within its corners", function()
		for _, node in ipairs(village.nodes) do
			for axis, value in pairs(node.pos) do
				if value < village.min[axis] or value > village.max[axis] then
					error(("%s %d is outside"):format(axis, value))
				end
			end
		end
	end)

	it("gives four settlers and the player room to stand on firm ground", function()
		local places = { village.spawn }
		for _, persona in ipairs({ "explorer", "trader", "guard", "builder" }) do
			places[#places + 1] = assert(village.homes[persona])
		end
		for _, pos in ipairs(places) do
			assert.equal("air", part_at(pos))
			assert.equal("air", part_at(pos, 1))
			assert.is_not.equal("air", part_at(pos, -1))
		end
	end)

	it("puts its signs and chests where it says", function()
		for _, sign in ipairs(village.signs) do
			assert.equal("sign", part_at(sign.pos))
			assert.is_true(#sign.text > 0)
		end
		for _, chest in ipairs(village.chests) do
			assert.equal("chest", part_at(chest.pos))
		end
	end)

	it("has four houses with doors", function()
		local doors = 0
		for _, node in ipairs(village.nodes) do
			doors = doors + (node.part == "door" and 1 or 0)
		end
		assert.equal(4, doors)
	end)
end)

describe("palette", function()
	it("leaves out what the game lacks", function()
		local names = assert(palette.choose(function(name) return name:match("^mapgen_") and name or nil end))
		assert.equal("mapgen_stone", names.walls_brick)
		assert.is_nil(names.chest)
	end)

	it("tells why there can be no village", function()
		local names, reason = palette.choose(function() end)
		assert.is_nil(names)
		assert.matches("the game has none of", reason)
	end)
end)
