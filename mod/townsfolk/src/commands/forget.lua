-- ADAPTER: `/ai forget me`: all that the mod and the service have of a player is deleted, once they said yes.
local tf = ...

local listeners = tf.on_forget

local function forget(player)
	tf.demos.forget(player)
	tf.witness.forget(player)
	tf.talk.forget(player)
	tf.minds:forget_player(player)
	for _, fn in ipairs(listeners) do
		fn(player)
	end
	tf.mail.forget(player)
end

tf.commands.add(
	"forget",
	{ "forget me", "delete what the villagers and the service know about you" },
	function(player, rest)
		if rest == "me" then
			return true,
				"This permanently deletes what you said, rated and demonstrated, the answers you got, and what villagers "
					.. "remember of you. To confirm: /ai forget me yes"
		elseif rest ~= "me yes" then
			return false, "Usage: /ai forget me"
		end
		forget(player)
		local when = tf.link.connected() and "The service is being asked, too."
			or "The service will be asked as soon as it answers."
		return true, "The game has forgotten you. " .. when
	end
)
