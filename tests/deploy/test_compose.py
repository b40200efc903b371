"""The compose file and the image: valid to their own tools, and true to what the code does."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.deployment_files import DEPLOY, read_yaml
from trunkline.command_line.program import run
from workers.registry import shipped_pools

BIN: Final = Path(sys.executable).parent
ROOT: Final = DEPLOY.parent
COMPOSE: Final = (str(BIN / "docker-compose"), "--file", str(DEPLOY / "compose.yaml"))


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The file as compose understands it, with passwords as its own script makes them."""
    passwords = subprocess.run(["sh", DEPLOY / "new-passwords.sh"], capture_output=True, text=True, check=True).stdout
    file = tmp_path_factory.mktemp("compose") / "env"
    file.write_text(passwords)
    command = [*COMPOSE, "--env-file", str(file), "--profile", "*", "config"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    read: dict[str, Any] = yaml.safe_load(result.stdout)
    return read


def test_without_passwords_compose_says_what_to_do() -> None:
    command = [*COMPOSE, "--env-file", "/dev/null", "config"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "run deploy/new-passwords.sh" in result.stderr


def test_every_pool_that_ships_has_a_service_and_every_command_exists(
    compose: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ours = {name: service for name, service in compose["services"].items() if service["image"] == "trunkline"}
    pools = {service["command"][2] for service in ours.values() if (service["command"] or [""])[0] == "worker"}
    assert pools == shipped_pools().keys()
    assert ours.keys() - pools == {"orchestrator", "telemetry", "offline-model"}
    for service in ours.values():
        if service["command"]:
            assert run([service["command"][0], "--help"]) == 0
    capsys.readouterr()


def test_no_service_has_rights_that_it_does_not_need(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
    reach_out = {name for name, service in compose["services"].items() if "outside" in service["networks"]}
    assert {"finance", "property", "notify", "telemetry", "otel-collector"}.isdisjoint(reach_out)


def test_files_that_services_mount_exist(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", ())]
    for mount in mounts:
        assert mount["type"] == "volume" or Path(mount["source"]).exists(), mount["source"]


def test_the_collector_sends_what_it_receives() -> None:
    config = read_yaml(DEPLOY / "collector/config.yaml")
    for name, pipeline in config["service"]["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= config[kind].keys(), name


def test_the_container_file_is_as_it_should_be() -> None:
    result = subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_images_get_the_packages_that_are_ours_and_the_versions_that_are_tested() -> None:
    let_in = set(re.findall(r"^!(\w+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    packages = re.search(r"^packages = (\[.*\])$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages is not None
    assert let_in - {"LICENSE"} == set(yaml.safe_load(packages[1]))
    tested = _pins(ROOT / "requirements.lock")
    plain, postgres = (_pins(DEPLOY / name) for name in ("requirements.lock", "requirements-postgres.lock"))
    assert plain <= tested
    needed = re.search(r"^dependencies = \[(.*?)^\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert needed is not None
    names = set(re.findall(r'^    "([\w-]+)', needed[1], re.MULTILINE))
    assert "redis" in names <= {pin.partition("==")[0] for pin in plain}, "run `make lock`"
    assert {pin.partition("==")[0] for pin in postgres - plain} == {"psycopg", "psycopg-binary"}
    assert {"pytest", "mypy", "psycopg"}.isdisjoint(pin.partition("==")[0] for pin in plain)


def _pins(lock: Path) -> set[str]:
    return set(re.findall(r"^([\w.-]+==[^\s;\\]+)", lock.read_text(), re.MULTILINE))
