local hearing = dofile("src/hearing.lua")

local NORTH = { x = 0, y = 0, z = 1 }
local villagers = {
	{ id = "v1", name = "Mira", pos = { x = 0, y = 0, z = 4 } },
	{ id = "v2", name = "Odo", pos = { x = 3, y = 0, z = 0 } },
	{ id = "v3", name = "Tam", pos = { x = 0, y = 0, z = 30 } },
}

local function addressed(line, speaker, now)
	local ids = {}
	speaker.pos = speaker.pos or { x = 0, y = 0, z = 0 }
	for i, villager in ipairs(hearing.addressees(line, speaker, villagers, 12, now or 0)) do
		ids[i] = villager.id
	end
	return ids
end

local function looking(x, z) return { look = { x = x, y = 0, z = z } } end

describe("hearing", function()
	it("hears a name at any place, in any case, as a word", function()
		assert.same({ "v2" }, addressed("odo, hello", looking(0, 1)))
		assert.same({ "v2" }, addressed("hello there, ODO!", looking(0, 1)))
		assert.same({ "v2" }, addressed("where is Odo's shop?", looking(0, 1)))
		assert.same(
			{ "v1" },
			addressed("komodo dragons", looking(0, 1)),
			"who is looked at: no name was said"
		)
	end)

	it(
		"hears all names, nearest first",
		function() assert.same({ "v2", "v1" }, addressed("Mira and Odo, come", looking(0, -1))) end
	)

	it(
		"does not reach who is out of earshot",
		function() assert.same({}, addressed("Tam!", looking(0, -1))) end
	)

	it("takes who is looked at where nobody is named", function()
		assert.same({ "v1" }, addressed("hello", looking(NORTH.x, NORTH.z)))
		assert.same({ "v2" }, addressed("hello", looking(1, 0)))
		assert.same({}, addressed("hello", looking(-1, 0)))
	end)

	it("goes on with the last talk for a while", function()
		local speaker = looking(-1, 0)
		speaker.last = { id = "v1", at = 100 }
		assert.same({ "v1" }, addressed("and then?", speaker, 119))
		assert.same({}, addressed("and then?", speaker, 121))
		speaker.last = { id = "v3", at = 100 }
		assert.same({}, addressed("and then?", speaker, 101), "too far away by now")
	end)

	it("lets villagers hear villagers only so long", function()
		local guard = hearing.guard(2)
		assert.is_true(guard:villager_spoke())
		assert.is_true(guard:villager_spoke())
		assert.is_false(guard:villager_spoke())
		guard:player_spoke()
		assert.is_true(guard:villager_spoke())
		assert.is_false(hearing.guard(0):villager_spoke())
	end)
end)
