-- PURE: what stands where in the village, as parts of the palette around its centre.
--
-- x is east, y is up with 0 the ground's own node, z is north. Directions that a node has are
-- facedirs; walls that a torch or sign hangs on are named. A street runs north; the well is its middle.

local plan = {}

local RADIUS = 22
local HEADROOM = 24
local DEPTH = 4

-- The four sides in the order of a quarter turn clockwise, as `param2` of wall-mounted nodes has them.
local WALLS = { "north", "east", "south", "west" }
local WALL_MOUNTED = { north = 4, east = 2, south = 5, west = 3 }
local WALL_INDEX = { north = 0, east = 1, south = 2, west = 3 }

-- --- a canvas, which may be turned -------------------------------------------------------------

local Canvas = {}
Canvas.__index = Canvas

local function new_canvas() return setmetatable({ nodes = {}, x = 0, z = 0, turns = 0 }, Canvas) end

-- The same canvas seen from (x, z), turned clockwise by quarters.
function Canvas:at(x, z, turns)
	return setmetatable({ nodes = self.nodes, x = x, z = z, turns = turns or 0 }, Canvas)
end

function Canvas:place(x, y, z)
	for _ = 1, self.turns do
		x, z = z, -x
	end
	return { x = self.x + x, y = y, z = self.z + z }
end

local function key(pos) return pos.x .. "," .. pos.y .. "," .. pos.z end

-- `facing` is a facedir (0: its back to the north).
function Canvas:put(x, y, z, part, facing)
	local pos = self:place(x, y, z)
	local node = { pos = pos, part = part, param2 = facing and (facing + self.turns) % 4 or 0 }
	self.nodes[key(pos)] = node
	return node
end

-- Hangs a part on the node beside it, on the side that `wall` names.
function Canvas:hang(x, y, z, part, wall)
	local turned = WALLS[(WALL_INDEX[wall] + self.turns) % 4 + 1]
	local node = self:put(x, y, z, part)
	node.param2 = WALL_MOUNTED[turned]
	return node
end

function Canvas:fill(from, to, part, facing)
	for x = from[1], to[1] do
		for y = from[2], to[2] do
			for z = from[3], to[3] do
				self:put(x, y, z, part, facing)
			end
		end
	end
end

-- --- what the village is made of ---------------------------------------------------------------

local function ground(canvas)
	canvas:fill({ -RADIUS, 1, -RADIUS }, { RADIUS, HEADROOM, RADIUS }, "air")
	canvas:fill({ -RADIUS, -DEPTH, -RADIUS }, { RADIUS, -1, RADIUS }, "dirt")
	canvas:fill({ -RADIUS, 0, -RADIUS }, { RADIUS, 0, RADIUS }, "grass")
end

local function paths(canvas)
	canvas:fill({ -1, 0, -RADIUS }, { 1, 0, 14 }, "path")
	canvas:fill({ -13, 0, -1 }, { 13, 0, 1 }, "path")
	canvas:fill({ -3, 0, -3 }, { 3, 0, 3 }, "path")
	for _, z in ipairs({ -9, 9 }) do
		canvas:fill({ -8, 0, z }, { 8, 0, z }, "path")
	end
end

local function well(canvas)
	canvas:fill({ -1, -2, -1 }, { 1, 1, 1 }, "stone")
	canvas:fill({ 0, -1, 0 }, { 0, 0, 0 }, "water")
	canvas:put(0, 1, 0, "air")
	for _, x in ipairs({ -1, 1 }) do
		for _, z in ipairs({ -1, 1 }) do
			canvas:fill({ x, 2, z }, { x, 3, z }, "fence")
		end
	end
	canvas:fill({ -1, 4, -1 }, { 1, 4, 1 }, "ridge_wood")
end

local function walls(house, material)
	house:fill({ -3, 0, -3 }, { 3, 0, 3 }, "floor")
	house:fill({ -3, 1, -3 }, { 3, 3, 3 }, material)
	house:fill({ -2, 1, -2 }, { 2, 3, 2 }, "air")
	for _, x in ipairs({ -3, 3 }) do
		for _, z in ipairs({ -3, 3 }) do
			house:fill({ x, 1, z }, { x, 3, z }, "beam")
		end
	end
end

-- The ridge runs along the front; each row of the slopes is one node higher than the last.
local function roof(house, material, kind)
	for z = -2, 2 do
		for _, x in ipairs({ -3, 3 }) do
			house:fill({ x, 4, z }, { x, 6 - math.abs(z), z }, material)
		end
	end
	for rise = 0, 3 do
		house:fill({ -4, 3 + rise, -4 + rise }, { 4, 3 + rise, -4 + rise }, "roof_" .. kind, 0)
		house:fill({ -4, 3 + rise, 4 - rise }, { 4, 3 + rise, 4 - rise }, "roof_" .. kind, 2)
	end
	house:fill({ -4, 7, 0 }, { 4, 7, 0 }, "ridge_" .. kind)
end

local function openings(house)
	house:put(0, 1, -3, "door", 0)
	house:put(0, 2, -3, "door_top", 0)
	for _, x in ipairs({ -2, 2 }) do
		house:put(x, 2, -3, "window")
		house:put(x, 2, 3, "window")
	end
	for _, x in ipairs({ -3, 3 }) do
		house:fill({ x, 2, -1 }, { x, 2, 1 }, "window")
		house:put(x, 5, 0, "window")
	end
end

local function furniture(house)
	house:put(-2, 1, 1, "bed_bottom", 0)
	house:put(-2, 1, 2, "bed_top", 0)
	house:fill({ 2, 1, 2 }, { 2, 2, 2 }, "bookshelf", 0)
	house:put(2, 1, 0, "furnace", 1)
	house:hang(0, 2, 2, "torch_wall", "north")
	house:hang(1, 3, -4, "torch_wall", "north")
end

local function house(canvas, spec)
	local turned = canvas:at(spec.x, spec.z, spec.turns)
	walls(turned, spec.walls)
	roof(turned, spec.walls, spec.roof)
	openings(turned)
	furniture(turned)
	-- The eaves hang low over the door, so its lamp hangs under them.
	turned:put(1, 3, -4, "roof_" .. spec.roof, 0)
	turned:hang(1, 2, -4, "torch_wall", "north")
	if spec.chimney then
		turned:fill({ 2, 4, 1 }, { 2, 8, 1 }, "stone")
	end
end

local function stall(canvas)
	for _, x in ipairs({ -2, 2 }) do
		for _, z in ipairs({ -1, 1 }) do
			canvas:fill({ x, 1, z }, { x, 3, z }, "fence")
		end
	end
	canvas:fill({ -1, 1, -1 }, { 1, 1, -1 }, "counter")
	for x = -2, 2 do
		canvas:fill({ x, 4, -1 }, { x, 4, 1 }, x % 2 == 0 and "awning" or "awning_light")
	end
end

local function garden(canvas)
	for x = -4, 4 do
		canvas:put(x, 1, -3, "fence")
		canvas:put(x, 1, 3, "fence")
	end
	for z = -2, 2 do
		canvas:put(-4, 1, z, "fence")
		canvas:put(4, 1, z, "fence")
	end
	canvas:put(0, 1, -3, "air")
	for x = -3, 3 do
		canvas:put(x, 0, 0, "water")
		for _, z in ipairs({ -2, -1, 1, 2 }) do
			canvas:put(x, 0, z, "soil")
			canvas:put(x, 1, z, z > 0 and "wheat" or "cotton")
		end
	end
end

local function tree(canvas, height)
	for y = height - 2, height + 1 do
		local spread = y <= height - 1 and 2 or 1
		for x = -spread, spread do
			for z = -spread, spread do
				if math.abs(x) + math.abs(z) < spread * 2 then
					canvas:put(x, y, z, "leaves")
				end
			end
		end
	end
	canvas:fill({ 0, 1, 0 }, { 0, height, 0 }, "trunk")
end

local function lamp(canvas)
	canvas:fill({ 0, 1, 0 }, { 0, 2, 0 }, "fence")
	canvas:put(0, 3, 0, "torch")
end

-- The builder's work under way: a wall to be, and the stones for it.
local function building_site(canvas)
	canvas:fill({ -2, 0, -2 }, { 2, 0, 2 }, "floor")
	canvas:fill({ -2, 1, 2 }, { 1, 1, 2 }, "walls_brick")
	canvas:fill({ -2, 2, 2 }, { -1, 2, 2 }, "walls_brick")
	canvas:fill({ -2, 1, -1 }, { -2, 1, 1 }, "walls_brick")
	canvas:fill({ 2, 1, -2 }, { 2, 1, -1 }, "stone_pile")
	canvas:put(2, 2, -2, "stone_pile")
end

local FLOWERS = {
	{ -5, -5, "rose" },
	{ -6, -6, "tulip" },
	{ 5, -5, "dandelion" },
	{ 6, -6, "rose" },
	{ -5, 5, "dandelion" },
	{ 5, 5, "tulip" },
	{ -4, -13, "tulip" },
	{ 4, -13, "rose" },
	{ -3, -15, "tuft" },
	{ 3, -16, "tuft" },
	{ -6, -18, "tuft" },
	{ 6, -17, "tuft" },
	{ -4, -11, "tuft" },
	{ 5, -15, "dandelion" },
	{ -7, -15, "rose" },
	{ 4, 12, "tuft" },
}

local HOUSES = {
	{ x = -12, z = -9, turns = 3, walls = "walls_wood", roof = "wood", chimney = true },
	{ x = 12, z = -9, turns = 1, walls = "walls_brick", roof = "stone" },
	{ x = -12, z = 9, turns = 3, walls = "walls_stone", roof = "wood" },
	{ x = 12, z = 9, turns = 1, walls = "walls_plaster", roof = "stone", chimney = true },
}

local TREES = {
	{ -18, -17, 5 },
	{ 18, -18, 6 },
	{ -19, 17, 6 },
	{ 19, 3, 5 },
	{ -6, 19, 5 },
	{ 18, 18, 6 },
	{ -19, 0, 5 },
}

local SIGNS = {
	{ x = 5, z = -10, text = "Welcome to Elmbrook!\nSay hello to Brita, Odo,\nWren or Tam.\nHelp: /ai help" },
	{ x = 2, z = -6, text = "Market: north east.\nGarden: north.\nBuilding site: north west." },
	{ x = -2, z = -3, text = "The well of Elmbrook\nClear water for all." },
	{ x = 5, z = 2, text = "Market\nOdo buys and sells:\napples, bread, torches." },
	{ x = 2, z = 12, text = "Elmbrook garden\nWheat and cotton.\nTake what you need." },
}

-- A post with a sign on its southern side.
local function signpost(canvas, spec)
	canvas:put(spec.x, 1, spec.z, "beam")
	local sign = canvas:hang(spec.x, 1, spec.z - 1, "sign", "north")
	return { pos = sign.pos, text = spec.text }
end

local function chest(canvas, x, z, facing, items)
	return { pos = canvas:put(x, 1, z, "chest", facing).pos, items = items }
end

--- The whole village.
-- @return table: nodes (list of {pos, part, param2}), signs ({pos, text}), chests ({pos, items}),
-- homes (persona -> pos), spawn (pos), and min, max (the corners it touches)
function plan.make()
	local canvas = new_canvas()
	ground(canvas)
	paths(canvas)
	well(canvas)
	for _, spec in ipairs(HOUSES) do
		house(canvas, spec)
	end
	stall(canvas:at(7, 3))
	garden(canvas:at(0, 16))
	building_site(canvas:at(-8, 3))
	for _, at in ipairs(TREES) do
		tree(canvas:at(at[1], at[2]), at[3])
	end
	for _, at in ipairs({ { -3, -6 }, { 3, -6 }, { -3, 6 }, { 3, 6 }, { -3, -17 }, { 3, -17 } }) do
		lamp(canvas:at(at[1], at[2]))
	end
	for _, at in ipairs(FLOWERS) do
		canvas:put(at[1], 1, at[2], at[3])
	end
	canvas:put(-3, 1, -3, "bench", 2)
	canvas:put(3, 1, -3, "bench", 2)

	local signs = {}
	for index, spec in ipairs(SIGNS) do
		signs[index] = signpost(canvas, spec)
	end
	local chests = {
		chest(canvas, 9, 5, 0, { "default:apple 20", "farming:bread 10", "default:torch 30" }),
		chest(canvas, -6, 5, 0, { "default:brick 40", "default:wood 40", "default:glass 12" }),
	}
	local nodes = {}
	for _, node in pairs(canvas.nodes) do
		nodes[#nodes + 1] = node
	end
	return {
		nodes = nodes,
		signs = signs,
		chests = chests,
		homes = {
			guard = { x = -3, y = 1, z = -11 },
			explorer = { x = 1, y = 1, z = -10 },
			trader = { x = 7, y = 1, z = 3 },
			builder = { x = -7, y = 1, z = 1 },
		},
		spawn = { x = 0, y = 1, z = -15 },
		min = { x = -RADIUS, y = -DEPTH, z = -RADIUS },
		max = { x = RADIUS, y = HEADROOM, z = RADIUS },
	}
end

return plan
