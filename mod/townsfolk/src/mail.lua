-- ADAPTER: what is told to the service beside the steps: ratings, engagement, demonstrations, and that a player
-- is to be forgotten. Queued here, bounded; link.lua sends one at a time, between two steps.
local tf = ...

local mail = {}

local GATHER = 5 -- seconds for which signs of engagement are gathered
local FORGET = "forget:"

local storage = core.get_mod_storage()
local post = tf.post.new(tf.outbox)

local function only(items) return items[1] end

local ratings = post:kind({ name = "rating", path = "/v1/ratings", limit = 64, batch = 1, message = only })
local demos = post:kind({ name = "demonstration", path = "/v1/demos", limit = 64, batch = 1, message = only })
local forgets = post:kind({
	name = "wish to be forgotten",
	path = "/v1/feedback/forget",
	limit = 256,
	batch = 1,
	message = function(items) return { game_id = tf.greeting.game_id(), player = items[1].player } end,
	delivered = function(items) mail.forgotten(items[1].player) end,
})
local log = post:kind({
	name = "log",
	path = "/v1/log",
	limit = 256,
	batch = 64,
	gap = GATHER,
	message = function(items) return { entries = items } end,
})

-- `player` finds the turn good (1) or bad (-1).
function mail.rate(turn_id, player, value)
	ratings.box:push({ turn_id = turn_id, player = player, value = value, game_id = tf.greeting.game_id() })
end

-- A sign of engagement: the wire's `LogEntry` but for the game.
function mail.log(entry)
	entry.game_id = tf.greeting.game_id()
	log.box:push(entry)
end

-- Steps of a demonstration: the wire's `DemoBatch` but for the game.
function mail.demonstrate(batch)
	batch.game_id = tf.greeting.game_id()
	demos.box:push(batch)
end

-- Of `items` those of players who have not asked to be forgotten.
local function without_forgotten(items)
	local kept = {}
	for _, item in ipairs(items) do
		if storage:get_string(FORGET .. tostring(item.player)) == "" then
			kept[#kept + 1] = item
		end
	end
	return kept
end

-- The service is to forget `player`. The wish outlives a restart; what waits of the player is dropped.
function mail.forget(player)
	storage:set_string(FORGET .. player, "1")
	for _, kind in ipairs({ ratings, demos, log }) do
		kind.box:give_back(without_forgotten(kind.box:take(kind.limit)))
	end
	forgets.box:push({ player = player })
end

function mail.forgotten(player)
	storage:set_string(FORGET .. player, "")
	core.log("action", "[townsfolk] the service has forgotten " .. player)
	core.chat_send_player(
		player,
		"The service has forgotten you: what you said, rated and showed is deleted."
	)
end

for key in pairs(storage:to_table().fields) do
	if key:sub(1, #FORGET) == FORGET then
		forgets.box:push({ player = key:sub(#FORGET + 1) })
	end
end

local function delivered(parcel)
	if parcel.kind.delivered then
		parcel.kind.delivered(parcel.items)
	end
end

-- Sending it again is no use.
local function refused(parcel, reason)
	local player = tostring(parcel.items[1].player)
	core.log("warning", ("[townsfolk] a %s of %s was not taken: %s"):format(parcel.kind.name, player, reason))
	if parcel.kind == forgets then
		core.chat_send_player(
			player,
			"The service could not forget you yet, it will be asked again: " .. reason
		)
	end
end

-- Sends what is due, if anything is; true where it did. settle(meaning, value, retry_after_ms) is told what came
-- of it, and gives true where it went well.
function mail.send(now, settle)
	local parcel = post:next(now)
	if not parcel then
		return false
	end
	tf.requests.post(parcel.kind.path, parcel.message, function(what, value, retry_after_ms)
		if what == "rejected" then
			settle("ok")
			refused(parcel, value)
		elseif settle(what, value, retry_after_ms) then
			delivered(parcel)
		else
			if parcel.kind ~= forgets then
				parcel.items = without_forgotten(parcel.items)
			end
			tf.post.give_back(parcel)
		end
	end)
	return true
end

return mail
