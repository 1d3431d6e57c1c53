-- PURE: whose an item is after a crash. The engine saves map and players together, in its own time, and leaves a
-- mark when both are down. What villagers carry is written here at every change, twice: as it was at that mark
-- (`base`) and as it is now (`next`). After a crash the one that the map and the players go with counts.
-- Those who were saved at another moment than the mark are told apart: each transfer from or to a player bears a
-- number that the player's own record repeats, so it is undone or repeated once they are back; and the nodes that
-- were changed tell whether the map is ahead. Knows no inventories: what is carried, and what is moved, is a text.

local ledger = {}
ledger.__index = ledger

local function copy(of)
	local own = {}
	for key, value in pairs(of) do
		own[key] = value
	end
	return own
end

-- carried: villager's id -> items; owed: player -> transfers to undo or repeat; lying: number -> what was picked up
-- and may still lie in the saved map.
local function generation(of)
	return { carried = copy(of.carried), owed = copy(of.owed), lying = copy(of.lying) }
end

-- All of it is plain data: it is written down as it is, and `recover` reads it. settled: players who have got what was
-- owed, but may not have been saved with it.
local function open(mark, number, base)
	local own = { mark = mark, number = number, base = base, next = generation(base) }
	own.transfers, own.nodes, own.settled = {}, {}, {}
	return setmetatable(own, ledger)
end

function ledger.new(mark) return open(mark, 0, { carried = {}, owed = {}, lying = {} }) end

-- Whether the map was saved after the mark; a kill may fall between the two.
local function map_is_ahead(nodes, name_at)
	for _, node in pairs(nodes) do
		local name = node.before ~= node.after and name_at(node.pos)
		if name == node.before or name == node.after then
			return name == node.after
		end
	end
	return false
end

-- The ledger that goes with the world as it was saved. `saved`: what was written last; `mark`: the engine's;
-- `name_at(pos)`: the name of the node there.
function ledger.recover(saved, mark, name_at)
	local again = saved.mark ~= mark or map_is_ahead(saved.nodes, name_at)
	local base = again and saved.next or saved.base
	local number = saved.number + 1
	for _, transfer in ipairs(saved.transfers) do
		local due = copy(transfer)
		due.again, due.recovery = again, number
		base.owed[due.player] = base.owed[due.player] or {}
		table.insert(base.owed[due.player], due)
	end
	return open(mark, number, base)
end

-- To be called before anything is entered: if the engine has saved since, what was entered last is what it saved.
function ledger:turn(mark)
	if mark ~= self.mark then
		for player in pairs(self.settled) do
			self.next.owed[player] = nil
		end
		self.mark, self.base, self.next = mark, self.next, generation(self.next)
		self.transfers, self.nodes, self.settled = {}, {}, {}
	end
end

function ledger:carried(id) return self.next.carried[id] end

-- What the villager carries now; nil: it is gone for good.
function ledger:carry(id, items) self.next.carried[id] = items end

-- `item` went to the player (`given`) or came from them; the number for the player's own record.
function ledger:transfer(id, player, item, given)
	self.number = self.number + 1
	self.transfers[#self.transfers + 1] =
		{ id = id, player = player, item = item, given = given, number = self.number }
	return self.number
end

-- The node at `pos` (`key` in words) is not what it was.
function ledger:node(key, pos, before, after)
	local first = self.nodes[key]
	self.nodes[key] = { pos = pos, before = first and first.before or before, after = after }
end

-- An item was picked up at `pos`; the engine takes it out of the map a moment later. The number for `gone`.
function ledger:picked_up(pos, item)
	self.number = self.number + 1
	self.next.lying[self.number] = { pos = pos, item = item }
	return self.number
end

function ledger:gone(number) self.next.lying[number] = nil end

-- A player is back whose own record repeats `number`: what is still to be done with their items, a list of
-- {id, item, give}, gifts first so that they can be taken back; and the number for their record. Nil where nothing has
-- been open.
function ledger:settle(player, number)
	local owed = self.next.owed[player]
	if not owed then
		return nil
	end
	local due = {}
	for _, transfer in ipairs(owed) do
		local known = transfer.number <= number
		-- From its recovery's number on, the player has been through this before.
		if transfer.again and not known or not transfer.again and known and number < transfer.recovery then
			local give = transfer.given == transfer.again
			table.insert(due, give and 1 or #due + 1, { id = transfer.id, item = transfer.item, give = give })
		end
	end
	self.settled[player] = true
	self.number = self.number + 1
	return due, self.number
end

return ledger
