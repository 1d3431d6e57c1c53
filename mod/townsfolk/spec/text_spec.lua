local text = dofile("src/text.lua")

describe("text", function()
	it("takes out colours, translation marks and control characters", function()
		assert.equal("red apple", text.clean("\27(c@#ff0000)red\27(c@#ffffff) apple"))
		assert.equal("Apple", text.clean("\27(T@default)Apple\27E"))
		assert.equal("two lines", text.clean("two\r\nlines\0"))
	end)

	it("keeps well-formed UTF-8 and drops what is broken", function()
		assert.equal("Grüße 日本 😀", text.clean("Grüße 日本 😀"))
		assert.equal("ab", text.clean("a\255\192\128b"))
		assert.equal("x", text.clean("x\237\160\128"), "a surrogate is no character")
		assert.equal("x", text.clean("x\226\130"), "a character that breaks off")
	end)

	it("cuts at a character, not in one", function()
		assert.equal("日本", text.clean("日本語", 2))
		assert.equal(("ü"):rep(500), text.clean(("ü"):rep(700)))
	end)

	it("reads nothing as an empty text", function()
		assert.equal("", text.clean(nil))
		assert.equal("", text.clean("  \t "))
	end)

	it("knows which names the wire takes", function()
		assert.equal("default:torch", text.name("default:torch"))
		for _, name in ipairs({ "", "two words", "ü", ("x"):rep(65), 7 }) do
			assert.is_nil(text.name(name))
		end
		assert.is_nil(text.name(nil))
	end)

	it("rounds to a tenth", function()
		assert.near(2.3, text.tenth(2.26), 1e-9)
		assert.near(-2.3, text.tenth(-2.34), 1e-9)
	end)
end)
