"""How scripts are put together."""

from messaging.script import load_script, without_unused

SOURCE = """\
#!lua flags=no-writes
-- example: what is used stays.
local ns = KEYS[1]

local function key(name) return ns .. ':' .. name end

-- Nobody calls it; it calls what nobody else calls.
local function unused(name)
  if name then
    return only_by_unused(name)
  end
end

local function only_by_unused(name)
  return key(name) -- 'unused' is a word here
end

local function counted(name)
  -- only_by_unused: a comment is no call
  return redis.call('LLEN', key(name))
end
return counted('unused-not')
"""


def test_functions_that_nobody_calls_are_left_out_with_whatever_only_they_call() -> None:
    kept = without_unused(SOURCE.replace("'unused-not'", "'queue'").replace(" -- 'unused' is a word here", ""))
    assert kept.startswith("#!lua flags=no-writes\nlocal ns = KEYS[1]\n")
    assert "local function key(name)" in kept
    assert "local function counted(name)" in kept
    assert "unused" not in kept
    assert "--" not in kept


def test_a_name_in_a_string_counts_as_a_call() -> None:
    assert "local function unused(name)" in without_unused(SOURCE)


def test_an_acknowledgement_carries_nothing_of_the_lanes_of_fair_queues() -> None:
    assert "local function enter_lane" not in load_script("messaging", "register").source
    assert "local function enter_lane" in load_script("messaging", "enqueue").source
