"""Settings are read from the environment, and what does not fit is explained."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from messaging import redaction
from messaging.embedded.runtime_file import publish
from messaging.errors import InvalidSettings, RedisUnreachable
from messaging.redaction import redact
from messaging.settings import DeploymentSettings, Duration, load_settings, resolve_redis_url

SetEnvironment = Callable[..., None]


class MoreSettings(DeploymentSettings):
    """As another package would extend them."""

    attempts: int = Field(5, ge=1)
    grace: Duration = Field(timedelta(seconds=1), ge=timedelta(milliseconds=100), le=timedelta(hours=1))
    signing_key: SecretStr | None = Field(None, min_length=8)
    pools: list[str] = Field(default_factory=list)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetEnvironment:
    for name in os.environ:
        if name.startswith(("TRUNKLINE_", "XDG_")):
            monkeypatch.delenv(name)

    def set_environment(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_environment


def test_without_any_variable_the_defaults_hold(environment: SetEnvironment) -> None:
    environment(HOME="/home/ann")
    settings = load_settings(DeploymentSettings)
    assert settings.redis_url is None
    assert settings.namespace == "trunkline"
    assert settings.key_prefix == "{trunkline}"
    assert settings.cell == "a"
    assert settings.heartbeat_timeout == timedelta(seconds=5)
    assert (settings.log_level, settings.log_format) == ("info", "auto")
    assert settings.data_dir.is_relative_to("/home/ann")
    assert settings.runtime_dir == settings.data_dir


def test_secrets_that_were_read_are_hidden_from_then_on(
    environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_secrets", ())
    environment(
        TRUNKLINE_REDIS_URL="redis+sentinel://ann:canary%40one@a:1,b:2/main?sentinel_password=canary-two",
        TRUNKLINE_SIGNING_KEY="canary-three==",
        TRUNKLINE_HEADERS="x-team=canary-four,authorization=Bearer%20canary-five",
    )

    class Settings(MoreSettings):
        headers: SecretStr = SecretStr("")

    load_settings(Settings)
    said = "canary@one canary%40one canary-two canary-three== canary-four, said: canary-five; ann at a:1, x-team, main"
    assert redact(said) == "*** *** *** *** ***, said: ***; ann at a:1, x-team, main"


def test_without_a_home_there_is_a_data_folder_too(
    environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user id without an account
    assert load_settings(DeploymentSettings).data_dir.name == f"trunkline-{os.getuid()}"


def test_variables_and_the_command_line_win_in_that_order(environment: SetEnvironment) -> None:
    environment(TRUNKLINE_NAMESPACE="shop", TRUNKLINE_LOG_LEVEL="DEBUG", TRUNKLINE_DATA_DIR="/data")
    settings = load_settings(DeploymentSettings, namespace="other")
    assert settings.namespace == "other"
    assert settings.log_level == "debug"
    assert settings.runtime_dir == Path("/data")


def test_an_empty_variable_counts_as_absent(environment: SetEnvironment) -> None:
    environment(TRUNKLINE_REDIS_URL="", TRUNKLINE_HEARTBEAT_TIMEOUT="")
    assert load_settings(DeploymentSettings).redis_url is None


def test_folders_may_begin_with_a_tilde(environment: SetEnvironment) -> None:
    environment(HOME="/home/ann", TRUNKLINE_DATA_DIR="~/data", XDG_DATA_HOME="/elsewhere")
    assert load_settings(DeploymentSettings).data_dir == Path("/home/ann/data")


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("5", timedelta(seconds=5)),
        (" 0.5 ", timedelta(milliseconds=500)),
        ("5s", timedelta(seconds=5)),
        ("500ms", timedelta(milliseconds=500)),
        ("2 M", timedelta(minutes=2)),
        ("1h", timedelta(hours=1)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1.5h", timedelta(minutes=90)),
        ("PT5S", timedelta(seconds=5)),
        ("P1DT2H", timedelta(hours=26)),
        ("00:01:30", timedelta(seconds=90)),
    ],
)
def test_durations_are_seconds_or_have_a_unit(environment: SetEnvironment, text: str, duration: timedelta) -> None:
    environment(TRUNKLINE_HEARTBEAT_TIMEOUT=text)
    assert load_settings(DeploymentSettings).heartbeat_timeout == duration


@pytest.mark.parametrize("text", ["abc", "5 apples", "1.2.3", "nan", "inf", "1e400", "9" * 30 + "h", "True", "s"])
def test_what_is_no_duration_is_explained(environment: SetEnvironment, text: str) -> None:
    environment(TRUNKLINE_HEARTBEAT_TIMEOUT=text)
    with pytest.raises(InvalidSettings) as error:
        load_settings(DeploymentSettings)
    assert str(error.value) == (
        f"TRUNKLINE_HEARTBEAT_TIMEOUT: not a duration, got '{text}'; "
        "use a number of seconds such as 5 or 0.5, or a unit as in 500ms, 5s, 2m or 1h"
    )


@pytest.mark.parametrize("text", ["-5", "-0.5", "-5s", "-PT5S"])
def test_a_negative_duration_is_refused(environment: SetEnvironment, text: str) -> None:
    environment(TRUNKLINE_HEARTBEAT_TIMEOUT=text)
    with pytest.raises(InvalidSettings, match="cannot be negative"):
        load_settings(DeploymentSettings)


@pytest.mark.parametrize(
    ("text", "hint"), [("0", "use at least 0.1s"), ("99ms", "use at least 0.1s"), ("61m", "use at most 1h")]
)
def test_a_duration_out_of_its_range_is_refused_with_the_range(
    environment: SetEnvironment, text: str, hint: str
) -> None:
    environment(TRUNKLINE_GRACE=text)
    with pytest.raises(InvalidSettings) as error:
        load_settings(MoreSettings)
    assert str(error.value) == f"TRUNKLINE_GRACE: out of range, got '{text}'; {hint}"


def test_every_setting_that_does_not_fit_has_a_line(environment: SetEnvironment) -> None:
    environment(
        TRUNKLINE_NAMESPACE="{shop}",
        TRUNKLINE_LOG_FORMAT="xml",
        TRUNKLINE_ATTEMPTS="many",
        TRUNKLINE_REDIS_URL="redis://:hun/ter2@host",
        TRUNKLINE_SIGNING_KEY="hunter2",
    )
    with pytest.raises(InvalidSettings) as error:
        load_settings(MoreSettings)
    lines = str(error.value).splitlines()
    assert lines[0].startswith("TRUNKLINE_REDIS_URL: redis://***@host is not a URL of Redis that Trunkline can use")
    assert lines[1] == "TRUNKLINE_NAMESPACE: it does not fit, got '{shop}'; use letters, digits, dots, _ and -"
    assert lines[2] == "TRUNKLINE_LOG_FORMAT: it does not fit, got 'xml'; use 'auto', 'json' or 'console'"
    assert lines[3].startswith("TRUNKLINE_ATTEMPTS: it should be a valid integer")
    assert lines[4].startswith("TRUNKLINE_SIGNING_KEY: ")
    assert len(lines) == 5
    assert "hunter2" not in str(error.value)
    assert "ter2" not in str(error.value)


def test_a_mistake_in_one_folder_is_not_reported_for_another(environment: SetEnvironment) -> None:
    environment(TRUNKLINE_LOG_LEVEL="loud")
    with pytest.raises(InvalidSettings) as error:
        load_settings(DeploymentSettings)
    assert len(str(error.value).splitlines()) == 1


def test_a_setting_that_has_to_be_json_is_named(environment: SetEnvironment) -> None:
    environment(TRUNKLINE_POOLS="web,database")
    with pytest.raises(InvalidSettings) as error:
        load_settings(MoreSettings)
    assert str(error.value) == "TRUNKLINE_POOLS: it has to be JSON"


def test_a_setting_that_does_not_exist_is_refused(environment: SetEnvironment) -> None:
    with pytest.raises(InvalidSettings, match="naemspace: there is no such setting"):
        load_settings(DeploymentSettings, naemspace="shop")


def test_settings_are_frozen_and_do_not_show_the_password(environment: SetEnvironment) -> None:
    environment(TRUNKLINE_REDIS_URL="redis://:hunter2@host")
    settings = load_settings(DeploymentSettings)
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.namespace = "other"  # type: ignore[misc]  # that it is refused is the point


def test_the_url_that_is_set_wins_over_a_running_server(environment: SetEnvironment, tmp_path: Path) -> None:
    environment(TRUNKLINE_REDIS_URL="redis://:hunter2@host")
    publish(tmp_path / "run", url="redis://127.0.0.1:1", pid=1)
    assert resolve_redis_url(load_settings(DeploymentSettings, runtime_dir=tmp_path / "run")) == "redis://:hunter2@host"


def test_without_a_url_and_a_running_server_the_next_step_is_named(environment: SetEnvironment, tmp_path: Path) -> None:
    with pytest.raises(RedisUnreachable, match="start `trunkline up` or set TRUNKLINE_REDIS_URL"):
        resolve_redis_url(load_settings(DeploymentSettings, data_dir=tmp_path))
