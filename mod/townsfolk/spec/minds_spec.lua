local minds = dofile("src/minds.lua")
local outbox = dofile("src/outbox.lua")
local delta = dofile("src/delta.lua")

local function ids(list)
	local found = {}
	for i, mind in ipairs(list) do
		found[i] = mind.id
	end
	return found
end

local function kinds(events)
	local found = {}
	for i, event in ipairs(events) do
		found[i] = event.kind
	end
	return found
end

describe("minds", function()
	local m

	local function due(now, most) return ids(m:due({ "a", "b", "c" }, most or 64, now)) end

	before_each(function()
		m = minds.new(20, 3, outbox, delta)
		m:due({ "a", "b", "c" }, 64, 0)
	end)

	it("is due each tick where nothing happens", function()
		assert.same({}, due(19))
		assert.same({ "a", "b", "c" }, due(20))
		assert.same({ "tick" }, kinds(m:take("a", 20)))
		assert.same({ "b", "c" }, due(21))
	end)

	it("is due at once when spoken to, before all others", function()
		m:add("c", { kind = "spoken_to", at = 20 }, 20)
		assert.same({ "c" }, due(20, 1))
		m:take("c", 20)
		assert.same({ "a", "b" }, due(20))
	end)

	it("waits for a gap when something notable happens", function()
		m:add("b", { kind = "punched", at = 1 }, 1)
		assert.same({}, due(2.9))
		assert.same({ "b" }, due(3))
	end)

	it("keeps small news for the next tick", function()
		m:add("b", { kind = "heard", at = 1 }, 1)
		assert.same({}, due(10))
		m:add("b", { kind = "spoken_to", at = 10 }, 10)
		assert.same({ "heard", "spoken_to" }, kinds(m:take("b", 10)))
	end)

	it("asks for a decision each tick, whatever small news there is", function()
		for i = 1, 40 do
			m:add("a", { kind = "heard", at = i / 40 }, i / 40)
		end
		local told = kinds(m:take("a", 20))
		assert.equal(32, #told)
		assert.equal("tick", told[32])
		m:add("a", { kind = "arrived", at = 25 }, 25)
		assert.same({ "heard", "arrived" }, kinds(m:take("a", 39)))
	end)

	it("asks for nothing while one is engaged, but tells what is urgent or notable", function()
		m:engage("a", true, 1)
		m:add("a", { kind = "heard", at = 1 }, 1)
		assert.same({ "b", "c" }, due(20))
		m:add("a", { kind = "gift", at = 21 }, 21)
		assert.same({ "a" }, due(21, 1))
		assert.same({ "heard", "gift" }, kinds(m:take("a", 21)))
		m:engage("a", false, 30)
		assert.same({ "b", "c" }, due(40))
		assert.same({ "tick" }, kinds(m:take("a", 41)))
	end)

	it("tells again, later, what was not taken; ticks are not worth it", function()
		m:add("a", { kind = "spoken_to", at = 1 }, 1)
		m:give_back("a", m:take("a", 1), 2)
		assert.same({}, due(1.5))
		assert.same({ "a" }, due(2))
		assert.same({ "spoken_to" }, kinds(m:take("a", 2)))
		m:give_back("a", { { kind = "tick", at = 2 } }, 0)
		assert.same({}, due(3))
	end)

	it("forgets what is old", function()
		m:add("a", { kind = "spoken_to", at = 1 }, 1)
		m:add("a", { kind = "heard", at = 9 }, 9)
		m:expire(5, 10)
		assert.same({}, due(10))
		assert.same({ "heard" }, kinds(m:take("a", 10)))
	end)

	it("forgets what a player said and did", function()
		m:add("a", { kind = "heard", at = 1, who = "sam" }, 1)
		m:add("a", { kind = "heard", at = 1, who = "ann" }, 1)
		m:forget_player("sam")
		assert.same({ { kind = "heard", at = 1, who = "ann" } }, m:take("a", 1))
	end)

	it("gives nothing back to who is gone", function()
		m:forget("a")
		assert.has_no.errors(function() m:give_back("a", { { kind = "heard", at = 1 } }, 0) end)
	end)
end)
