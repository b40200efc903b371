"""What is said of a server, from plain facts. Real servers are asked in tests/integration/test_redis_connections.py."""

from typing import Any

import pytest

from messaging.redis_access.server_check import ServerFacts, judge

GOOD: dict[str, Any] = {
    "version": "7.2.4",
    "mode": "standalone",
    "role": "master",
    "max_memory": 0,
    "eviction_policy": "noeviction",
    "append_only": True,
}


def test_a_good_server_has_no_problem() -> None:
    assert judge(ServerFacts(**GOOD)) == []


@pytest.mark.parametrize(
    ("facts", "severity", "words"),
    [
        ({"version": "6.2.14"}, "error", ("Redis 6.2.14", "7 or newer")),
        ({"role": "slave"}, "error", ("replica", "primary")),
        ({"mode": "sentinel"}, "error", ("Sentinel", "redis+sentinel://")),
        ({"mode": "cluster"}, "warning", ("Redis Cluster", "redis+cluster://")),
        ({"eviction_policy": "allkeys-lru", "max_memory": 1}, "error", ("allkeys-lru", "maxmemory-policy noeviction")),
        ({"eviction_policy": "allkeys-lru"}, "warning", ("allkeys-lru", "maxmemory-policy noeviction")),
        ({"append_only": False}, "warning", ("restart", "appendonly yes")),
        ({"lua_refused": "its user may not call EVAL"}, "error", ("Lua", "+@scripting")),
        ({"hidden": ("INFO", "CONFIG GET")}, "warning", ("INFO and CONFIG GET", "noeviction")),
        ({"unreachable": "Connection refused"}, "error", ("Connection refused", "trunkline up")),
    ],
)
def test_each_problem_says_what_is_wrong_and_what_to_do(
    facts: dict[str, Any], severity: str, words: tuple[str, str]
) -> None:
    (problem,) = judge(ServerFacts(**GOOD | facts))
    assert problem.severity == severity
    assert words[0] in problem.what
    assert words[1] in problem.next_step
    assert str(problem) == f"{problem.what}; {problem.next_step}"


@pytest.mark.parametrize("version", ["7.0.0", "7.2.4", "8.4", "255.255.255", "7.0-rc1"])
def test_newer_versions_are_fit(version: str) -> None:
    assert judge(ServerFacts(**GOOD | {"version": version})) == []


def test_a_node_of_a_cluster_is_right_where_the_client_finds_its_way() -> None:
    assert judge(ServerFacts(**GOOD | {"mode": "cluster"}), in_cluster=True) == []


def test_what_a_server_does_not_say_is_not_held_against_it() -> None:
    assert judge(ServerFacts()) == []


def test_errors_come_before_warnings() -> None:
    facts = ServerFacts(**GOOD | {"append_only": False, "role": "slave", "mode": "cluster", "version": "6"})
    assert [problem.severity for problem in judge(facts)] == ["error", "error", "warning", "warning"]
