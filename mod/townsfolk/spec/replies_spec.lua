local replies = dofile("src/replies.lua")

local mira, odo = { id = "v1", name = "Mira" }, { id = "v2", name = "Odo" }

describe("replies", function()
	local r

	before_each(function()
		r = replies.new(2)
		r:add("sam", "t1", mira, "Hello.")
		r:add("sam", "t1", mira, "How are you?")
		r:add("sam", "t2", odo, "Good day.")
	end)

	it("joins the parts of a turn, newest first", function()
		assert.equal("Good day.", r:of("sam")[1].text)
		assert.equal("Hello. How are you?", r:of("sam")[2].text)
		assert.equal("t1", r:of("sam", "v1")[1].turn_id)
		assert.same({}, r:of("ann"))
	end)

	it("keeps the last few", function()
		r:add("sam", "t3", odo, "Yes.")
		assert.equal(2, #r:of("sam"))
		assert.same({}, r:of("sam", "v1"))
	end)

	it("is rated by who got it, once so and once otherwise", function()
		assert.is_true(r:rate("sam", "t1", 1))
		assert.is_false(r:rate("sam", "t1", 1))
		assert.is_true(r:rate("sam", "t1", -1))
		assert.is_false(r:rate("ann", "t1", 1))
	end)

	it("forgets who leaves", function()
		r:forget("sam")
		assert.same({}, r:of("sam"))
	end)
end)
