local outbox = dofile("src/outbox.lua")

describe("outbox", function()
	local box

	before_each(function()
		box = outbox.new(3)
		for i = 1, 4 do
			box:push(i)
		end
	end)

	it("drops the oldest and counts them", function()
		assert.same({ 2, 3, 4 }, box:take(9))
		assert.equal(1, box.dropped)
		assert.equal(0, box:count())
	end)

	it("gives some and keeps the rest", function()
		assert.same({ 2, 3 }, box:take(2))
		assert.same({ 4 }, box:take(2))
	end)

	it("takes back what was not delivered, in front of what came since", function()
		local taken = box:take(2)
		box:push(5)
		box:give_back(taken)
		assert.same({ 3, 4, 5 }, box:take(9))
		assert.equal(2, box.dropped)
	end)
end)
