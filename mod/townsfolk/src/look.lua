-- ADAPTER: how a villager looks: the game's own player model where there is one, else a sprite.
-- Each persona wears clothes of one colour, so that players tell them apart.

local look = {}

local MODEL = "character.b3d"
local ANIMATION_SPEED = 30
local model = core.global_exists("player_api") and player_api.registered_models[MODEL]
if model and not (model.textures and model.animations) then
	model = nil
end

local COLOURS = { explorer = "#3f7fbf", trader = "#b8862b", guard = "#9c2f2f", builder = "#4f8a3c" }

-- Other personas: always the same colour for the same name, never too dark to be seen.
local function colour(persona)
	if COLOURS[persona] then
		return COLOURS[persona]
	end
	local sum = 7
	for i = 1, #persona do
		sum = (sum * 31 + persona:byte(i)) % 0x1000000
	end
	local red, green, blue = math.floor(sum / 65536) % 256, math.floor(sum / 256) % 256, sum % 256
	return ("#%02x%02x%02x"):format(64 + red * 0.7, 64 + green * 0.7, 64 + blue * 0.7)
end

local function dyed(texture, clothes, persona)
	return ("%s^(%s^[multiply:%s)"):format(texture, clothes, colour(persona))
end

-- The object properties of a villager of this persona.
function look.properties(persona)
	if model then
		return {
			visual = "mesh",
			mesh = MODEL,
			visual_size = { x = 1, y = 1 },
			textures = { dyed(model.textures[1], "townsfolk_clothes.png", persona) },
		}
	end
	-- A sprite's middle is at the feet: the textures' lower half is empty.
	return {
		visual = "upright_sprite",
		visual_size = { x = 0.9, y = 3.6 },
		textures = {
			dyed("townsfolk_sprite_front.png", "townsfolk_sprite_clothes.png", persona),
			dyed("townsfolk_sprite_back.png", "townsfolk_sprite_clothes.png", persona),
		},
	}
end

-- Shows "stand", "walk", "mine" or "sit"; a sprite has no limbs to move.
function look.animate(v, name)
	if not model or v.animation == name then
		return
	end
	v.animation = name
	local frames = model.animations[name] or model.animations.stand
	v.object:set_animation({ x = frames.x, y = frames.y }, ANIMATION_SPEED, 0, true)
end

-- Back to standing, unless it walks.
function look.rest(v)
	if v.object and v.object:get_pos() and v.animation ~= "walk" then
		look.animate(v, "stand")
	end
end

return look
