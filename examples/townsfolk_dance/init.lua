townsfolk.register_action("dance", {
	description = "Dance on the spot for some seconds.",
	args = { { name = "seconds", kind = "int", min = 1, max = 20 } },
	phrases = { "dance", "dance for me", "show me your moves", "let's dance", "shake a leg" },
	run = function(villager, args)
		local left = args[1]
		return {
			step = function(dtime)
				left = left - dtime
				villager.object:set_yaw(villager.object:get_yaw() + 6 * dtime)
				return left <= 0 or nil
			end,
		}
	end,
})
