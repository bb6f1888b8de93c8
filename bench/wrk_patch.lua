-- Changes what is at the paths given behind "--" in turn, each time to another text; ends
-- like wrk_report.lua.  The requests are made before the first is sent, so that the load
-- generator takes little of what it shares with those that are measured.
dofile(debug.getinfo(1, 'S').source:match('^@(.*/)') .. 'wrk_report.lua')

local threads = 0
function setup(thread)
	thread:set('number', threads)
	threads = threads + 1
end

local requests, at = {}, 0
function init(args)
	wrk.headers['Content-Type'] = 'application/json'
	-- A change to what is there already is none: no two threads and no two runs write the
	-- same, and neither does a thread in two turns one behind the other.
	for turn = 1, 2 do
		for i = 1, #args do
			requests[#requests + 1] = wrk.format('PATCH', args[i], nil, string.format(
				'{"description": "change %d-%d-%d"}', os.time(), number, turn))
		end
	end
	at = number * 100 -- so that the threads begin at different ones
end

function request()
	at = at % #requests + 1
	return requests[at]
end
