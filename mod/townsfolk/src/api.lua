-- ADAPTER: the public table `townsfolk`, all that other mods may use (API.md).
local tf = ...

-- What a status page shows of each villager.
local function list()
	local rows = {}
	for i, v in ipairs(tf.villagers.known()) do
		rows[i] = {
			id = v.id,
			name = v.name,
			persona = v.persona,
			position = tf.body.pos(v) or v.pos,
			doing = v.doing or "",
		}
	end
	return rows
end

return {
	version = tf.version,

	register_action = tf.actions.register,
	unregister_action = tf.actions.unregister,
	get_actions = tf.actions.specs,
	allow_actions = tf.execute.allow,
	perform = tf.execute.submit,
	stop = tf.execute.stop,
	register_on_outcome = tf.execute.on_outcome,
	register_on_forget = function(fn) table.insert(tf.on_forget, fn) end,

	spawn = tf.villagers.spawn,
	remove = tf.villagers.remove,
	get_villager = tf.villagers.by_name,
	get_villagers = tf.villagers.all,
	get_known_villagers = tf.villagers.known,
	list = list,
	say = tf.talk.say,
	connected = tf.link.connected,
	by_script = tf.script.active,
	stats = tf.stats,
	set_persona = tf.villagers.set_persona,
	set_home = tf.villagers.set_home,
	freeze = tf.villagers.freeze,

	get_pos = tf.body.pos,
	face = tf.body.face,
	walk_to = tf.walk.to,
	stop_walking = tf.walk.stop,
	get_target_pos = tf.targets.pos,
	walk_near = tf.tasks.near,
	walk_near_node = tf.tasks.at_node,
}
