-- Changes what is at the paths given behind "--" in turn, each time to another text; ends
-- like wrk_report.lua.
dofile(debug.getinfo(1, 'S').source:match('^@(.*/)') .. 'wrk_report.lua')

local threads = 0
function setup(thread)
	thread:set('number', threads)
	threads = threads + 1
end

local paths, at, marked = {}, 0, nil
function init(args)
	for i = 1, #args do
		paths[i] = args[i]
	end
	at = number * 100 -- so that the threads begin at different ones
	-- No two threads and no two runs write the same: a change to what is there already is none.
	marked = string.format('change %d-%d-', os.time(), number)
	wrk.headers['Content-Type'] = 'application/json'
end

function request()
	at = at + 1
	return wrk.format('PATCH', paths[at % #paths + 1], nil, '{"description": "' .. marked .. at .. '"}')
end
