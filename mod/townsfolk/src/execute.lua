-- ADAPTER: from a decision to a deed. Whatever the service checked is checked again here, against
-- the world as it is now; nothing runs that fails one check, and every end is told with its reason.
local tf = ...

local execute = {}

local MAX_QUEUE = 4 -- actions of one turn that wait for the one before

local incoming = {} -- submitted since the last step
local submitted = 0
local listeners = {}
local claims = tf.claims.new(tf.settings.task_seconds) -- as long as the action that claims may take
local rates = tf.rate.new(tf.settings.action_burst, tf.settings.actions_per_second)
local cooldowns = {} -- villager id .. action -> time from which it may run again
local allowed_by_persona = {}

local function now() return core.get_us_time() / 1e6 end

-- fn(v, ctx, tag, "done" | "refused" | "failed", reason, rule) at each action's end; rule: of the rules file.
function execute.on_outcome(fn) table.insert(listeners, fn) end

local function tell(v, request, verdict, reason, rule)
	if verdict ~= "done" then
		core.log("action", ("[townsfolk] %s: %s %s: %s"):format(v.name, request.tag, verdict, reason or ""))
	end
	for _, fn in ipairs(listeners) do
		fn(v, request.ctx, request.tag, verdict, reason, rule)
	end
	if verdict ~= "refused" then
		tf.villagers.save(v)
	end
end

-- Only these actions are open to villagers of `persona`; nil: all.
function execute.allow(persona, names)
	local set = names and {}
	for _, name in ipairs(names or {}) do
		set[name] = true
	end
	allowed_by_persona[persona] = set
end

-- Is the action open to the villager's persona?
function execute.is_allowed(v, name)
	local allowed = allowed_by_persona[v.persona]
	return not allowed or allowed[name] == true
end

function execute.holder(key) return claims:holder(key, now()) end

-- The villager's alone until its action ends; false and the reason where another has it.
function execute.claim(v, key)
	if claims:take(key, v.id, now()) then
		return true
	end
	local other = tf.villagers.get(claims:holder(key, now()))
	return false, ("%s was there first"):format(other and other.name or "somebody")
end

-- action = {name =, args = {texts}}, ctx = {turn_id =, snapshot_time =, …}; runs in a later step.
function execute.submit(v, action, ctx)
	submitted = submitted + 1
	incoming[#incoming + 1] = {
		villager_id = v.id,
		number = submitted,
		ctx = ctx,
		name = action.name,
		args = action.args or {},
		snapshot_time = ctx.snapshot_time or now(),
		tag = tf.tag.format(action.name, action.args),
	}
end

-- The checks in their order; each gives a reason to refuse and the rule of the rules file, if it was one, or
-- nothing.

local function check_body(v)
	if not tf.body.pos(v) then
		return "it is not in the loaded world"
	elseif tf.villagers.is_frozen(v) then
		return "it is frozen"
	end
end

local function check_free(v, request)
	if v.task and v.task.commanded and request.name ~= "stop" and request.name ~= "say" then
		return ("it is busy: %s"):format(v.doing)
	end
end

local function check_known(v, request)
	if not tf.registry:get(request.name) then
		return ("no action is called %s"):format(request.name)
	elseif not execute.is_allowed(v, request.name) then
		return ("the persona %s may not %s"):format(v.persona, request.name)
	end
end

local function check_content(_, request)
	local rule, reason = tf.law.content(request.name, request.args)
	return reason, rule
end

local function staleness(request)
	local age = now() - request.snapshot_time
	if age < 0 or age > tf.settings.stale_after then
		return ("stale: decided on what was seen %.1f s ago"):format(age)
	end
end

local function check_rate(v, request)
	local free_at = cooldowns[v.id .. request.name]
	if free_at and now() < free_at then
		return ("%s again only in %.1f s"):format(request.name, free_at - now())
	elseif not rates:take(v.id, now()) then
		return "too many actions in a short time"
	end
end

local function check_args(v, request)
	local def = tf.registry:get(request.name)
	local values, reason = tf.registry:read(request.name, request.args)
	if not values then
		return reason
	end
	for i, arg in ipairs(def.args) do
		values[i], reason = tf.targets.resolve(v, arg.kind, values[i])
		if values[i] == nil then
			return reason
		end
	end
	request.values = values
end

local function check_permission(v, request)
	local rule, reason = tf.law.permission(v, request.name, request.values)
	return reason, rule
end

local function check_limit(v, request)
	local rule, reason = tf.law.limit(v, request.name, request.values)
	return reason, rule
end

local function check_own(v, request)
	local check = tf.registry:get(request.name).check
	if not check then
		return
	end
	local ran, ok, reason = tf.hands.guarded(v, "check of " .. request.name, check, v, request.values)
	if not ran or not ok then
		return reason or "its check failed"
	end
end

-- The thing that the arguments name is this villager's alone until the action's end.
local function check_claims(v, request)
	local def = tf.registry:get(request.name)
	for i, arg in ipairs(def.exclusive and def.args or {}) do
		if arg.kind == "dropped" or arg.kind == "node" then
			local key = tf.targets.claim_key(request.values[i])
			local ok, reason = false, "it is gone"
			if key then
				ok, reason = execute.claim(v, key)
			end
			if not ok then
				return reason
			end
		end
	end
end

local CHECKS = {
	check_body,
	check_free,
	check_known,
	check_content,
	check_rate,
	check_args,
	check_permission,
	check_own,
	check_limit,
	check_claims,
}

local function refusal(v, request)
	for _, check in ipairs(CHECKS) do
		local reason, rule = check(v, request)
		if reason then
			return reason, rule
		end
	end
	return nil
end

-- upto: what was claimed since is the next task's
local function end_task(v, verdict, reason, upto)
	local task = v.task
	v.task, v.doing = nil, nil
	claims:release(v.id, upto)
	if task.stop then
		tf.hands.guarded(v, "end of " .. task.request.name, task.stop)
	end
	tf.walk.stop(v)
	-- A lasting action was told as done when it began; a command's end is told by its own task.
	if task.commanded then
		tf.villagers.save(v)
	elseif not task.lasting then
		tell(v, task.request, verdict, reason)
	elseif verdict == "failed" then
		core.log("action", ("[townsfolk] %s ended %s: %s"):format(v.name, task.request.tag, reason or ""))
	end
end

local function drop_queue(v, reason)
	for _, request in ipairs(v.queue or {}) do
		tell(v, request, "failed", reason)
	end
	v.queue = nil
end

-- Ends what it does and forgets what it was going to do.
function execute.stop(v, reason)
	reason = reason or "stopped"
	drop_queue(v, reason)
	if v.task then
		end_task(v, "failed", reason)
	end
	tf.walk.stop(v, reason)
end

local function begin_task(v, request, def, task)
	if v.task then
		end_task(v, "failed", "something else came up", request.claimed_before)
	end
	tf.walk.stop(v)
	v.doing = request.tag
	v.task = { request = request, step = task.step, stop = task.stop, lasting = def.lasting, age = 0 }
	if def.lasting then
		tell(v, request, "done")
	end
end

-- A task that a player's command gives: it takes over, and goes on until it ends or is stopped. What is decided
-- meanwhile is refused but for `stop`.
function execute.undertake(v, tag, task)
	drop_queue(v, "something else came up")
	begin_task(v, { name = "command", tag = tag, ctx = {} }, {}, task)
	v.task.commanded = true
end

-- run gives true (done), false and a reason (failed), or a task {step =, stop =} that goes on.
local function perform(v, request)
	local def = tf.registry:get(request.name)
	if def.cooldown then
		cooldowns[v.id .. request.name] = now() + def.cooldown
	end
	local ran, result, reason = tf.hands.guarded(v, request.name, def.run, v, request.values, request.ctx)
	if ran and type(result) == "table" then
		begin_task(v, request, def, result)
		return
	end
	if not v.task then
		claims:release(v.id)
	end
	local done = ran and result == true
	tell(v, request, done and "done" or "failed", not done and (reason or "it could not be done") or nil)
end

local function start(v, request)
	request.claimed_before = claims.taken
	local reason, rule = refusal(v, request)
	if reason then
		tell(v, request, "refused", reason, rule)
		tf.law.broken(v, rule)
	else
		perform(v, request)
	end
end

-- Actions of one turn come one after the other; those of a new turn take over.
local function belongs_behind(v, request)
	local task = v.task
	return task
		and not task.lasting
		and request.ctx.turn_id
		and task.request.ctx.turn_id == request.ctx.turn_id
end

local function enqueue(v, request)
	v.queue = v.queue or {}
	if #v.queue >= MAX_QUEUE then
		tell(v, request, "refused", "too many actions in one turn")
		return
	end
	table.insert(v.queue, request)
end

local function accept(request)
	local v = tf.villagers.get(request.villager_id)
	if not v then
		return
	end
	local stale = staleness(request)
	if stale then
		tell(v, request, "refused", stale)
	elseif belongs_behind(v, request) then
		enqueue(v, request)
	else
		drop_queue(v, "something else came up")
		start(v, request)
	end
end

core.register_globalstep(function()
	local requests = incoming
	incoming = {}
	tf.claims.sort(requests)
	for _, request in ipairs(requests) do
		accept(request)
	end
end)

local function step_task(v, dtime)
	local task = v.task
	task.age = task.age + dtime
	if not task.lasting and not task.commanded and task.age > tf.settings.task_seconds then
		end_task(v, "failed", ("not done after %d s"):format(tf.settings.task_seconds))
		return
	end
	local ran, result, reason = tf.hands.guarded(v, task.request.name, task.step, dtime)
	if v.task ~= task then
		return -- its own step ended it
	elseif not ran or result == false then
		end_task(v, "failed", reason or "it could not be done")
	elseif result == true then
		end_task(v, "done")
	end
end

-- Is it at what a player asked it for, until something else comes up? Its own ideas are no such thing.
function execute.is_engaged(v)
	return v.task ~= nil and v.task.lasting == true and v.task.request.ctx.player ~= nil
end

-- Called by the body in each of its steps.
function execute.step(v, dtime)
	if v.task then
		step_task(v, dtime)
	end
	if not v.task and v.queue and #v.queue > 0 then
		start(v, table.remove(v.queue, 1))
	end
end

-- What it was doing without an end (follow, guard) is taken up again when its body comes back.
function execute.resume(v)
	local name, args = tf.tag.parse(v.doing or "")
	v.doing, v.task, v.queue = nil, nil, nil
	local def = name and tf.registry:get(name)
	if def and def.lasting then
		execute.submit(v, { name = name, args = args }, {})
	end
end

-- The body leaves the world; `doing` stays written down for `resume`.
function execute.suspend(v)
	local doing = v.doing
	execute.stop(v, "it left the loaded world")
	v.doing = doing
end

return execute
