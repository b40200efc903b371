"""What must not leave a process in a log line, an error message or a text for a model.

Pure functions on text and plain values. They know neither logging, nor Redis, nor tools: whoever writes text that
somebody else will read passes it through here first. They err on the side of hiding too much.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

__all__ = ["REDACTED", "is_secret_name", "redact", "redact_fields", "redact_secrets", "redact_value"]

REDACTED: Final = "***"

_DEEPEST: Final = 8
"""Nesting below which `redact_value` looks at text forms only; deeper values are rare and may be endless."""

# Looked for ahead, then taken as a whole without a way back: otherwise the time would grow with the square of a name.
_SENSITIVE_NAME = (
    r"(?=[\w.-]*?(?:password|passwd|passphrase|secret|credential|authorization|cookie"
    r"|(?:api|private|access|signing)[_.-]?key)"
    # Only at the end, and only one of them: max_tokens and token_count are counts.
    r"|[\w.-]*token(?![\w.-])|pwd(?![\w.-]))[\w.-]++"
)

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)

_URL_PASSWORD = re.compile(r"""(://[^\s/@:"'<>]*):[^\s/"'<>]*@""")
"""Up to the *last* @ of the authority, so that an @ nobody escaped does not leave half a password standing."""

_URL_TOKEN = re.compile(r"""\b(https?://)[^\s/@:"'<>]+@""", re.IGNORECASE)

_VALUE_OF_A_NAME = (
    r"(?P<quote>\\*[\"'])?\s*(?:=>|[:=])\s*)"
    # A string within a string. More backslashes before a quote than at its beginning: a quote within the inner one.
    r"(?:(?P<open>\\+[\"'])(?:(?!(?<!\\)(?P=open)).)*(?P<close>(?P=open))?"
    r"|\"(?:[^\"\\]|\\.?)*(?P<double>\")?"
    r"|'(?:[^'\\]|\\.?)*(?P<single>')?"
    r"|(?:(?:bearer|basic|digest|token)\s+)?[^\s,;&\"'{}()\[\]]+)"
)

_BEARER = re.compile(r"\b(bearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE)

_KNOWN_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[A-Za-z0-9_*-]{8,}"  # OpenAI, Anthropic and those that copy them; * as their own errors mask it
    r"|gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|xox[a-z]-[A-Za-z0-9-]{10,}"
    r"|AKIA[A-Z0-9]{12,}"
    r"|AIza[\w-]{20,}"
    r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JSON Web Token
    r")"
)


_CLUES: Final = (
    *("://", "-----begin", "pass", "pwd", "secret", "credential", "authorization", "cookie", "key", "token", "bearer"),
    *("sk-", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "xox", "akia", "aiza", "eyj"),
)
"""One of these, in lower case, is in every text that any of the patterns above matches. Most texts have none, which is
cheap to see."""


@dataclass(frozen=True, slots=True)
class _Names:
    """The names whose values are hidden: those that sound like secrets, and those that somebody has set."""

    alone: re.Pattern[str]
    configured: re.Pattern[str] | None
    with_value: re.Pattern[str]
    clues: tuple[str, ...]

    @classmethod
    def of(cls, fields: Iterable[str]) -> Self:
        # `card_number` is `Card-Number` and `cardNumber` too.
        loose = [re.sub(r"[_-]+", "[_-]?", re.escape(field).replace(r"\-", "-")) for field in fields]
        configured = rf"(?:{'|'.join(loose)})(?![\w.-])" if loose else None
        either = f"(?:{configured}|{_SENSITIVE_NAME})" if configured else _SENSITIVE_NAME
        return cls(
            alone=re.compile(either, re.IGNORECASE),
            configured=re.compile(configured, re.IGNORECASE) if configured else None,
            with_value=re.compile(rf"(?P<name>(?<![\w.-]){either}{_VALUE_OF_A_NAME}", re.IGNORECASE | re.DOTALL),
            clues=(*_CLUES, *(re.split("[_-]", field.lower())[0] for field in fields)),
        )


_names = _Names.of(())

_SHORTEST_SECRET: Final = 8
"""Shorter ones guard nothing, and would be found in the middle of words."""

_secrets: tuple[str, ...] = ()


def redact_secrets(values: Iterable[str]) -> None:
    """Hides these very texts wherever they stand, in the whole process, from now on: the secrets that it was given.

    Args:
        values: Such as the endpoint's API key, whatever its form. They are added to those set before; shorter ones than
            eight characters are not hidden.
    """
    global _secrets
    known = {*_secrets, *(value for value in values if len(value) >= _SHORTEST_SECRET)}
    _secrets = tuple(sorted(known, key=len, reverse=True))  # one may be a part of another


def redact_fields(fields: Iterable[str]) -> None:
    """Hides the values of these fields too, in the whole process, from now on. For a process's entry.

    Args:
        fields: Names such as `card_number`. Case, `_` and `-` make no difference. They replace those set before.
    """
    global _names
    _names = _Names.of(tuple(fields))
    is_secret_name.cache_clear()


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Tells whether a field, header or setting of this name holds a secret, going by its name alone.

    `api_key`, `X-Auth-Token`, `clientSecret` and `redis_password` do; `max_tokens` and `token_count` do not.
    """
    return _names.alone.fullmatch(name) is not None


def redact(text: str) -> str:
    """Returns the text with everything in it that looks like a secret replaced by `***`.

    Hidden are: passwords in URLs, values of secret-looking names (`password=…`, `"api_key": "…"`, `Authorization: …`),
    bearer tokens, private keys in PEM, and keys that can be told by their form (`sk-…`, GitHub, Slack, AWS, Google,
    JSON Web Tokens), and what `redact_fields` and `redact_secrets` have named. The time it takes grows with the length
    of the text only. What has to stay valid JSON whatever its strings say goes through `redact_value` before it becomes
    text.
    """
    for secret in _secrets:
        text = text.replace(secret, REDACTED)
    names = _names
    if not any(map(text.lower().__contains__, names.clues)):
        return text
    text = _PRIVATE_KEY.sub(REDACTED, text)
    text = _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text)
    text = _URL_TOKEN.sub(rf"\1{REDACTED}@", text)
    text = names.with_value.sub(_hide_named, text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return _KNOWN_KEY.sub(REDACTED, text)


def redact_value(value: object, *, name: str = "") -> object:
    """Returns a copy of a plain value (JSON-like) with every secret in it replaced, at any depth.

    Args:
        value: What to show. Mappings, sequences and text are looked into; numbers, booleans and None stay as they
            are; anything else is replaced by its redacted `repr`.
        name: The name under which the value is shown. A secret one hides the whole value.
    """
    return _redact_nested(value, name=name, depth=0)


def _redact_nested(value: object, *, name: str, depth: int) -> object:
    if name and _names.configured is not None and _names.configured.fullmatch(name):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        # A count under a secret-looking name ("token": 3) is no secret, a numeric password is.
        return REDACTED if type(value) is int and "passw" in name.lower() else value
    if name and is_secret_name(name):
        return REDACTED
    if isinstance(value, str):
        return redact(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {key: _redact_nested(item, name=str(key), depth=depth + 1) for key, item in value.items()}
    if depth < _DEEPEST and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_redact_nested(item, name="", depth=depth + 1) for item in value]
    return redact(repr(value))


def _hide_named(match: re.Match[str]) -> str:
    """Keeps the name and the quotes, so that JSON stays JSON."""
    if match["open"]:
        return f"{match['name']}{match['open']}{REDACTED}{match['close'] or ''}"
    if match["double"]:
        return f'{match["name"]}"{REDACTED}"'
    if match["single"]:
        return f"{match['name']}'{REDACTED}'"
    quote = match["quote"] or ""  # a quoted name wants a quoted value: this may have been a number in JSON
    return f"{match['name']}{quote}{REDACTED}{quote}"
