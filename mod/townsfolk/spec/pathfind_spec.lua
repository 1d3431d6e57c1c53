local pathfind = dofile("src/pathfind.lua")

local CLASSES =
	{ ["#"] = "solid", [" "] = "open", ["~"] = "water", ["D"] = "door", ["!"] = "danger", ["|"] = "wall" }

-- A world in slices from the top down: each slice is rows from north (far) to south, columns from west.
-- Below the slices all is solid, outside of them unknown, above them open.
local function world(slices)
	local height, depth, width = #slices, #slices[1], #slices[1][1]
	return function(x, y, z)
		if x < 1 or x > width or z < 1 or z > depth then
			return "unknown"
		elseif y < 1 then
			return "solid"
		elseif y > height then
			return "open"
		end
		local row = slices[height - y + 1][depth - z + 1]
		return CLASSES[row:sub(x, x)]
	end
end

local function cell(x, y, z) return { x = x, y = y, z = z } end

local function search(class, from, to, options)
	local found = pathfind.new(class, from, to, options or {})
	local result
	repeat
		result = found:advance(50)
	until result
	return result, found.path
end

local function last(path)
	local at = path[#path]
	return cell(at.x, at.y, at.z)
end

describe("pathfind", function()
	it("goes straight over open ground", function()
		local result, path = search(world({ { "     " } }), cell(1, 1, 1), cell(5, 1, 1))
		assert.equal("found", result)
		assert.equal(4, #path)
		assert.same(cell(5, 1, 1), last(path))
	end)

	it("is there already where it is near enough", function()
		local result, path = search(world({ { "     " } }), cell(1, 1, 1), cell(3, 1, 1), { within = 2 })
		assert.equal("found", result)
		assert.equal(0, #path)
	end)

	it("wants two nodes of headroom", function()
		local tunnel = world({ { "  #  " }, { "     " } })
		assert.equal("partial", (search(tunnel, cell(1, 1, 1), cell(5, 1, 1))))
	end)

	it("goes round a wall", function()
		local row, wall = "     ", " ### "
		local result, path =
			search(world({ { row, wall, row }, { row, wall, row } }), cell(3, 1, 1), cell(3, 1, 3))
		assert.equal("found", result)
		for _, step in ipairs(path) do
			assert.is_false(step.z == 2 and step.x > 1 and step.x < 5)
		end
	end)

	it("cuts no corner that the body would touch", function()
		local result, path = search(world({ { "  ", "# " }, { "  ", "# " } }), cell(2, 1, 1), cell(1, 1, 2))
		assert.equal("found", result)
		assert.equal(2, #path)
	end)

	it("steps up one node, not two", function()
		assert.equal(
			"found",
			(search(world({ { "   " }, { "   " }, { " ##" } }), cell(1, 1, 1), cell(3, 2, 1)))
		)
		assert.equal(
			"none",
			(search(world({ { "   " }, { " ##" }, { " ##" } }), cell(1, 1, 1), cell(3, 3, 1)))
		)
	end)

	it(
		"does not step up under a low roof",
		function()
			assert.equal(
				"none",
				(search(world({ { "#  " }, { "   " }, { " ##" } }), cell(1, 1, 1), cell(3, 2, 1)))
			)
		end
	)

	it("drops three nodes, not four", function()
		local air, rock = { "   " }, { "#  " }
		local function cliff(height)
			local slices = { air, air }
			for _ = 1, height do
				slices[#slices + 1] = rock
			end
			return world(slices)
		end
		assert.equal("found", (search(cliff(3), cell(1, 4, 1), cell(3, 1, 1))))
		assert.equal("none", (search(cliff(4), cell(1, 5, 1), cell(3, 1, 1))))
	end)

	it(
		"steps on no fence",
		function()
			assert.equal(
				"none",
				(search(world({ { "   " }, { "   " }, { " | " } }), cell(1, 1, 1), cell(3, 1, 1)))
			)
		end
	)

	it("goes through doors that open", function()
		local result = search(world({ { "  D  " }, { "  D  " } }), cell(1, 1, 1), cell(5, 1, 1))
		assert.equal("found", result)
	end)

	it("swims over water and out of it", function()
		local result = search(
			world({ { "       " }, { "       " }, { "##~~~##" }, { "##~~~##" } }),
			cell(1, 3, 1),
			cell(7, 3, 1)
		)
		assert.equal("found", result)
	end)

	it(
		"never enters danger, not even falling",
		function()
			assert.equal(
				"partial",
				(search(world({ { "     " }, { "     " }, { "##!##" } }), cell(1, 2, 1), cell(5, 2, 1)))
			)
		end
	)

	it("goes as near as can be where the goal is out of reach", function()
		local result, path = search(world({ { "   # " }, { "   # " } }), cell(1, 1, 1), cell(5, 1, 1))
		assert.equal("partial", result)
		assert.same(cell(3, 1, 1), last(path))
	end)

	it("has no way where it cannot come nearer", function()
		local result, path = search(world({ { " # " }, { " # " } }), cell(1, 1, 1), cell(3, 1, 1))
		assert.equal("none", result)
		assert.equal(0, #path)
	end)

	it("looks at no more cells than it may, in one go and in all", function()
		local looked = 0
		local function plain(_, y)
			looked = looked + 1
			return y < 1 and "solid" or "open"
		end
		local found = pathfind.new(plain, cell(0, 1, 0), cell(0, 30, 0), { max_cells = 100 })
		assert.is_nil(found:advance(40))
		local after_forty = looked
		assert.is_nil(found:advance(40))
		assert.is_true(looked > after_forty)
		assert.truthy(found:advance(40))
	end)

	it("walks a far goal's first leg", function()
		local function plain(_, y) return y < 1 and "solid" or "open" end
		local result, path = search(plain, cell(0, 1, 0), cell(200, 1, 0), { radius = 20 })
		assert.equal("partial", result)
		assert.is_true(last(path).x >= 18)
	end)
end)
