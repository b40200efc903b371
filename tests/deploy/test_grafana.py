"""Dashboards: JSON that Grafana reads, every query of which asks for what is exported."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.deploy.deployment_files import DEPLOY, read_yaml
from tests.deploy.exported_metrics import unexported

DASHBOARDS: Final = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
SOURCES: Final = {
    source["uid"]: source["type"]
    for source in read_yaml(DEPLOY / "grafana/provisioning/datasources/trunkline.yaml")["datasources"]
}


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(request.param.read_text())
    assert read["uid"] == request.param.stem
    return read


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_every_query_asks_for_what_is_exported(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    asked = list(queries(dashboard))
    assert len(asked) >= len(dashboard["panels"]) > 5
    for query in asked:
        assert set(re.findall(r"\$(\w+)", query)) <= variables, query
        assert unexported(query) == [], query


def test_what_can_be_chosen_comes_from_a_label_that_is_exported(dashboard: dict[str, Any]) -> None:
    for variable in dashboard["templating"]["list"]:
        match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
        assert match is not None, variable["definition"]
        assert unexported(f'{match[1]}{{{match[2]}="x"}}') == []


def test_legends_name_labels_that_the_query_keeps(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            kept = {
                label.strip() for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in group.split(",")
            }
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept, panel["title"]


def test_panels_have_provisioned_sources_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        assert SOURCES[panel["datasource"]["uid"]] == panel["datasource"]["type"]
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for before, after in pairwise(places):
        assert after["y"] >= before["y"] + before["h"] or (
            after["y"] == before["y"] and after["x"] >= before["x"] + before["w"]
        )
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
