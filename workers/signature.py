"""What a tool's function looks like: its parameters, their types, whether it takes a context, what it returns.

This module must not know JSON Schema, nor the policies of a tool.
"""

import inspect
import types
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Never, NoReturn, Union, get_args, get_origin, get_type_hints

from workers.context import Progress, ToolContext
from workers.errors import ToolDeclarationError

__all__ = ["MISSING", "Parameter", "Signature", "place_of", "read_signature"]

MISSING: Final[Any] = inspect.Parameter.empty
"""Stands for a default or an annotation that is not there, since None may be one."""

CONTEXT_NAME: Final = "context"

_YIELDING = {Generator, Iterator, Iterable, AsyncGenerator, AsyncIterator, AsyncIterable}
_UNIONS = (Union, types.UnionType)


@dataclass(frozen=True)
class Parameter:
    """A parameter that the model fills in."""

    name: str
    annotation: Any
    """The resolved annotation with its `Annotated` metadata, or `MISSING`."""
    default: Any
    """The default in the signature, or `MISSING`."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A tool's function, read once when it is declared."""

    where: str
    """The function as `module.qualname`, for messages."""
    parameters: tuple[Parameter, ...]
    """Without the context."""
    takes_any_name: bool
    """Whether there is a `**kwargs`."""
    takes_context: bool
    is_async: bool
    """Whether it is an `async def`, a generator or not."""
    is_generator: bool
    """Whether it yields, async or not."""
    result_type: Any
    """What the tool's result is annotated as, or `MISSING`; for a generator, what is left beside its progress."""


def place_of(function: Callable[..., Any]) -> str:
    """The function as `module.qualname`, or what can be said of something that is no function."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    return f"{module}.{name}" if name else repr(function)


def read_signature(function: Callable[..., Any], *, schema_is_given: bool) -> Signature:
    """Read a function that is to be a tool.

    Args:
        function: A plain function: sync or async, a generator or not.
        schema_is_given: Whether the JSON Schema comes from elsewhere. Parameters then need no annotations and may be
            `**kwargs`.

    Raises:
        ToolDeclarationError: it cannot be one.
    """
    where = place_of(function)
    if not inspect.isfunction(function):
        raise ToolDeclarationError(
            where, problem="this is not a function", remedy="Put @tool(...) on a plain `def` or `async def`"
        )
    hints = _resolved_hints(function, where)
    parameters: list[Parameter] = []
    takes_context = takes_any_name = False
    for parameter in inspect.signature(function).parameters.values():
        annotation = hints.get(parameter.name, MISSING)
        if _is_context(annotation):
            _check_context(parameter, where)
            takes_context = True
        elif parameter.kind is parameter.VAR_KEYWORD and schema_is_given:
            takes_any_name = True
        else:
            _check_parameter(parameter, annotation, where=where, schema_is_given=schema_is_given)
            parameters.append(Parameter(parameter.name, annotation, parameter.default))
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return Signature(
        where=where,
        parameters=tuple(parameters),
        takes_any_name=takes_any_name,
        takes_context=takes_context,
        is_async=inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function),
        is_generator=is_generator,
        result_type=_result_type(hints.get("return", MISSING), is_generator=is_generator),
    )


def _resolved_hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ToolDeclarationError(
            where,
            problem=f"an annotation uses the name {error.name!r}, which does not exist when the tool is declared",
            remedy="Import or define it at module level, above the tool and outside of `if TYPE_CHECKING:`",
        ) from error
    except Exception as error:  # an annotation in quotes is code of the user's and may raise anything
        raise ToolDeclarationError(
            where,
            problem=f"an annotation cannot be evaluated ({type(error).__name__}: {error})",
            remedy="Write a type there that exists when the tool is declared",
        ) from error


def _is_context(annotation: Any) -> bool:
    is_optional = get_origin(annotation) in _UNIONS and ToolContext in get_args(annotation)
    return annotation is ToolContext or is_optional


def _check_context(parameter: inspect.Parameter, where: str) -> None:
    if parameter.kind is not parameter.KEYWORD_ONLY or parameter.name != CONTEXT_NAME:
        raise ToolDeclarationError(
            where,
            problem=f"the ToolContext is taken as the {parameter.kind.description} parameter {parameter.name!r}",
            remedy="Take it last and by keyword only: `*, context: ToolContext`",
        )


def _check_parameter(parameter: inspect.Parameter, annotation: Any, *, where: str, schema_is_given: bool) -> None:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise ToolDeclarationError(
            where,
            problem=f"{stars}{name} takes arguments that the model cannot be told of",
            remedy="Name every parameter, or give `parameters=` a JSON Schema and take **kwargs",
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise ToolDeclarationError(
            where,
            problem=f"the parameter {name!r} is positional-only, and arguments are handed over by name",
            remedy="Remove the `/` from the signature",
        )
    if annotation is MISSING and not schema_is_given:
        is_method = name in ("self", "cls")
        raise ToolDeclarationError(
            where,
            problem=f"the parameter {name!r} has no annotation" + (", as in a method" if is_method else ""),
            remedy="Tools are plain functions at module level"
            if is_method
            else f'Say its type and what it means, as `{name}: Annotated[str, "what the model should put here"]`',
        )


def _result_type(annotation: Any, *, is_generator: bool) -> Any:
    if annotation is NoReturn or annotation is Never:
        return MISSING
    if not is_generator:
        return annotation
    arguments = get_args(annotation)
    if get_origin(annotation) not in _YIELDING or not arguments:
        return MISSING
    if len(arguments) == 3 and arguments[2] is not type(
        None
    ):  # Generator[what it yields, what is sent, what it returns]
        return arguments[2]
    return _without_progress(arguments[0])


def _without_progress(yielded: Any) -> Any:
    members = get_args(yielded) if get_origin(yielded) in _UNIONS else (yielded,)
    rest = tuple(member for member in members if member is not Progress)
    return Union[rest] if rest else type(None)  # noqa: UP007 - the members are known at run time only
