-- ADAPTER: one HTTP request at a time to the service, and what its answer means. The only user of the
-- HTTP handle. The engine answers in a later step, so nothing here ever waits.
local tf = ...

local requests = {}

local MAX_REPLY = 1000000 -- bytes
local NO_HTTP = "[townsfolk] no HTTP: add `townsfolk` to secure.http_mods in the server's configuration and "
	.. "start it again; until then villagers go by script"

local in_flight = false

if not tf.http then
	core.log("error", NO_HTTP)
end

-- Can a request be made now?
function requests.ready() return tf.http ~= nil and not in_flight end

-- The engine writes an empty table as null; of our messages only an empty `around` is one. (In a text
-- the quotes are escaped, so that no player can write what is replaced here.)
local function to_json(message) return (core.write_json(message):gsub('"around":null', '"around":{}')) end

-- A table, or nil. Engines from 5.10 on return an error where older ones log it.
local function from_json(data)
	if #data > MAX_REPLY or not data:find("^%s*{") then
		return nil
	end
	local value = core.parse_json(data, nil, true)
	return type(value) == "table" and value or nil
end

local function fault_of(result, body)
	local fault = body and type(body.error) == "table" and body.error or {}
	local message = type(fault.message) == "string" and tf.text.clean(fault.message, 300) or "no reason given"
	return ("HTTP %d: %s"):format(result.code, message), tonumber(fault.retry_after_ms)
end

-- What came of a request: "ok", reply | "unknown" (connect again) | "busy", reason, ms |
-- "rejected", reason (sending it again is no use) | "away", reason.
local function meaning(result)
	local code = result.code or 0
	if code == 0 or not result.succeeded and code < 300 then
		return "away", result.timeout and "no answer in time" or "no connection, or one that broke off"
	end
	local body = from_json(result.data or "")
	if code == 204 then
		return "ok", {}
	elseif code == 200 then
		return body and "ok" or "away", body or "its answer can't be read"
	end
	local reason, retry_after_ms = fault_of(result, body)
	if code == 409 then
		return "unknown", reason
	elseif code == 503 or code == 429 then
		return "busy", reason, retry_after_ms
	end
	return code >= 400 and code < 500 and "rejected" or "away", reason
end

local asked = 0

-- Each request begins a trace (W3C trace context) that the service goes on with, where its operator wants traces.
local function traceparent()
	asked = asked + 1
	local trace = core.sha1(("%s %s %d"):format(tf.greeting.game_id(), core.get_us_time(), asked))
	return ("traceparent: 00-%s-%s-01"):format(trace:sub(1, 32), core.sha1(trace):sub(1, 16))
end

local function headers()
	local list = { "Content-Type: application/json", traceparent() }
	if tf.settings.api_token ~= "" then
		list[3] = "Authorization: Bearer " .. tf.settings.api_token
	end
	return list
end

-- Sends `message` (a table) to `path`; on_answer(meaning, value, retry_after_ms) in a later step.
function requests.post(path, message, on_answer)
	in_flight = true
	tf.stats.requests = tf.stats.requests + 1
	tf.http.fetch({
		url = tf.settings.service_url .. path,
		method = "POST",
		data = to_json(message),
		extra_headers = headers(),
		timeout = tf.settings.request_seconds,
	}, function(result)
		in_flight = false
		on_answer(meaning(result))
	end)
end

return requests
