-- ADAPTER: actions towards others that change nothing in the world: say, wave, look_at, wait, stop.
local tf = ...

local register = tf.actions.register
local WAVE_SECONDS = 1.2

register("say", {
	description = "Say something aloud.",
	args = { { name = "words", kind = "text", max_length = 200 } },
	phrases = {
		"say hello",
		"tell everybody that it is late",
		"say something nice",
		"call out to the others",
		"announce the feast",
		"repeat after me",
	},
	run = function(v, args, ctx)
		return tf.talk.say(v, args[1], { to = ctx.player, private = ctx.private, turn_id = ctx.turn_id })
	end,
})

register("wave", {
	description = "Wave a hand in greeting.",
	phrases = {
		"wave",
		"wave at me",
		"wave goodbye",
		"hello",
		"hi",
		"hey there",
		"good morning",
		"good day",
		"good evening",
		"goodbye",
		"bye",
		"farewell",
		"see you later",
	},
	run = function(v)
		-- The player models have no wave; the arm's swing reads as one.
		tf.look.animate(v, "mine")
		core.after(WAVE_SECONDS, tf.look.rest, v)
		return true
	end,
})

register("look_at", {
	description = "Turn to look at a player, villager or mob.",
	args = { { name = "whom", kind = "creature" } },
	phrases = {
		"look at me",
		"face me",
		"turn around and look at me",
		"look over here",
		"watch {player}",
		"look at {player}",
	},
	run = function(v, args)
		tf.body.face(v, tf.targets.pos(args[1]))
		return true
	end,
})

register("wait", {
	description = "Stay here for some seconds.",
	args = { { name = "seconds", kind = "int", min = 1, max = 60 } },
	phrases = {
		"wait here",
		"wait a moment",
		"stay here for a while",
		"wait for me",
		"hold on",
		"give me a minute",
		"don't move",
	},
	run = function(_, args)
		local left = args[1]
		return {
			step = function(dtime)
				left = left - dtime
				return left <= 0 or nil
			end,
		}
	end,
})

register("stop", {
	description = "Stop what you are doing.",
	phrases = {
		"stop",
		"stop it",
		"that's enough",
		"stop following me",
		"leave it",
		"never mind",
		"halt",
		"stop what you are doing",
	},
	run = function(v)
		tf.execute.stop(v)
		return true
	end,
})
