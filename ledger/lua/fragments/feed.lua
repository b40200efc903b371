-- Fragment: the keys of those who read the feed. Needs queues.lua. Each group of readers gets every entry once.
--
--   :feed:group:<group>          hash  delivered (sequence of the last entry handed out), last_id (its id), lost (entries that
--                                      the cap took before they were handed out or acknowledged), taken_over, and what its
--                                      readers count (permanent: one per group)
--   :feed:group:<group>:readers  zset  reader by when it was last heard of, ms; the dead leave (permanent: one per group)
local FEED = ns .. ':feed'

local function group_key(group) return ns .. ':feed:group:' .. group end

local function feed_entries(answer, entries)
  for _, entry in ipairs(entries) do
    local fields = {}
    for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
    answer[#answer + 1] = {entry[1], fields.job, fields.what, fields.turn, fields.accepted or '0', fields.sequence}
  end
end
