-- What wrk sends, and what it reports: wrk -s serving.lua URL -- MODE N_USERS FIRST_ID
-- MODE: livez | recommend | event (one) | events (a hundred). The last line is JSON, times in milliseconds.

local mode, n_users, first = "livez", 1, 1
local sent = 0

function init(args)
  mode, n_users, first = args[1], tonumber(args[2]), tonumber(args[3])
  math.randomseed(os.time())
end

local json = { ["Content-Type"] = "application/json" }

local function event()
  sent = sent + 1
  return string.format('{"id":"%08x-%08x-%d","user_id":%d,"item_id":%d,"event":"click"}',
    math.random(0, 2147483647), math.random(0, 2147483647), sent,
    first + math.random(0, n_users - 1), math.random(1, 1000))
end

function request()
  if mode == "livez" then return wrk.format("GET", "/livez") end
  if mode == "recommend" then
    local body = string.format('{"user_id":%d,"k":20}', first + math.random(0, n_users - 1))
    return wrk.format("POST", "/v1/recommend", json, body)
  end
  if mode == "event" then return wrk.format("POST", "/v1/events", json, event()) end
  local many = {}
  for place = 1, 100 do many[place] = event() end
  return wrk.format("POST", "/v1/events", json, "[" .. table.concat(many, ",") .. "]")
end

function done(summary, latency, requests)
  io.write(string.format('{"requests":%d,"seconds":%f,"failed":%d,"p50_ms":%f,"p99_ms":%f,"p99.9_ms":%f}\n',
    summary.requests, summary.duration / 1e6,
    summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
