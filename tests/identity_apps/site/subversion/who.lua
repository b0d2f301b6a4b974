-- Who asks, as the edge has proven it: no client can send this header.
require "apache2"

function who(r)
    local user = r.headers_in["Remote-User"]
    if user == nil or user == "" then
        return 401
    end
    r.user = user
    return apache2.OK
end
