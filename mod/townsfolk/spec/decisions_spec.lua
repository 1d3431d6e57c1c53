local decisions = dofile("src/decisions.lua")

local function decision(fields)
	local made = { villager_id = "v1", turn_id = "t1", part = 0, done = true, snapshot_time = 100 }
	for field, value in pairs(fields) do
		made[field] = value
	end
	return made
end

describe("decisions", function()
	local d, said, submitted, stale

	before_each(function()
		said, submitted, stale = {}, {}, {}
		d = decisions.new({
			villager = function(id) return id == "v1" and { id = id } or nil end,
			say = function(_, line) said[#said + 1] = line end,
			submit = function(_, action, context)
				submitted[#submitted + 1] = { action = action, context = context }
			end,
			stale = function(_, actions) stale[#stale + 1] = actions end,
		}, 10)
	end)

	local function route(...) d:route({ decisions = { ... } }, 105) end

	it("says speech and submits actions in order", function()
		local actions = { { name = "follow", args = { "sam" } }, { name = "wave", args = {} } }
		route(decision({ speech = "Coming!", reply_to = "sam", private = true, actions = actions }))
		assert.same({ "Coming!" }, said)
		assert.same({ name = "follow", args = { "sam" } }, submitted[1].action)
		assert.same({
			turn_id = "t1",
			snapshot_time = 100,
			decided_at = 105,
			player = "sam",
			private = true,
		}, submitted[1].context)
		assert.equal("wave", submitted[2].action.name)
	end)

	it("says nothing where there is nothing to say", function()
		route(decision({ speech = "", reply_to = "", actions = {} }), decision({ speech = "  " }))
		assert.same({}, said)
	end)

	it("drops what is stale and tells its actions", function()
		route(decision({ snapshot_time = 94, speech = "Late.", actions = { { name = "dig", args = {} } } }))
		assert.same({}, said)
		assert.same({ { { name = "dig", args = {} } } }, stale)
	end)

	it("leaves out villagers that are gone", function()
		route(decision({ villager_id = "v9", speech = "Hello." }))
		assert.same({}, said)
	end)

	it("survives whatever is sent", function()
		route(
			7,
			"x",
			{},
			{ villager_id = 7 },
			decision({ snapshot_time = "now", speech = "no" }),
			decision({ speech = 7, actions = "all", reply_to = 3 }),
			decision({ actions = { { name = 7 }, "x", { name = "dig", args = { {} } }, { name = "wave" } } })
		)
		d:route({ decisions = "none" }, 105)
		d:route({}, 105)
		assert.same({}, said)
		assert.equal(1, #submitted)
		assert.same({ name = "wave", args = {} }, submitted[1].action)
	end)
end)
