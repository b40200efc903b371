"""Which tools a turn offers the model."""

import pytest

from ledger.catalogue import PublishedTool
from orchestrator.tool_offer import offer_tools
from schemas.tool import ToolSpecification


def published(reference: str, *, alive: bool = True) -> PublishedTool:
    name, _, version = reference.partition("@")
    specification = ToolSpecification(
        name=name,
        version=version,
        description="A tool.",
        parameters={"type": "object"},
        pool="p",
        effect="read",
        timeout_ms=1000,
    )
    return PublishedTool(specification, is_alive=alive)


def offered(patterns: list[str], *catalogue: PublishedTool) -> list[str]:
    return [tool.reference for tool in offer_tools(patterns, catalogue).tools]


def test_a_name_a_version_and_a_pattern_pick_tools() -> None:
    catalogue = [published("get_a@1.0.0"), published("get_b@2.0.0"), published("set_a@1.0.0")]
    assert offered(["set_a"], *catalogue) == ["set_a@1.0.0"]
    assert offered(["get_b@2.0.0"], *catalogue) == ["get_b@2.0.0"]
    assert offered(["get_*"], *catalogue) == ["get_a@1.0.0", "get_b@2.0.0"]
    assert offered(["*"], *catalogue) == ["get_a@1.0.0", "get_b@2.0.0", "set_a@1.0.0"]


@pytest.mark.parametrize(
    ("versions", "best"),
    [
        (["1.9.0", "1.10.0"], "1.10.0"),
        (["2.0.0-rc.1", "2.0.0"], "2.0.0"),
        (["1.0.0", "2.0.0-rc.1"], "2.0.0-rc.1"),
    ],
)
def test_of_several_versions_the_newest_is_offered(versions: list[str], best: str) -> None:
    assert offered(["t"], *(published(f"t@{version}") for version in versions)) == [f"t@{best}"]


def test_an_older_version_that_lives_is_offered_before_a_newer_one_that_does_not() -> None:
    assert offered(["t"], published("t@1.0.0"), published("t@2.0.0", alive=False)) == ["t@1.0.0"]


def test_a_pattern_means_tools_that_live_and_a_name_also_one_that_does_not() -> None:
    dead = published("t@1.0.0", alive=False)
    assert offered(["*"], dead) == []
    offer = offer_tools(["t"], [dead])
    assert [tool.reference for tool in offer.tools] == ["t@1.0.0"]
    assert offer.without_worker == {"t@1.0.0"}


def test_what_matches_nothing_is_missing_but_a_star_never_is() -> None:
    assert offer_tools(["nothing", "*"], []).missing == ["nothing"]
