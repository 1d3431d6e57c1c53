-- ADAPTER: a villager's body in the world: what it is made of, how it falls, swims, is hurt, dies
-- and comes home again. What it does there is decided elsewhere.
local tf = ...

local body = { HP_MAX = 20, EYES = 1.5 }

local ENTITY = "townsfolk:villager"
local GRAVITY = tonumber(core.settings:get("movement_gravity")) or 9.81
local SWIM_UP = 1.5
local SWEEP_SECONDS = 5
local on_punch, on_rightclick, on_gift = {}, {}, {}

-- Where the body's feet are; nil where it is not in the loaded world.
-- (A reference to a removed object answers nil; `is_valid` is younger than 5.6.)
function body.pos(v) return v.object and v.object:get_pos() or nil end

function body.eyes(v)
	local pos = body.pos(v)
	return pos and vector.new(pos.x, pos.y + body.EYES, pos.z)
end

-- The body is put into the world; true if it is there.
function body.add(v, pos) return core.add_entity(pos, ENTITY, v.id) ~= nil and body.pos(v) ~= nil end

function body.remove(v)
	if body.pos(v) then
		v.object:remove()
	end
	v.object = nil
end

function body.dress(v)
	if body.pos(v) then
		local properties = tf.look.properties(v.persona)
		properties.nametag = v.name
		v.object:set_properties(properties)
	end
end

function body.face(v, pos) v.object:set_yaw(tf.geometry.yaw(body.pos(v), pos)) end

function body.on_punch(fn) table.insert(on_punch, fn) end

function body.on_rightclick(fn) table.insert(on_rightclick, fn) end

function body.on_gift(fn) table.insert(on_gift, fn) end

-- The player hands over what they hold, as much as the villager has room for; how many.
function body.take_gift(v, player)
	local stack = player:get_wielded_item()
	local name, offered = stack:get_name(), stack:get_count()
	if offered == 0 then
		return 0
	end
	local left = v.inv:add_item("main", stack)
	player:set_wielded_item(left)
	local count = offered - left:get_count()
	if count > 0 then
		stack:set_count(count)
		tf.books.got(v, player, stack)
		tf.villagers.save(v)
		for _, fn in ipairs(on_gift) do
			fn(v, player, name, count)
		end
	end
	return count
end

local Villager = {
	initial_properties = {
		hp_max = body.HP_MAX,
		physical = true,
		collide_with_objects = false,
		collisionbox = { -0.3, 0, -0.3, 0.3, 1.7, 0.3 },
		stepheight = 1.1,
		makes_footstep_sound = true,
		static_save = true,
		nametag_color = "#ffffff",
	},
}

function Villager:on_activate(staticdata)
	local v = tf.villagers.get(staticdata)
	-- The record is gone (removed while this was unloaded), or has another body (a crash between saves).
	if not v or body.pos(v) and v.object ~= self.object then
		self.object:remove()
		return
	end
	self.villager = v
	v.object, v.animation, v.absent_until = self.object, nil, nil
	self.object:set_armor_groups({ fleshy = 100 })
	self.object:set_hp(math.max(1, v.hp))
	self.object:set_acceleration({ x = 0, y = -GRAVITY, z = 0 })
	body.dress(v)
	tf.look.animate(v, "stand")
	tf.execute.resume(v)
	tf.villagers.activated(v)
end

function Villager:get_staticdata()
	local v = self.villager
	if not v then
		return ""
	end
	tf.villagers.save(v)
	return v.id
end

function Villager:on_deactivate()
	local v = self.villager
	if v and v.object == self.object then
		tf.execute.suspend(v)
		tf.walk.forget(v)
		tf.villagers.deactivated(v)
		v.object = nil
	end
end

local function is_liquid(pos)
	local def = core.registered_nodes[core.get_node(pos).name]
	return def and def.liquidtype ~= nil and def.liquidtype ~= "none"
end

-- Rises while the chest is under water, floats when it is out.
local function float(v)
	local pos, velocity = body.pos(v), v.object:get_velocity()
	local chest = is_liquid({ x = pos.x, y = pos.y + 0.9, z = pos.z })
	if chest then
		v.object:set_velocity({ x = velocity.x, y = SWIM_UP, z = velocity.z })
	end
	local wet = chest or is_liquid({ x = pos.x, y = pos.y + 0.5, z = pos.z })
	v.object:set_acceleration({ x = 0, y = wet and 0 or -GRAVITY, z = 0 })
	if wet and not chest then
		v.object:set_velocity({ x = velocity.x, y = 0, z = velocity.z })
	end
end

function Villager:on_step(dtime)
	local v = self.villager
	if not v or not body.pos(v) then
		return
	end
	float(v)
	tf.walk.step(v, dtime)
	tf.execute.step(v, dtime)
end

function Villager:on_punch(puncher, _, _, _, damage)
	local v = self.villager
	if not v then
		return
	end
	v.hurt_by, v.hurt_at = puncher, core.get_us_time() / 1e6
	for _, fn in ipairs(on_punch) do
		fn(v, puncher, damage)
	end
end

function Villager:on_rightclick(clicker)
	local v = self.villager
	if not v or not clicker:is_player() then
		return
	end
	if clicker:get_player_control().sneak and body.take_gift(v, clicker) > 0 then
		return
	end
	for _, fn in ipairs(on_rightclick) do
		fn(v, clicker)
	end
end

-- It keeps what it carries and remembers, and comes home after a while.
function Villager:on_death()
	local v = self.villager
	if v then
		tf.execute.stop(v)
		v.hp, v.pos = body.HP_MAX, v.home
		v.absent_until = core.get_gametime() + tf.settings.return_after
		tf.villagers.save(v)
		core.log("action", ("[townsfolk] %s died and will come home"):format(v.name))
	end
end

core.register_entity(ENTITY, Villager)

-- A body that should be in this active block and is not is lost (/clearobjects, the void).
local function is_missing(v)
	if v.absent_until then
		return core.get_gametime() >= v.absent_until and core.compare_block_status(v.home, "active")
	end
	return core.compare_block_status(v.pos, "active")
end

-- Missing twice in a row: the first time it may be about to be activated.
local function sweep()
	for _, v in ipairs(tf.villagers.known()) do
		local missing = not body.pos(v) and is_missing(v)
		if missing and v.missed then
			body.add(v, v.home)
		end
		v.missed = missing
	end
	core.after(SWEEP_SECONDS, sweep)
end

core.after(SWEEP_SECONDS, sweep)

return body
