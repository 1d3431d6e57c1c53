local registry = dofile("src/registry.lua")

local function run() return true end

describe("registry", function()
	local actions

	before_each(function() actions = registry.new() end)

	local function refuses(pattern, name, def)
		local ok, fault = pcall(actions.register, actions, name, def)
		assert.is_false(ok)
		assert.matches(pattern, fault)
		assert.matches("townsfolk.register_action", fault, 1, true)
	end

	describe("refuses loudly", function()
		it("names that are no tag's", function()
			for _, name in ipairs({ "", "Dance", "do it", "2step", ("x"):rep(33), 7 }) do
				refuses("a name is", name, { run = run })
			end
		end)

		it("definitions with nothing to run", function()
			refuses("run is missing", "dance", {})
			refuses("must be a table", "dance", "run")
		end)

		it("fields that are misspelt or of the wrong type", function()
			refuses('"phrase"', "dance", { run = run, phrase = { "dance" } })
			refuses("hostile is a string", "dance", { run = run, hostile = "yes" })
		end)

		it("what is registered already", function()
			actions:register("dance", { run = run })
			refuses("already registered", "dance", { run = run })
		end)

		it("arguments it does not understand", function()
			refuses(
				"must be one of: player",
				"a",
				{ run = run, args = { { name = "who", kind = "friend" } } }
			)
			refuses("needs a name", "a", { run = run, args = { { kind = "player" } } })
			refuses(
				"min over max",
				"a",
				{ run = run, args = { { name = "n", kind = "int", min = 3, max = 2 } } }
			)
			refuses(
				"must be whole",
				"a",
				{ run = run, args = { { name = "n", kind = "int", max = 1000001 } } }
			)
			refuses("must be whole", "a", { run = run, args = { { name = "n", kind = "int", min = 0.5 } } })
			refuses(
				"max_length",
				"a",
				{ run = run, args = { { name = "t", kind = "text", max_length = 501 } } }
			)
			refuses("needs choices", "a", { run = run, args = { { name = "c", kind = "choice" } } })
			refuses(
				"not one word",
				"a",
				{ run = run, args = { { name = "c", kind = "choice", choices = { "a b" } } } }
			)
			refuses(
				"not one word",
				"a",
				{ run = run, args = { { name = "c", kind = "choice", choices = { ("a"):rep(65) } } } }
			)
		end)

		it("more than the wire carries", function()
			local arg = { name = "n", kind = "int" }
			refuses("at most 4", "a", { run = run, args = { arg, arg, arg, arg, arg } })
			local phrases = {}
			for i = 1, 17 do
				phrases[i] = "please"
			end
			refuses("at most 16", "a", { run = run, phrases = phrases })
			for i = 1, 128 do
				actions:register("a" .. i, { run = run })
			end
			refuses("no room", "one_more", { run = run })
		end)
	end)

	it("lists specs by name and leaves empty lists out", function()
		actions:register("wave", { run = run })
		actions:register("attack", {
			run = run,
			hostile = true,
			description = "Fight.",
			phrases = { "kill it" },
			args = { { name = "mob", kind = "mob" }, { name = "times", kind = "int", max = 3 } },
		})
		assert.same({
			{
				name = "attack",
				description = "Fight.",
				hostile = true,
				phrases = { "kill it" },
				args = { { name = "mob", kind = "mob" }, { name = "times", kind = "int", min = 0, max = 3 } },
			},
			{ name = "wave" },
		}, actions:specs())
	end)

	it("forgets what is unregistered", function()
		actions:register("wave", { run = run })
		actions:unregister("wave")
		assert.is_nil(actions:get("wave"))
		actions:register("wave", { run = run })
	end)

	describe("reads", function()
		before_each(
			function()
				actions:register("all", {
					run = run,
					args = {
						{ name = "whom", kind = "player" },
						{ name = "count", kind = "int", min = 1, max = 9 },
						{ name = "words", kind = "text", max_length = 5 },
						{ name = "mood", kind = "choice", choices = { "sad", "glad" } },
					},
				})
			end
		)

		local function refused(pattern, ...)
			local values, reason = actions:read("all", { ... })
			assert.is_nil(values)
			assert.matches(pattern, reason)
		end

		it(
			"each argument by its kind",
			function()
				assert.same(
					{ "sam", 3, "hello", "glad" },
					actions:read("all", { "sam", "3", "hello", "glad" })
				)
			end
		)

		it("no more and no fewer than there are", function() refused("takes 4 arguments, not 1", "sam") end)

		it("no names with anything but a name in them", function()
			refused("one name", "sam the king", "3", "hello", "glad")
			refused("one name", ("x"):rep(65), "3", "hello", "glad")
		end)

		it("whole numbers within their limits", function()
			for _, number in ipairs({ "0", "10", "2.5", "two", "1e0", "0x3", "" }) do
				refused("whole number from 1 to 9", "sam", number, "hello", "glad")
			end
		end)

		it("texts by their characters, not bytes", function()
			assert.truthy(actions:read("all", { "sam", "3", "häää!", "glad" }))
			refused("longer than 5", "sam", "3", "hellos", "glad")
			refused("control characters", "sam", "3", "a\nb", "glad")
		end)

		it("one of the choices", function() refused("sad, glad", "sam", "3", "hello", "mad") end)
	end)
end)
