local notable = dofile("src/notable.lua")

local registered = {
	["default:chest"] = { groups = { choppy = 2 } },
	["default:chest_locked"] = {},
	["default:stone_with_coal"] = { groups = { cracky = 3 } },
	["default:stone"] = { groups = { cracky = 3 } },
	["doors:door_wood"] = { groups = { door = 1 } },
	["shop:design_table"] = { groups = { door = 0 } },
}

describe("notable", function()
	it("knows nodes by group, by whole name and by words of the name", function()
		assert.same({ "doors:door_wood" }, notable.names("group:door", registered))
		assert.same({ "default:stone" }, notable.names("default:stone", registered))
		assert.same({ "default:chest", "default:chest_locked" }, notable.names("chest, sign", registered))
		assert.same({ "default:stone_with_coal" }, notable.names("stone_with", registered))
		assert.same({}, notable.names("", registered))
	end)

	it("does not let many of one name crowd out the others", function()
		local water = {}
		for x = 1, 50 do
			water[x] = { x = 51 - x, y = 0, z = 0 }
		end
		local found = notable.nearest(
			{ water = water, chest = { { x = 9, y = 0, z = 0 } } },
			{ x = 0, y = 0, z = 0 },
			2,
			24
		)
		assert.equal(3, #found)
		assert.same({ 1, 2, 9 }, { found[1].pos.x, found[2].pos.x, found[3].pos.x })
		assert.equal("chest", found[3].name)
	end)

	it("keeps the nearest of all", function()
		local found = notable.nearest({
			a = { { x = 3, y = 0, z = 0 } },
			b = { { x = 1, y = 0, z = 0 } },
			c = { { x = 2, y = 0, z = 0 } },
		}, { x = 0, y = 0, z = 0 }, 2, 2)
		assert.same({ "b", "c" }, { found[1].name, found[2].name })
		assert.equal(2, #found)
	end)
end)
