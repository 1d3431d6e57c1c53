-- ADAPTER: the time that snapshots, decisions and events are stamped with.

-- Seconds since some moment before the server's start; never goes back.
return function() return core.get_us_time() / 1e6 end
