-- Asks for the paths given behind "--" in turn; ends like wrk_report.lua.
dofile(debug.getinfo(1, 'S').source:match('^@(.*/)') .. 'wrk_report.lua')

local paths, at = {}, 0
function init(args)
	for i = 1, #args do
		paths[i] = wrk.format('GET', args[i])
	end
end

function request()
	at = at % #paths + 1
	return paths[at]
end
