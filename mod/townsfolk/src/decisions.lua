-- PURE: from the service's reply to speech and submitted actions. Takes nothing for granted: what is
-- not shaped as the contract says is left out, and what was decided on an old view of the world is
-- dropped and told; so is what claims to come from the future: the clock was set back since.

local decisions = {}
decisions.__index = decisions

-- hooks: villager(id) -> record or nil; say(villager, line, decision);
--        submit(villager, action, context); stale(decision, actions)
-- stale_after: seconds from the snapshot
function decisions.new(hooks, stale_after)
	return setmetatable({ hooks = hooks, stale_after = stale_after }, decisions)
end

local function list(value) return type(value) == "table" and value or {} end

local function is_decision(decision)
	return type(decision) == "table"
		and type(decision.villager_id) == "string"
		and type(decision.turn_id) == "string"
		and type(decision.snapshot_time) == "number"
end

-- {name, args} with all texts, or nil.
local function action_of(action)
	if type(action) ~= "table" or type(action.name) ~= "string" then
		return nil
	end
	local args = {}
	for i, arg in ipairs(list(action.args)) do
		if type(arg) ~= "string" then
			return nil
		end
		args[i] = arg
	end
	return { name = action.name, args = args }
end

local function actions_of(decision)
	local actions = {}
	for _, action in ipairs(list(decision.actions)) do
		actions[#actions + 1] = action_of(action)
	end
	return actions
end

-- The player who is answered, or nil.
function decisions.player(decision)
	local player = decision.reply_to
	return type(player) == "string" and player ~= "" and player or nil
end

function decisions:carry_out(villager, decision, now)
	if type(decision.speech) == "string" and decision.speech:find("%S") then
		self.hooks.say(villager, decision.speech, decision)
	end
	local context = {
		turn_id = decision.turn_id,
		snapshot_time = decision.snapshot_time,
		decided_at = now,
		player = decisions.player(decision),
		private = decision.private == true,
	}
	for _, action in ipairs(actions_of(decision)) do
		self.hooks.submit(villager, action, context)
	end
end

-- Routes every decision of a reply (`StepReply`) at time `now`.
function decisions:route(reply, now)
	for _, decision in ipairs(list(reply.decisions)) do
		local villager = is_decision(decision) and self.hooks.villager(decision.villager_id)
		local age = villager and now - decision.snapshot_time
		if villager and (age < 0 or age > self.stale_after) then
			self.hooks.stale(decision, actions_of(decision))
		elseif villager then
			self:carry_out(villager, decision, now)
		end
	end
end

return decisions
