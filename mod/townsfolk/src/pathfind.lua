-- PURE: a way for a two-node-high body, searched a few cells at a time so that no server step waits.
-- Knows the world through `class(x, y, z)` alone, which says what is in a cell:
--   "open"   nothing in the way          "water"  can be swum in
--   "solid"  can be stood on             "wall"   in the way, too high to step on (a fence)
--   "door"   can be opened and passed    anything else (danger, unknown): never entered
-- The engine's own find_path is not used: it runs to its end within one step, knows one node of
-- headroom and takes a closed door for a wall.

local pathfind = {}
pathfind.__index = pathfind

local SQRT2 = math.sqrt(2)
local SPAN = 256 -- cells are numbered in a cube of this many a side around the start
local STRAIGHT = { { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 } }
local DIAGONAL = { { 1, 1 }, { 1, -1 }, { -1, 1 }, { -1, -1 } }
local PASSABLE = { open = true, water = true, door = true }
local DOOR_COST, WATER_COST = 1, 2

-- A heap by `rank`, least first.
local function push(heap, item)
	local i = #heap + 1
	while i > 1 do
		local parent = math.floor(i / 2)
		if heap[parent].rank <= item.rank then
			break
		end
		heap[i], i = heap[parent], parent
	end
	heap[i] = item
end

local function pop(heap)
	local first, last = heap[1], table.remove(heap)
	local size, i = #heap, 1
	if size == 0 then
		return first
	end
	while true do
		local child = i * 2
		if child > size then
			break
		end
		if child < size and heap[child + 1].rank < heap[child].rank then
			child = child + 1
		end
		if heap[child].rank >= last.rank then
			break
		end
		heap[i], i = heap[child], child
	end
	heap[i] = last
	return first
end

-- `start`, `goal`: cells of the feet. Options, with their defaults:
--   within = 0.9       how near to the goal is near enough
--   radius = 40        how far from the start to look
--   max_cells = 1500   how many cells to look at before the best so far is taken
--   max_drop = 3       the deepest step down
function pathfind.new(class, start, goal, options)
	local self = setmetatable({ start = start, goal = goal, world = class, classes = {} }, pathfind)
	self.within = options.within or 0.9
	self.radius = options.radius or 40
	self.left = options.max_cells or 1500
	self.max_drop = options.max_drop or 3
	self.cost, self.heap = {}, {}
	self:_reach(start.x, start.y, start.z, 0, nil)
	self.best = self.heap[1]
	return self
end

function pathfind:_number(x, y, z)
	local half = SPAN / 2
	return ((x - self.start.x + half) * SPAN + y - self.start.y + half) * SPAN + z - self.start.z + half
end

-- Each cell is asked for once: its neighbours would ask a dozen times, and the answer is dear.
function pathfind:_class(x, y, z)
	local number = self:_number(x, y, z)
	local class = self.classes[number]
	if not class then
		class = self.world(x, y, z)
		self.classes[number] = class
	end
	return class
end

function pathfind:_remaining(x, y, z)
	local goal = self.goal
	return math.sqrt((x - goal.x) ^ 2 + (y - goal.y) ^ 2 + (z - goal.z) ^ 2)
end

-- The cell can be come to at this cost.
function pathfind:_reach(x, y, z, cost, from)
	local number = self:_number(x, y, z)
	if self.cost[number] and self.cost[number] <= cost then
		return
	end
	self.cost[number] = cost
	local remaining = self:_remaining(x, y, z)
	-- A little greed among ways of equal length: fewer cells are looked at.
	local rank = cost + 1.2 * remaining
	push(self.heap, { x = x, y = y, z = z, cost = cost, remaining = remaining, rank = rank, from = from })
end

function pathfind:_fits(x, y, z) return PASSABLE[self:_class(x, y, z)] and PASSABLE[self:_class(x, y + 1, z)] end

function pathfind:_carries(x, y, z)
	return self:_class(x, y, z) == "water" or self:_class(x, y - 1, z) == "solid"
end

-- The cell where one lands who walks into the free cell x, y, z; nil where the fall is too deep or bad.
function pathfind:_landing(x, y, z)
	for depth = 0, self.max_drop do
		if depth > 0 and not PASSABLE[self:_class(x, y - depth, z)] then
			return nil
		elseif self:_carries(x, y - depth, z) then
			return y - depth
		end
	end
	return nil
end

local function step_cost(class) return class == "door" and DOOR_COST or class == "water" and WATER_COST or 0 end

function pathfind:_try_straight(cell, dx, dz)
	local x, y, z = cell.x + dx, cell.y, cell.z + dz
	if self:_fits(x, y, z) then
		local landing = self:_landing(x, y, z)
		if landing then
			local cost = cell.cost + 1 + (y - landing) * 0.5 + step_cost(self:_class(x, landing, z))
			self:_reach(x, landing, z, cost, cell)
		end
	elseif
		self:_class(x, y, z) == "solid"
		and self:_fits(x, y + 1, z)
		and PASSABLE[self:_class(cell.x, y + 2, cell.z)]
	then
		self:_reach(x, y + 1, z, cell.cost + 1.5, cell)
	end
end

-- Level ground only, and both corners free: a body is wider than a line.
function pathfind:_try_diagonal(cell, dx, dz)
	local x, y, z = cell.x, cell.y, cell.z
	local function level(cx, cz)
		return self:_class(cx, y, cz) == "open"
			and self:_class(cx, y + 1, cz) == "open"
			and self:_carries(cx, y, cz)
	end
	if level(x + dx, z) and level(x, z + dz) and level(x + dx, z + dz) then
		self:_reach(x + dx, y, z + dz, cell.cost + SQRT2, cell)
	end
end

function pathfind:_swim(cell)
	for _, dy in ipairs({ 1, -1 }) do
		local y = cell.y + dy
		if self:_class(cell.x, y, cell.z) == "water" and self:_fits(cell.x, y, cell.z) then
			self:_reach(cell.x, y, cell.z, cell.cost + 1 + WATER_COST, cell)
		end
	end
end

function pathfind:_expand(cell)
	if self:_class(cell.x, cell.y, cell.z) == "water" then
		self:_swim(cell)
	end
	for _, step in ipairs(STRAIGHT) do
		self:_try_straight(cell, step[1], step[2])
	end
	for _, step in ipairs(DIAGONAL) do
		self:_try_diagonal(cell, step[1], step[2])
	end
end

function pathfind:_in_radius(cell)
	local start = self.start
	return math.max(math.abs(cell.x - start.x), math.abs(cell.y - start.y), math.abs(cell.z - start.z))
		< self.radius
end

-- Looks at up to `cells` more. nil: not ready; "found": to the goal; "partial": nearer to it; "none".
-- `self.path` is then the list of cells from the one after the start on.
function pathfind:advance(cells)
	for _ = 1, math.min(cells, self.left) do
		if #self.heap == 0 then
			return self:_end(false)
		end
		local cell = pop(self.heap)
		if cell.remaining <= self.within then
			self.best = cell
			return self:_end(true)
		end
		if cell.remaining < self.best.remaining then
			self.best = cell
		end
		if self:_in_radius(cell) then
			self:_expand(cell)
		end
		self.left = self.left - 1
	end
	if self.left <= 0 then
		return self:_end(false)
	end
	return nil
end

function pathfind:_end(found)
	local path, cell = {}, self.best
	while cell.from do
		table.insert(path, 1, cell)
		cell = cell.from
	end
	self.path = path
	return found and "found" or #path > 0 and "partial" or "none"
end

return pathfind
