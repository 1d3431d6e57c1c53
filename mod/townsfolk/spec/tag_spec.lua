local tag = dofile("src/tag.lua")

describe("tag", function()
	it("is the name and its arguments", function()
		assert.equal("move_north", tag.format("move_north"))
		assert.equal("give default:apple 2 sam", tag.format("give", { "default:apple", "2", "sam" }))
	end)

	it("quotes what has spaces or is empty, as the service does", function()
		assert.equal('say "Good day"', tag.format("say", { "Good day" }))
		assert.equal('say ""', tag.format("say", { "" }))
		assert.equal("say Hello!", tag.format("say", { "Hello!" }))
	end)

	it("is read back as it was written", function()
		for _, args in ipairs({
			{},
			{ "sam" },
			{ "Good day to you" },
			{ "" },
			{ "default:apple", "2", "sam" },
		}) do
			local name, read = tag.parse(tag.format("act", args))
			assert.equal("act", name)
			assert.same(args, read)
		end
	end)

	it("is none without a name in lower case", function()
		for _, text in ipairs({ "", "  ", "Say hi", "9lives", "rm-rf" }) do
			assert.is_nil((tag.parse(text)))
		end
	end)

	it("says where a quote is not closed", function()
		local name, fault = tag.parse('say "never ends')
		assert.is_nil(name)
		assert.matches("character 5", fault)
	end)
end)
