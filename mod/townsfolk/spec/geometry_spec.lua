local geometry = dofile("src/geometry.lua")

local function pos(x, y, z) return { x = x, y = y, z = z } end

describe("geometry", function()
	it("names the eight directions, north being +z", function()
		local words = {
			north = { 0, 5 },
			northeast = { 5, 5 },
			east = { 5, 0 },
			southeast = { 5, -5 },
			south = { 0, -5 },
			southwest = { -5, -5 },
			west = { -5, 0 },
			northwest = { -5, 5 },
		}
		for word, to in pairs(words) do
			assert.equal(word, geometry.direction(pos(0, 0, 0), pos(to[1], 3, to[2])))
		end
	end)

	it(
		"knows no direction to what is above",
		function() assert.equal("here", geometry.direction(pos(0, 0, 0), pos(0.5, 9, 0.5))) end
	)

	it("faces as the engine counts: 0 is north, a quarter to the left is west", function()
		assert.is_near(0, geometry.yaw(pos(0, 0, 0), pos(0, 0, 4)), 1e-9)
		assert.is_near(math.pi / 2, geometry.yaw(pos(0, 0, 0), pos(-4, 0, 0)), 1e-9)
	end)

	it(
		"goes straight away from a threat",
		function() assert.same(pos(12, 1, 0), geometry.away(pos(2, 1, 0), pos(0, 0, 0), 10)) end
	)

	it(
		"goes somewhere even from a threat in the same place",
		function()
			assert.equal(10, geometry.sideways(geometry.away(pos(0, 0, 0), pos(0, 0, 0), 10), pos(0, 0, 0)))
		end
	)

	it("finds the node of the feet on full ground, give or take rounding", function()
		assert.same(pos(0, 1, 0), geometry.feet(pos(0.2, 0.5, -0.2)))
		assert.same(pos(0, 1, 0), geometry.feet(pos(0, 0.4999, 0)))
	end)

	it(
		"gives equal nodes equal keys",
		function() assert.equal("-1,2,3", geometry.key(geometry.node(pos(-1.2, 2.4, 2.6)))) end
	)
end)
