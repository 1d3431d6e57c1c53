local post = dofile("src/post.lua")
local outbox = dofile("src/outbox.lua")

local function list(items) return { entries = items } end

describe("post", function()
	local p, letters, log

	before_each(function()
		p = post.new(outbox)
		letters =
			p:kind({ name = "letter", limit = 8, batch = 1, message = function(items) return items[1] end })
		log = p:kind({ name = "log", limit = 8, batch = 3, gap = 5, message = list })
	end)

	it("has nothing to send at first", function() assert.is_nil(p:next(0)) end)

	it("lets the kinds take turns", function()
		letters.box:push("a")
		letters.box:push("b")
		log.box:push(1)
		assert.equal("a", p:next(0).message)
		assert.same({ entries = { 1 } }, p:next(0).message)
		assert.equal("b", p:next(0).message)
	end)

	it("gathers until the gap is over or a message is full", function()
		log.box:push(1)
		assert.same({ 1 }, p:next(0).items)
		log.box:push(2)
		assert.is_nil(p:next(4.9))
		assert.same({ 2 }, p:next(5).items)
		for i = 1, 4 do
			log.box:push(i)
		end
		assert.same({ 1, 2, 3 }, p:next(5).items)
		assert.is_nil(p:next(5))
	end)

	it("takes back what was not delivered, in front of what came since", function()
		log.box:push(1)
		local parcel = p:next(0)
		log.box:push(2)
		post.give_back(parcel)
		assert.same({ 1, 2 }, p:next(5).items)
	end)
end)
