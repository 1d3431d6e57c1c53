local engagement = dofile("src/engagement.lua")
local geometry = dofile("src/geometry.lua")

local function at(x) return { x = x, y = 0, z = 0 } end

describe("engagement", function()
	local e, told

	local function kinds()
		local names = {}
		for i, entry in ipairs(told) do
			names[i] = entry.kind
		end
		return names
	end

	before_each(function()
		told = {}
		e = engagement.new(function(entry) told[#told + 1] = entry end, geometry.distance)
		e:spoke("sam", "v1", "t1", at(0), 100)
	end)

	it("tells an answer once, with the turn it followed on", function()
		e:heard("sam", "v1", 104)
		e:heard("sam", "v1", 105)
		e:heard("ann", "v1", 105)
		local sign =
			{ villager_id = "v1", player = "sam", kind = "answered", text = "4 s", at = 104, turn_id = "t1" }
		assert.same({ sign }, told)
	end)

	it("takes no late word for an answer", function()
		e:heard("sam", "v1", 121)
		assert.same({}, told)
	end)

	it("begins anew with each turn, not with each part of one", function()
		e:heard("sam", "v1", 104)
		e:spoke("sam", "v1", "t1", at(0), 105)
		e:heard("sam", "v1", 106)
		e:spoke("sam", "v1", "t2", at(0), 107)
		e:heard("sam", "v1", 108)
		assert.same({ "answered", "answered" }, kinds())
		assert.equal("t2", told[2].turn_id)
	end)

	it("sees who leaves at once, and not who leaves after an answer", function()
		e:look({ sam = at(13) }, { v1 = at(0) }, 105)
		assert.same({ "left" }, kinds())
		e:spoke("sam", "v1", "t2", at(0), 200)
		e:heard("sam", "v1", 202)
		e:look({ sam = at(13) }, { v1 = at(0) }, 205)
		assert.same({ "left", "answered" }, kinds())
	end)

	it("sees who leaves the server", function()
		e:gone("ann", 103)
		e:gone("sam", 103)
		assert.same({ "left" }, kinds())
	end)

	it("sees who stays, who walks along and who trades", function()
		e:look({ sam = at(2) }, { v1 = at(0) }, 131)
		e:look({ sam = at(9) }, { v1 = at(7) }, 140)
		e:traded("sam", "v1", "default:apple 2", 150)
		e:traded("sam", "v1", "default:apple 2", 170)
		assert.same({ "stayed", "followed", "traded" }, kinds())
		assert.equal("default:apple 2", told[3].text)
	end)

	it("is not interested in what happens a minute later", function()
		e:look({ sam = at(2) }, { v1 = at(0) }, 161)
		e:traded("sam", "v1", "default:apple 2", 161)
		assert.same({}, told)
	end)

	it("sees who comes back after a while", function()
		e:look({}, { v1 = at(0) }, 150)
		e:look({ sam = at(20) }, { v1 = at(0) }, 200)
		e:look({ sam = at(3) }, { v1 = at(0) }, 300)
		e:look({ sam = at(3) }, { v1 = at(0) }, 301)
		assert.same({ "came_back" }, kinds())
		assert.equal("t1", told[1].turn_id)
	end)

	it("forgets players, and pairs beyond its bound", function()
		e:forget("sam")
		e:heard("sam", "v1", 101)
		assert.same({}, told)
		for i = 1, 300 do
			e:spoke("player" .. i, "v1", "t", at(0), 200 + i)
		end
		assert.equal(256, e.count)
		e:heard("player1", "v1", 205)
		assert.same({}, told)
		e:heard("player300", "v1", 501)
		assert.same({ "answered" }, kinds())
	end)
end)
