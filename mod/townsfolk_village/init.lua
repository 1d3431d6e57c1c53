-- Townsfolk demo village: a small village near the spawn point, built once, with four villagers.
--
-- This file only lists what is loaded, in order. It uses the public API of the mod `townsfolk`.

core = core or minetest -- luacheck: ignore

local MODPATH = core.get_modpath(core.get_current_modname())

local function load(name, ...) return assert(loadfile(MODPATH .. "/src/" .. name .. ".lua"))(...) end

local palette = load("palette") -- which node stands for each part, in this game
local plan = load("plan") -- what stands where
local builder = load("builder", palette) -- puts a plan into the world
local village = load("village", plan, builder) -- builds it once, settles the villagers, greets players
load("status", village) -- tells the launcher through a file of the world
