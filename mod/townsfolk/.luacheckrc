std = "luajit"
max_line_length = 120
files["spec"] = {std = "+busted"}
globals = {"townsfolk"}
read_globals = {
	"core", "minetest", "vector", "ItemStack", "VoxelArea", "doors", "player_api", "Settings",
	table = {fields = {"copy", "indexof"}},
	string = {fields = {"split", "trim"}},
}
