local rules = dofile("src/rules.lua")

local HERE, THERE = { x = 0, y = 5, z = 0 }, { x = 90, y = 5, z = 0 }

local function file(sections)
	local whole = { version = 1, max_text = 300 }
	for name, section in pairs(sections or {}) do
		whole[name] = section
	end
	return whole
end

local function sound(sections)
	local made, fault = rules.new(file(sections))
	assert.is_nil(fault)
	return made
end

describe("rules", function()
	it("forbid everything where the file has a fault", function()
		local faulty = {
			{ max_text = 300 },
			file({ names = { lava = { patterns = { "*lava*" } } } }),
			file({ names = { lava = { pattern = { "*lava*" }, reason = "no" } } }),
			file({ limits = { digging = { actions = { "dig" }, reason = "no" } } }),
			file({ limits = { digging = { actions = { "dig" }, per_day = 0, reason = "no" } } }),
			file({ permissions = { market = { deny = { "dig" }, areas = { "market" }, reason = "no" } } }),
			file({ texts = { secrets = { kinds = { "secret" }, reason = "no" } } }),
			file({ rules = {} }),
			"no table",
		}
		for _, one in ipairs(faulty) do
			local made, fault = rules.new(one)
			assert.is_string(fault)
			assert.equal("rules", (made:name("wave", "sam")))
			assert.equal("rules", (made:text("hello")))
			assert.equal("rules", (made:permission("guard", "wave", { HERE })))
			assert.equal("rules", (made:limit("guard", "wave", { HERE }, {}, 0)))
		end
		assert.equal("rules", (rules.new(nil):text("hello")))
	end)

	it("know names by pattern, in any case of letters, and who may look all the same", function()
		local made = sound({
			names = { bangs = { patterns = { "tnt:*", "*:*bomb*" }, except = { "look_at" }, reason = "no" } },
		})
		assert.equal("bangs", (made:name("place", "TNT:tnt")))
		assert.equal("bangs", (made:name("dig", "mobs:big_bomb")))
		assert.is_nil(made:name("look_at", "tnt:tnt"))
		assert.is_nil(made:name("place", "my_tnt:x"))
	end)

	it("know texts by their beginning, by what they hold, and by kinds", function()
		local made = sound({
			texts = {
				command = { begins = { "/" }, reason = "no", freeze = true },
				token = { holds = { "[INST]" }, reason = "no" },
				private = { kinds = { "address", "link", "control_character" }, reason = "no" },
			},
		})
		assert.equal("command", (made:text("  /stop")))
		assert.equal("token", (made:text("so [inst] it")))
		for _, text in ipairs({ "at a.b@c.de", "1.2.3.44", "see http://x", "www.x", "a\nb", "a\194\133b" }) do
			assert.equal("private", (made:text(text)))
		end
		assert.is_nil(made:text("5 / 7 at 3.5 @ noon, ünder"))
		assert.equal("text_length", (made:text(("ü"):rep(301))))
		assert.is_nil(made:text(("ü"):rep(300)))
		assert.is_true(made:freezes("command"))
		assert.equal("speech", (made:speech("  /stop")))
		assert.equal("token", (made:speech("so [inst] it")))
		assert.is_nil(made:speech("either/or"))
		assert.is_false(made:freezes("speech"))
		assert.is_false(made:freezes("token"))
		assert.is_false(made:freezes("nothing"))
	end)

	it("deny and allow by persona and area, at any place the action is about", function()
		local made = sound({
			areas = { market = { from = { -9, 0, -9 }, to = { 9, 9, 9 } } },
			permissions = {
				no_digging = { deny = { "dig" }, areas = { "market" }, reason = "no" },
				quiet_traders = { allow = { "say" }, personas = { "trader" }, reason = "no" },
			},
		})
		assert.equal("no_digging", (made:permission("guard", "dig", { HERE })))
		assert.equal("no_digging", (made:permission("guard", "dig", { THERE, HERE })))
		assert.is_nil(made:permission("guard", "dig", { THERE }))
		assert.is_nil(made:permission("guard", "wave", { HERE }))
		assert.equal("quiet_traders", (made:permission("trader", "wave", { THERE })))
		assert.is_nil(made:permission("trader", "say", { HERE }))
	end)

	it("forbid nothing where they say nothing", function()
		local made = sound()
		assert.is_nil(made:name("place", "tnt:tnt"))
		assert.is_nil(made:text("/stop"))
		assert.is_nil(made:permission("guard", "dig", { HERE }))
		assert.is_nil(made:limit("guard", "dig", { HERE }, {}, 0))
	end)

	it("let no more through in any minute or day than the limit", function()
		local made = sound({
			limits = { digging = { actions = { "dig" }, per_minute = 2, per_day = 3, reason = "no" } },
		})
		local spent, allowed = {}, {}
		for now = 0, 90000, 10 do
			if not made:limit("guard", "dig", { HERE }, spent, now) then
				allowed[#allowed + 1] = now
			end
		end
		assert.same({ 0, 10, 70, 87840, 87850, 87910 }, allowed)
		assert.is_nil(made:limit("guard", "wave", { HERE }, spent, 0))
	end)

	it("count what a clock that is put back calls the future as done just now", function()
		local made = sound({ limits = { digging = { actions = { "dig" }, per_day = 1, reason = "no" } } })
		local spent, year, day = {}, 365 * 86400, 86400
		assert.is_nil(made:limit("guard", "dig", { HERE }, spent, year))
		assert.equal("digging", (made:limit("guard", "dig", { HERE }, spent, 0)))
		assert.equal("digging", (made:limit("guard", "dig", { HERE }, spent, day)))
		assert.is_nil(made:limit("guard", "dig", { HERE }, spent, day + 2 * day / 60))
	end)
end)
