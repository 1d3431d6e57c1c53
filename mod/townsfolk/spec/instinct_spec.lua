local instinct = dofile("src/instinct.lua")

local function half() return 0.5 end

local function facts(fields)
	local all =
		{ now = 100, home = { x = 10, y = 5, z = 20 }, home_distance = 0, walking = false, players = {} }
	for field, value in pairs(fields) do
		all[field] = value
	end
	return all
end

describe("instinct", function()
	local memory

	before_each(function() memory = instinct.new(100) end)

	it("flees from what hurt it, once a blow, before all else", function()
		local hurt = { at = 99, from = { x = 1, y = 5, z = 1 } }
		local players = { { name = "sam", distance = 2 } }
		local deed = instinct.next(memory, facts({ hurt = hurt, players = players, walking = true }), half)
		assert.equal("flee", deed.kind)
		assert.same(hurt.from, deed.from)
		assert.not_equal("flee", instinct.next(memory, facts({ hurt = hurt, players = players }), half).kind)
	end)

	it("does not flee from what is long over", function()
		local deed =
			instinct.next(memory, facts({ hurt = { at = 50, from = { x = 0, y = 0, z = 0 } } }), half)
		assert.equal("walk", deed.kind)
	end)

	it("greets who comes near, and not again for a while", function()
		local near =
			{ players = { { name = "sam", distance = 3 }, { name = "ann", distance = 30 } }, walking = true }
		local deed = instinct.next(memory, facts(near), half)
		assert.equal("greet", deed.kind)
		assert.equal("sam", deed.player)
		assert.truthy(deed.line:find("sam", 1, true))
		assert.is_nil(instinct.next(memory, facts(near), half))
		near.now = 221
		assert.equal("greet", instinct.next(memory, facts(near), half).kind)
	end)

	it("strolls near home, then rests", function()
		local deed = instinct.next(memory, facts({}), math.random)
		assert.equal("walk", deed.kind)
		local far = math.sqrt((deed.to.x - 10) ^ 2 + (deed.to.z - 20) ^ 2)
		assert.is_true(far <= 6)
		assert.is_nil(instinct.next(memory, facts({ now = 103.9 }), half))
		assert.equal("walk", instinct.next(memory, facts({ now = 113 }), half).kind)
	end)

	it("goes home from afar", function()
		local deed = instinct.next(memory, facts({ home_distance = 40 }), half)
		assert.same({ x = 10, y = 5, z = 20 }, deed.to)
	end)

	it(
		"walks on where it walks",
		function() assert.is_nil(instinct.next(memory, facts({ walking = true }), half)) end
	)
end)
