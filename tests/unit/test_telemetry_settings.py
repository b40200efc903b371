"""The standard variables of OpenTelemetry, as the telemetry process reads them."""

import pytest

from messaging.errors import InvalidSettings
from messaging.settings import load_settings
from telemetry.settings import TelemetrySettings


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> TelemetrySettings:
    for name, value in variables.items():
        monkeypatch.setenv(name if name.startswith("TRUNKLINE_") else f"OTEL_{name}", value)
    return load_settings(TelemetrySettings)


def test_nothing_is_exported_unless_somebody_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).otlp_endpoint("traces") is None
    of_default = settings(monkeypatch, TRACES_EXPORTER="otlp").otlp_endpoint("traces")
    assert of_default is not None
    assert of_default.url == "http://localhost:4318/v1/traces"
    assert settings(monkeypatch, SDK_DISABLED="true").otlp_endpoint("traces") is None


def test_a_signals_own_endpoint_is_used_as_it_is_and_the_common_one_gets_its_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    common = settings(monkeypatch, EXPORTER_OTLP_ENDPOINT="http://c:4318/", EXPORTER_OTLP_HEADERS="a=1%202,b=x")
    found = common.otlp_endpoint("traces")
    assert found is not None
    assert (found.url, found.headers) == ("http://c:4318/v1/traces", {"a": "1 2", "b": "x"})
    assert "1 2" not in repr(found)
    own = settings(monkeypatch, EXPORTER_OTLP_TRACES_ENDPOINT="http://t/path", EXPORTER_OTLP_TRACES_HEADERS="c=3")
    found = own.otlp_endpoint("traces")
    assert found is not None
    assert (found.url, found.headers) == ("http://t/path", {"c": "3"})


def test_resource_and_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = settings(monkeypatch, RESOURCE_ATTRIBUTES="service.name=mine,deployment.environment.name=test")
    assert plain.resource() == {
        "service.name": "mine",
        "host.id": "trunkline",
        "deployment.environment.name": "test",
    }
    named = settings(monkeypatch, SERVICE_NAME="other", TRACES_SAMPLER="traceidratio", TRACES_SAMPLER_ARG="0.25")
    assert named.resource()["service.name"] == "other"
    assert (named.sampling().share, named.sampling().follow_upstream) == (0.25, False)
    off = settings(monkeypatch, TRACES_SAMPLER="always_off").sampling()
    assert (off.share, off.keep_remarkable) == (0.0, False)


def test_what_is_not_spoken_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSettings, match="OTEL_EXPORTER_OTLP_PROTOCOL"):
        settings(monkeypatch, EXPORTER_OTLP_PROTOCOL="grpc")
