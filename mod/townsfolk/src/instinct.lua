-- PURE: what a villager does while nobody thinks for it: flees what hurt it, greets who comes near,
-- strolls about home, else stands. Chance and clock are passed in.

local instinct = {}

local STROLL = 6 -- nodes from home
local TOO_FAR = 12
local GREET_AGAIN = 120 -- seconds
local GREETING_DISTANCE = 5
local FLEE_SECONDS = 4
local FLEE_DISTANCE = 8
local REST = { least = 4, most = 12 } -- seconds between strolls

local GREETINGS = { "Hello %s.", "Good day, %s.", "Welcome, %s.", "%s! Good to see you." }

local function between(range, random) return range.least + (range.most - range.least) * random() end

local function stroll(facts, random)
	local angle, far = random() * 2 * math.pi, STROLL * random()
	return {
		x = facts.home.x + math.sin(angle) * far,
		y = facts.home.y,
		z = facts.home.z + math.cos(angle) * far,
	}
end

local function stranger(memory, facts)
	for _, player in ipairs(facts.players) do
		local greeted = memory.greeted[player.name]
		if player.distance <= GREETING_DISTANCE and (not greeted or facts.now - greeted > GREET_AGAIN) then
			return player
		end
	end
	return nil
end

-- What one villager keeps in mind while it goes by script.
function instinct.new(now) return { greeted = {}, rest_until = now } end

local function greet(memory, player, facts, random)
	memory.greeted[player.name] = facts.now
	local line = GREETINGS[math.floor(random() * #GREETINGS) + 1]
	return { kind = "greet", player = player.name, line = line:format(player.name) }
end

-- The next thing to do, or nil: {kind = "flee", from, distance}, {kind = "greet", player, line},
-- {kind = "walk", to}.
--
-- facts {now, home, home_distance, walking, hurt = {at, from} or nil, players = {{name, distance}, …}}
function instinct.next(memory, facts, random)
	if facts.hurt and facts.now - facts.hurt.at < FLEE_SECONDS and memory.fled ~= facts.hurt.at then
		memory.fled = facts.hurt.at
		return { kind = "flee", from = facts.hurt.from, distance = FLEE_DISTANCE }
	end
	local player = stranger(memory, facts)
	if player then
		return greet(memory, player, facts, random)
	elseif facts.walking or facts.now < memory.rest_until then
		return nil
	end
	memory.rest_until = facts.now + between(REST, random)
	return { kind = "walk", to = facts.home_distance > TOO_FAR and facts.home or stroll(facts, random) }
end

return instinct
