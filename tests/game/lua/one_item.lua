-- A world with one item on the ground, around the mod's own decisions.lua, claims.lua and execute.lua. What those
-- leave to the engine (bodies, targets, hands) is as small here as can be; test_two_after_one.py drives it.
local src = ...

local WALK_STEPS = 2 -- between an action's start and the hand on the item

local world = { now = 0, item = true, taken_by = {}, outcomes = {} }
local on_step = {}

core = {
	get_us_time = function() return world.now * 1e6 end,
	register_globalstep = function(fn) on_step[#on_step + 1] = fn end,
	log = function() end,
}

local tf = {}
local function load(name) return assert(loadfile(("%s/%s.lua"):format(src, name)))(tf) end

tf.settings = { stale_after = 12, task_seconds = 60, action_burst = 6, actions_per_second = 1 }
tf.tag, tf.rate, tf.claims = load("tag"), load("rate"), load("claims")
tf.registry = load("registry").new()
tf.villagers = {
	of = {},
	get = function(id) return tf.villagers.of[id] end,
	is_frozen = function() return false end,
	save = function() end,
}
tf.body = { pos = function() return {} end }
tf.walk = { stop = function() end }
tf.hands = { guarded = function(_, _, fn, ...) return pcall(fn, ...) end }
tf.targets = {
	resolve = function(_, _, name)
		if world.item then
			return name
		end
		return nil, "it is gone"
	end,
	claim_key = function(name) return name end,
}
tf.law =
	{ content = function() end, permission = function() end, limit = function() end, broken = function() end }
tf.execute = load("execute")

tf.registry:register("take", {
	args = { { name = "item", kind = "dropped" } },
	exclusive = true,
	run = function(v)
		local steps = 0
		return {
			step = function()
				steps = steps + 1
				if steps <= WALK_STEPS then
					return nil
				elseif not world.item then
					return false, "it is gone"
				end
				world.item = false
				world.taken_by[#world.taken_by + 1] = v.id
				return true
			end,
		}
	end,
})

local function outcome(id, verdict, reason)
	world.outcomes[#world.outcomes + 1] = ("%s %s %s"):format(id, verdict, reason or "")
end

tf.execute.on_outcome(function(v, _, _, verdict, reason) outcome(v.id, verdict, reason) end)

local routes = load("decisions").new({
	villager = tf.villagers.get,
	say = function() end,
	submit = tf.execute.submit,
	stale = function(decision) outcome(decision.villager_id, "refused", "stale") end,
}, tf.settings.stale_after)

function world.villager(id) tf.villagers.of[id] = { id = id, name = id, persona = "explorer" } end

-- One server step at time `now`: `reply` is the service's, or nil; the bodies of `ids` take their turn in that order.
function world.step(now, reply, ids)
	world.now = now
	if reply then
		routes:route(reply, now)
	end
	for _, fn in ipairs(on_step) do
		fn(0.1)
	end
	for _, id in ipairs(ids) do
		tf.execute.step(tf.villagers.get(id), 0.1)
	end
end

return world
