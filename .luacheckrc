-- For all Lua of the repository: `luacheck .`, here or in the mod's folder.
std = "luajit"
max_line_length = 120
exclude_files = {".venv", "run"}
globals = {"townsfolk"}
read_globals = {
	"core", "vector", "ItemStack", "Settings", "PcgRandom", "VoxelArea", "VoxelManip", "doors", "player_api",
	table = {fields = {"copy", "indexof"}},
	string = {fields = {"split", "trim"}},
}
files["**/spec/*_spec.lua"] = {std = "+busted"}
-- These protect nodes of their own, stand in for the engine, or amend one of its entities.
files["**/src/books.lua"] = {globals = {"core"}}
files["tests/game/mods/townsfolk_probe/init.lua"] = {globals = {"core"}}
files["tests/game/mods/townsfolk_eyes/init.lua"] = {globals = {"core"}}
files["tests/game/lua/one_item.lua"] = {globals = {"core"}}
