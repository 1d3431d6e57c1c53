local probe = ...
local scenes = {}
local function scene(name, fn) scenes[#scenes+1] = {name, fn} end
scene("spawn", function()
	local v, err = townsfolk.spawn("Mira", "explorer", vector.new(0, 0.5, 0))
	probe.wait(1)
	probe.mira = v
	return {spawned = v ~= nil, err = err, pos = townsfolk.get_pos(v)}
end)
for _, d in ipairs({"north", "east", "south", "west"}) do
	scene("move_" .. d, function()
		local from = townsfolk.get_pos(probe.mira)
		local outcome = probe.done(probe.mira, "move_" .. d)
		return {outcome = outcome, moved = vector.subtract(townsfolk.get_pos(probe.mira), from)}
	end)
end
return scenes
