-- What wrk sends: each request logs points that were never logged before, as MLflow's client would.
-- Arguments: run id, points in a request, number of the first request. One point goes to log-metric,
-- more go to log-batch.
--
-- A request's number has nine digits in step, time and value, so that the body of a batch is one
-- concatenation; `load.py` knows what they are made of. One wrk thread, or numbers would repeat.

local KEYS = 10
local number
local pieces = {}
local path = "/api/2.0/mlflow/runs/log-metric"
local headers = { ["Content-Type"] = "application/json" }

function init(args)
  local run_id, points = args[1], tonumber(args[2])
  number = tonumber(args[3])
  local run = string.format('"run_uuid": "%s", "run_id": "%s", ', run_id, run_id)
  local text = "{" .. run
  if points > 1 then
    path = "/api/2.0/mlflow/runs/log-batch"
    text = '{"run_id": "' .. run_id .. '", "metrics": ['
    run = '"run_id": "' .. run_id .. '", '
  end
  for point = 0, points - 1 do
    local rest = points > 1 and string.format("%02d", math.floor(point / KEYS)) or ""
    if points > 1 then text = text .. (point > 0 and ", {" or "{") .. run end
    text = text .. string.format('"key": "loss%d", "value": 0.@%s, ', point % KEYS, rest)
    text = text .. string.format('"timestamp": 1700@, "step": @%s}', rest)
  end
  if points > 1 then text = text .. '], "params": [], "tags": []}' end
  for piece in (text .. "@"):gmatch("(.-)@") do pieces[#pieces + 1] = piece end
end

function request()
  local body = table.concat(pieces, tostring(number))
  number = number + 1
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_us": %.3f, "p99_us": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    failed.status, failed.connect + failed.read + failed.write + failed.timeout))
end
