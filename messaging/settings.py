"""The settings that every process of a deployment shares, read once from its environment at its entry.

This is the only place of this package that looks at the environment. Settings classes of other packages add fields by
subclassing; `load_settings` reads any of them and explains what does not fit.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from messaging.duration import Duration
from messaging.embedded.runtime_file import find_running
from messaging.errors import InvalidRedisUrl, InvalidSettings, RedisUnreachable
from messaging.redaction import is_secret_name, redact, redact_secrets
from messaging.redis_access.url import parse_redis_url
from schemas.wire import DEFAULT_CELL

__all__ = ["DeploymentSettings", "Duration", "explain_settings_error", "load_settings", "resolve_redis_url"]

S = TypeVar("S", bound=BaseSettings)


def _default_data_dir() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # a container's made-up user has none
        return Path(tempfile.gettempdir()) / f"trunkline-{os.getuid()}"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "trunkline"
    home_of_data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (home_of_data if home_of_data.is_absolute() else home / ".local" / "share") / "trunkline"


def _checked_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None:
        try:
            parse_redis_url(url.get_secret_value())
        except InvalidRedisUrl as error:
            raise PydanticCustomError("redis_url", "{reason}", {"reason": str(error)}) from None
    return url


def _split_at_commas(value: Any) -> Any:
    return tuple(part for one in value.split(",") if (part := one.strip())) if isinstance(value, str) else value


_Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
_LowerCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)


class DeploymentSettings(BaseSettings):
    """What all processes of a deployment have to agree on, and where this one finds things."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", env_ignore_empty=True, frozen=True)

    redis_url: Annotated[SecretStr | None, AfterValidator(_checked_url)] = None
    """Where Redis is. Absent: the embedded one. See `messaging.redis_access.url` for the forms."""
    namespace: str = Field(
        "trunkline", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="letters, digits, dots, _ and -"
    )
    """The first part of all keys. In braces it is their hash tag."""
    cell: str = Field(
        DEFAULT_CELL, pattern=r"^[a-z0-9]{1,12}$", description="one to twelve lower-case letters and digits"
    )
    """Which of several Redis servers new jobs belong to; a part of their ids."""
    data_dir: _Folder = Field(default_factory=_default_data_dir)
    """The embedded Redis keeps its data there, in a folder of its own, and pools may keep theirs."""
    runtime_dir: _Folder = Field(default_factory=lambda settings: settings["data_dir"])
    """Processes of one machine find the embedded Redis there. Default: the data folder."""
    heartbeat_timeout: Duration = Field(timedelta(seconds=5), ge=timedelta(milliseconds=100))
    """Without a sign of life for this long, other processes take over a worker's messages."""
    limits_file: _Folder | None = None
    """A TOML file with the limits that queues begin with; see `messaging.limits_file`."""
    health_port: int | None = Field(None, ge=1, le=65535)
    """A process of its own answers /live and /ready there, on all interfaces; see `messaging.processes.health`."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _LowerCase] = "info"
    log_format: Annotated[Literal["auto", "json", "console"], _LowerCase] = "auto"
    """`auto` is for people when standard error is a terminal, else JSON."""
    redact_fields: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_at_commas)] = ()
    """Fields whose values are hidden from logs, traces, dead letters and errors, besides those that sound like secrets;
    separated by commas."""

    @property
    def key_prefix(self) -> str:
        """The namespace in braces, with which all keys begin."""
        return f"{{{self.namespace}}}"


def load_settings(settings_class: type[S], **overrides: Any) -> S:
    """Reads settings from the environment. The secrets among them are hidden from whatever this process writes.

    Args:
        settings_class: Which ones.
        overrides: Fields by name that come from elsewhere, such as the command line.

    Raises:
        InvalidSettings: With one line for each setting that does not fit.
    """
    try:
        settings = settings_class(**overrides)
    except ValidationError as error:
        raise InvalidSettings(explain_settings_error(error, settings_class)) from None
    except SettingsError as error:  # a setting that has to be JSON and is not
        raise InvalidSettings(_explain_unparsed(error, settings_class)) from None
    redact_secrets(
        secret
        for name in settings_class.model_fields
        if isinstance(setting := getattr(settings, name), SecretStr)
        for secret in _secrets_in(setting.get_secret_value())
    )
    return settings


def _secrets_in(text: str) -> Iterator[str]:
    """A secret setting, and what of it is secret by itself: the passwords of a URL, the values of headers."""
    values = [text.strip()]
    if "://" in text:
        url = urlsplit(text)
        values += [url.password or "", *(value for name, value in parse_qsl(url.query) if is_secret_name(name))]
    else:
        values += [pair.partition("=")[2].strip() for pair in text.split(",")]
    for value in values:
        plain = unquote(value)
        yield from {value, plain, quote(plain, safe=""), *plain.split()[-1:]}  # `Bearer abc`, and abc


def resolve_redis_url(settings: DeploymentSettings) -> str:
    """Returns the URL to connect to: the one that is set, else that of the embedded Redis that is running.

    Raises:
        RedisUnreachable: None is set, and no embedded one is running.
    """
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    url = find_running(settings.runtime_dir)
    if url is None:
        raise RedisUnreachable(f"the embedded Redis of {settings.runtime_dir}", "none is running")
    return url


def explain_settings_error(error: ValidationError, settings_class: type[BaseSettings]) -> str:
    """Turns pydantic's error into text for people, a line for each setting: its variable, what is wrong, what fits."""
    return "\n".join(
        _explain(details, settings_class)
        for details in error.errors(include_url=False)
        if details["type"] != "default_factory_not_called"  # it only follows from another one
    )


def _explain(details: ErrorDetails, settings_class: type[BaseSettings]) -> str:
    name = str(details["loc"][0]) if details["loc"] else ""
    variable = _variable(name, settings_class)
    if details["type"] == "extra_forbidden":
        return f"{variable}: there is no such setting"
    if not name:
        return redact(details["msg"])
    context = details.get("ctx", {})
    hint = context.get("hint") or context.get("expected") or _description(name, settings_class) or ""
    if details["type"] in ("duration", "redis_url"):
        problem = details["msg"]
    elif context.get("expected") or details["type"] == "string_pattern_mismatch":
        problem = "it does not fit"
    else:
        problem = details["msg"].replace("Input should", "it should", 1)
    given = "" if is_secret_name(variable) or variable.endswith("_URL") else f", got {redact(repr(details['input']))}"
    advice = f"; {hint}" if hint.startswith("use ") else f"; use {hint}" if hint else ""
    return f"{variable}: {redact(problem)}{given}{advice}"


def _explain_unparsed(error: SettingsError, settings_class: type[BaseSettings]) -> str:
    field = re.search(r'field "(\w+)"', str(error))
    return f"{_variable(field[1], settings_class) if field else error}: it has to be JSON"


def _variable(name: str, settings_class: type[BaseSettings]) -> str:
    """The variable that sets a field. A field with a name of its own (an alias) is reported under that already."""
    known = name in settings_class.model_fields
    return f"{settings_class.model_config.get('env_prefix', '')}{name}".upper() if known else name


def _description(name: str, settings_class: type[BaseSettings]) -> str | None:
    field = settings_class.model_fields.get(name)
    return None if field is None else field.description
