local ledger = dofile("src/ledger.lua")

-- A world of one kind of item, with what is in memory and what each save has written down. Map and players are saved
-- one after the other, then the mark; a player also on leaving; the ledger at every change.
local HISTORIES, DEEDS, KILLS = 80, 60, 6
local VILLAGERS, PLAYERS, NODES = { "v1", "v2" }, { "ann", "ben" }, { "here", "there", "yonder" }

local function deep(of)
	if type(of) ~= "table" then
		return of
	end
	local own = {}
	for key, value in pairs(of) do
		own[key] = deep(value)
	end
	return own
end

local World = {}
World.__index = World

local function new_world(die)
	local disk = { mark = "", map = {}, players = {} }
	local world = setmetatable({ disk = disk, die = die, saves = 0, book = ledger.new("") }, World)
	for _, node in ipairs(NODES) do
		disk.map[node] = die(2) == 1 and "air" or "item"
	end
	for _, player in ipairs(PLAYERS) do
		disk.players[player] = { count = die(4), number = 0 }
	end
	for _, id in ipairs(VILLAGERS) do
		world.book:carry(id, die(4))
	end
	world.book:turn("first")
	world.disk.mark = "first"
	world:write()
	world:start()
	return world
end

function World:write() self.disk.book = deep(self.book) end

function World:start()
	self.map = deep(self.disk.map)
	self.book = ledger.recover(
		deep(self.disk.book),
		self.disk.mark,
		function(pos) return self.disk.map[pos] end
	)
	self.players, self.carried = {}, {}
	for _, id in ipairs(VILLAGERS) do
		self.carried[id] = self.book:carried(id)
	end
	self:write()
end

function World:join(name)
	local player = deep(self.disk.players[name])
	self.players[name] = player
	self.book:turn(self.disk.mark)
	local due, number = self.book:settle(name, player.number)
	for _, transfer in ipairs(due or {}) do
		player.count = player.count + (transfer.give and 1 or -1)
		assert(player.count >= 0, "taken back from who has it no more")
	end
	player.number = number or player.number
	self:write()
end

function World:leave(name)
	self.disk.players[name] = deep(self.players[name])
	self.players[name] = nil
end

-- The engine's save, of which a kill leaves the first `upto` parts.
function World:save(upto)
	local parts = { function() self.disk.map = deep(self.map) end }
	for _, name in ipairs(PLAYERS) do
		parts[#parts + 1] = function()
			self.disk.players[name] = deep(self.players[name]) or self.disk.players[name]
		end
	end
	parts[#parts + 1] = function()
		self.saves = self.saves + 1
		self.disk.mark = "save " .. self.saves
	end
	for i = 1, math.min(upto or #parts, #parts) do
		parts[i]()
	end
end

function World:add(id, count)
	self.carried[id] = self.carried[id] + count
	self.book:carry(id, self.carried[id])
	self:write()
end

function World:transfer(id, name, given)
	local player, sign = self.players[name], given and 1 or -1
	if player.count + sign >= 0 and self.carried[id] - sign >= 0 then
		self.book:turn(self.disk.mark)
		player.count = player.count + sign
		player.number = self.book:transfer(id, name, "item", given)
		self:add(id, -sign)
	end
end

function World:build(id, node)
	local before = self.map[node]
	local sign = before == "item" and 1 or -1
	if self.carried[id] + sign >= 0 then
		self.book:turn(self.disk.mark)
		self.map[node] = before == "item" and "air" or "item"
		self.book:node(node, node, before, self.map[node])
		self:add(id, sign)
	end
end

function World:deed()
	local id, name = VILLAGERS[self.die(#VILLAGERS)], PLAYERS[self.die(#PLAYERS)]
	local what = self.die(10)
	if what == 1 then
		self:save()
	elseif what <= 4 then
		self:build(id, NODES[self.die(#NODES)])
	elseif not self.players[name] then
		self:join(name)
	elseif what == 5 then
		self:leave(name)
	else
		self:transfer(id, name, what <= 7)
	end
end

function World:total()
	local total = 0
	for _, id in ipairs(VILLAGERS) do
		total = total + self.carried[id]
	end
	for _, node in ipairs(NODES) do
		total = total + (self.map[node] == "item" and 1 or 0)
	end
	for _, name in ipairs(PLAYERS) do
		total = total + self.players[name].count
	end
	return total
end

function World:all_join()
	for _, name in ipairs(PLAYERS) do
		if not self.players[name] then
			self:join(name)
		end
	end
end

describe("ledger", function()
	it("neither doubles nor loses an item, wherever a kill falls", function()
		for seed = 1, HISTORIES do
			math.randomseed(seed)
			local world = new_world(math.random)
			world:all_join()
			local total = world:total()
			for kill = 1, KILLS do
				for _ = 1, math.random(DEEDS) do
					world:deed()
				end
				world:save(math.random(0, 4)) -- 0: nothing of it, 4: all
				world:start()
				if math.random(3) > 1 then
					world:all_join()
					assert.equal(total, world:total(), ("history %d, kill %d"):format(seed, kill))
				end
			end
		end
	end)

	it("forgets what was picked up once it is out of the map", function()
		local book = ledger.new("")
		local number = book:picked_up({ x = 1, y = 2, z = 3 }, "default:apple 3")
		assert.same({ pos = { x = 1, y = 2, z = 3 }, item = "default:apple 3" }, book.next.lying[number])
		book:gone(number)
		assert.same({}, book.next.lying)
	end)

	it("looks for no doubles where the map is older than the picking up", function()
		local book = ledger.new("first")
		book:picked_up({ x = 1, y = 2, z = 3 }, "default:apple")
		assert.same({}, ledger.recover(book, "first").next.lying)
		assert.is_not_nil(next(ledger.recover(book, "second").next.lying))
	end)
end)
