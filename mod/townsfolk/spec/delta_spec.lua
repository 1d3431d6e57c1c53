local delta = dofile("src/delta.lua")

local function parts(distance, x)
	return {
		me = { position = { x = x or 0, y = 1, z = 0 }, doing = "" },
		around = { things = { { kind = "player", name = "sam", distance = distance, direction = "north" } } },
	}
end

local function names(changed)
	local list = {}
	for name in pairs(changed) do
		list[#list + 1] = name
	end
	table.sort(list)
	return list
end

describe("delta", function()
	local d

	before_each(function()
		d = delta.new()
		d:changed(parts(5))
	end)

	it(
		"sends all until it is acknowledged",
		function() assert.same({ "around", "me" }, names(d:changed(parts(5)))) end
	)

	it("leaves out what did not change", function()
		d:acknowledge()
		assert.same({}, names(d:changed(parts(5))))
		assert.same({}, names(d:changed(parts(5.9, 0.4))), "less than a node")
	end)

	it("sends what changed, alone", function()
		d:acknowledge()
		assert.same({ "around" }, names(d:changed(parts(6.1))))
		assert.same({ "me" }, names(d:changed(parts(5, 2))))
	end)

	it("adds up small changes", function()
		d:acknowledge()
		assert.same({}, names(d:changed(parts(5.6))))
		d:acknowledge()
		assert.same({ "around" }, names(d:changed(parts(6.2))))
	end)

	it("sends all anew after a reset", function()
		d:acknowledge()
		d:reset()
		assert.same({ "around", "me" }, names(d:changed(parts(5))))
	end)

	it("sees that the last thing went away", function()
		d:acknowledge()
		assert.same({ "around" }, names(d:changed({ around = {} })))
		d:acknowledge()
		assert.same({}, names(d:changed({ around = {} })))
	end)
end)

describe("delta.same", function()
	it("does not mind the order of a list", function()
		assert.is_true(delta.same({ { name = "a" }, { name = "b" } }, { { name = "b" }, { name = "a" } }))
		assert.is_false(delta.same({ { name = "a" }, { name = "a" } }, { { name = "b" }, { name = "a" } }))
	end)

	it("minds every other field", function()
		assert.is_false(delta.same({ hp = 20 }, { hp = 19.5 }))
		assert.is_false(delta.same({ held = "default:torch" }, {}))
		assert.is_false(delta.same({}, { held = "default:torch" }))
	end)
end)
