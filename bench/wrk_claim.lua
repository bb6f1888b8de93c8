-- Claims tasks of the type that is the first of what is given behind "--" (the path comes before
-- it), for the agents behind it in turn; ends like wrk_report.lua.
dofile(debug.getinfo(1, 'S').source:match('^@(.*/)') .. 'wrk_report.lua')

local bodies, at = {}, 0
function init(args)
	wrk.headers['Content-Type'] = 'application/json'
	for i = 3, #args do
		bodies[#bodies + 1] = wrk.format('POST', args[1], nil,
			string.format('{"task_type": "%s", "agent_id": "%s"}', args[2], args[i]))
	end
end

function request()
	at = at % #bodies + 1
	return bodies[at]
end
