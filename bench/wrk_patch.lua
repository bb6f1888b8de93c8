-- Changes what is at the paths given behind "--" in turn, each time to another text; ends
-- like wrk_report.lua.
dofile(debug.getinfo(1, 'S').source:match('^@(.*/)') .. 'wrk_report.lua')

local threads = 0
function setup(thread)
	thread:set('number', threads)
	threads = threads + 1
end

local paths, at = {}, 0
function init(args)
	for i = 1, #args do
		paths[i] = args[i]
	end
	at = number * 100 -- so that the threads begin at different ones
	wrk.headers['Content-Type'] = 'application/json'
end

function request()
	at = at + 1
	return wrk.format('PATCH', paths[at % #paths + 1], nil, '{"description": "change ' .. at .. '"}')
end
