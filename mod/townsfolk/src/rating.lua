-- ADAPTER: a player's thumb up or down for a reply, from the form or from `/ai rate`.
local tf = ...

local rating = {}

-- Rates one of the replies that `player` got; false where it is not theirs or was rated so already.
function rating.give(player, turn_id, value)
	if not tf.text.name(player) or not tf.talk.replies:rate(player, turn_id, value) then
		return false
	end
	tf.mail.rate(turn_id, player, value)
	return true
end

-- Rates the last reply, of the villager `v` where one is given. The name of the rated villager, or nil
-- and the reason.
function rating.give_last(player, value, v)
	local reply = tf.talk.replies:of(player, v and v.id)[1]
	if not reply then
		return nil, (v and v.name or "No villager") .. " has not answered you yet."
	elseif not rating.give(player, reply.turn_id, value) then
		return nil, "You have already given that reply this rating."
	end
	return reply.name
end

return rating
