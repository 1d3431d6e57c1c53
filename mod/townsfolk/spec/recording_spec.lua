local recording = dofile("src/recording.lua")
local tag = dofile("src/tag.lua")

local function at(x, y, z) return { x = x, y = y, z = z } end

describe("recording", function()
	local r

	local function actions(steps)
		local list = {}
		for i, step in ipairs(steps) do
			list[i] = step.action
		end
		return list
	end

	before_each(function() r = recording.new("hut", at(10, 1, 20), tag) end)

	it("counts places from where it began", function()
		local detail = { node = "default:wood", under = at(11, 0, 20) }
		local step = r:add("place", { "default:wood" }, at(11, 1, 20), detail)
		assert.equal("place default:wood", step.action)
		assert.same(at(1, 0, 0), step.place)
		assert.same(at(1, -1, 0), step.under)
		assert.same(at(101, 5, 7), recording.absolute(step.place, at(100, 5, 7)))
	end)

	it("makes a move of every four nodes in one direction", function()
		assert.is_nil(r:walked(at(13, 1, 20)))
		assert.equal("move_east", r:walked(at(14, 1, 20)).action)
		assert.is_nil(r:walked(at(14, 1, 23)))
		assert.equal("move_north", r:walked(at(14, 1, 24.2)).action)
		assert.equal("move_south", r:walked(at(14, 1, 20)).action)
	end)

	it("knows whether a walk has begun", function()
		assert.is_true(r:is_at_start(at(10, 1, 20)))
		r:walked(at(12, 1, 20))
		assert.is_false(r:is_at_start(at(12, 1, 20)))
		r:walked(at(14, 1, 20))
		assert.is_true(r:is_at_start(at(14, 2, 20)))
	end)

	it("takes no teleport for a walk", function()
		assert.is_nil(r:walked(at(500, 1, 20)))
		assert.equal("move_west", r:walked(at(496, 1, 20)).action)
	end)

	it("is full at its bound", function()
		for _ = 1, recording.MAX_STEPS do
			assert.is_false(r:is_full())
			r:add("dig", { "default:dirt" }, at(0, 0, 0))
		end
		assert.is_true(r:is_full())
	end)

	it("plans no move that another step makes anyway", function()
		r:walked(at(14, 1, 20))
		r:add("place", { "default:wood" }, at(15, 1, 20))
		r:walked(at(18, 1, 20))
		r:walked(at(22, 1, 20))
		r:add("say", { "Here it is" }, at(22, 1, 20))
		r:walked(at(18, 1, 20))
		local planned = actions(recording.plan(r.steps))
		assert.same({ "place default:wood", "move_east", 'say "Here it is"', "move_west" }, planned)
	end)

	it("tells what is needed; what is crafted on the way counts", function()
		r:add("craft", { "default:wood", "4" }, at(0, 0, 0), { grid = { "default:tree", "" }, width = 1 })
		for _ = 1, 6 do
			r:add("place", { "default:wood" }, at(0, 0, 0))
		end
		assert.same({ ["default:tree"] = 1, ["default:wood"] = 2 }, recording.needs(r.steps, tag))
	end)

	it("sums up", function()
		assert.equal("nothing yet", recording.summary(r.steps))
		r:add("dig", { "default:dirt" }, at(0, 0, 0))
		r:walked(at(14, 1, 20))
		r:walked(at(10, 1, 20))
		assert.equal("2 move, 1 dig", recording.summary(r.steps))
	end)
end)
