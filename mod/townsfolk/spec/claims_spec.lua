local claims = dofile("src/claims.lua")

describe("claims", function()
	it("belong to who came first", function()
		local held = claims.new(30)
		assert.is_true(held:take("1,2,3", "v1", 0))
		assert.is_false(held:take("1,2,3", "v2", 1))
		assert.equal("v1", held:holder("1,2,3", 1))
	end)

	it("can be taken again by their holder", function()
		local held = claims.new(30)
		held:take("1,2,3", "v1", 0)
		assert.is_true(held:take("1,2,3", "v1", 1))
	end)

	it("are free once released, and only those of the one who released", function()
		local held = claims.new(30)
		held:take("a", "v1", 0)
		held:take("b", "v2", 0)
		held:release("v1")
		assert.is_true(held:take("a", "v2", 1))
		assert.is_false(held:take("b", "v1", 1))
	end)

	it("stay with who took them since, where what was held before is given back", function()
		local held = claims.new(30)
		held:take("a", "v1", 0)
		held:take("b", "v1", 0)
		local before = held.taken
		held:take("a", "v1", 1)
		held:release("v1", before)
		assert.is_false(held:take("a", "v2", 1))
		assert.is_true(held:take("b", "v2", 1))
	end)

	it("are void when they were forgotten", function()
		local held = claims.new(30)
		held:take("a", "v1", 0)
		assert.is_true(held:take("a", "v2", 30))
	end)

	it("can be made on things as well as on names", function()
		local held, item, twin = claims.new(30), {}, {}
		held:take(item, "v1", 0)
		assert.is_true(held:take(twin, "v2", 0))
		assert.is_false(held:take(item, "v2", 0))
	end)

	it("are asked for in the order of time, then of the villager's id, then of submission", function()
		local function request(snapshot_time, villager_id, number)
			return { snapshot_time = snapshot_time, villager_id = villager_id, number = number }
		end
		local list = { request(2, "v1", 1), request(1, "v2", 4), request(1, "v1", 3), request(1, "v1", 2) }
		claims.sort(list)
		local order = {}
		for i, item in ipairs(list) do
			order[i] = item.villager_id .. "/" .. item.number
		end
		assert.same({ "v1/2", "v1/3", "v2/4", "v1/1" }, order)
	end)
end)
