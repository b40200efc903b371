"""How a tool is declared: `@tool(...)` on a plain typed function.

The function itself stays what it was, and is called in tests as before. What surrounds a call when a model asks for it
(deadline, permissions, cache, retries …) is written here as data only: this module must not know queues, Redis or
Dramatiq, nor how any policy is carried out.

The order in which a declaration flows: `signature` and `docstring` read the function, `signature_arguments` or
`raw_arguments` make the JSON Schema, `declaration` checks the policies, and a `Tool` holds all of it.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar

from pydantic import JsonValue, TypeAdapter
from pydantic.errors import PydanticUserError

from schemas.tool import Effect, ToolSpecification
from workers.declaration import Declaration, Retries, specify
from workers.docstring import read_docstring
from workers.errors import ToolDeclarationError
from workers.raw_arguments import RawArguments
from workers.signature import MISSING, Signature, read_signature
from workers.signature_arguments import SignatureArguments

__all__ = ["Arguments", "Retries", "Tool", "tool"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

_NOBODY: Final[frozenset[str]] = frozenset()


class Arguments(Protocol):
    """The arguments of a tool: what the model is told of them, and whether what it sends fits."""

    @property
    def schema(self) -> dict[str, JsonValue]:
        """The JSON Schema."""
        ...

    def validate(self, arguments: object) -> dict[str, Any]:
        """Turn what came out of JSON into Python values by parameter name, or raise `ArgumentsRejected`."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Tool(Generic[P, R_co]):
    """A declared tool. Calling it calls the plain function: no policy applies, and arguments are not checked.

    Attributes:
        function: The function as it was written.
        specification: Its name, schema and policies, as the pool publishes them.
        arguments: What checks and converts its arguments.
        result_adapter: What checks and serialises its result, or None if the function does not say what it returns.
        is_async: Whether the function is an `async def`, a generator or not.
        is_generator: Whether it yields, async or not. It may yield `Progress` any number of times; the tool's result is
            what a generator returns if that is not None, or else the last thing it yielded that is not a `Progress`,
            or else None.
        takes_context: Whether it wants a `context=ToolContext(...)`.
    """

    function: Callable[P, R_co]
    specification: ToolSpecification
    arguments: Arguments
    result_adapter: TypeAdapter[Any] | None
    is_async: bool
    is_generator: bool
    takes_context: bool

    def __post_init__(self) -> None:
        # So that help(), inspect.signature() and documentation tools show the function.
        object.__setattr__(self, "__wrapped__", self.function)
        object.__setattr__(self, "__doc__", self.function.__doc__)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the plain function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Tool {self.reference} of pool {self.pool}, {self.declared_at}>"

    @property
    def name(self) -> str:
        """What the model calls the tool."""
        return self.specification.name

    @property
    def pool(self) -> str:
        """The pool that runs it."""
        return self.specification.pool

    @property
    def reference(self) -> str:
        """`name@version`."""
        return self.specification.reference

    @property
    def declared_at(self) -> str:
        """`module.qualname (file:line)`, for messages."""
        code = inspect.unwrap(self.function).__code__
        where = f"{self.function.__module__}.{self.function.__qualname__}"
        return f"{where} ({code.co_filename}:{code.co_firstlineno})"

    def validate_arguments(self, arguments: object) -> dict[str, Any]:
        """Check arguments as they came out of JSON and turn them into what the function's annotations say.

        Returns:
            A value for every parameter but the context, by name: `function(**values)` is the call.

        Raises:
            ArgumentsRejected: they do not fit; it lists where and why, for the model to fix.
        """
        return self.arguments.validate(arguments)


def tool(
    *,
    pool: str,
    version: str = "1.0.0",
    effect: Effect = "unsafe",
    timeout: timedelta = timedelta(seconds=30),
    permissions: Collection[str] = _NOBODY,
    cache: timedelta | None = None,
    retries: Retries | None = None,
    cpu_bound: bool = False,
    name: str | None = None,
    description: str | None = None,
    parameters: Mapping[str, JsonValue] | None = None,
) -> Callable[[Callable[P, R_co]], Tool[P, R_co]]:
    """Declare a function as a tool that models may call.

    The model reads the docstring up to `Args:` as the description, and for each parameter the text in
    `Annotated[T, "text"]`, or else its entry under `Args:`. A keyword-only `context: ToolContext` is handed in and not
    shown to the model. Sync and async functions and generators may be tools; generators `yield Progress(...)`.

    Args:
        pool: The worker pool, and queue, that runs the tool.
        version: Its semantic version. Raise it when the schema or the meaning changes.
        effect: What repeating a call would mean: "read", "idempotent" or "unsafe". The default is the one that cannot
            do harm by being forgotten: an unsafe call is never run twice, so it is neither retried nor cached.
        timeout: How long one attempt may run.
        permissions: What a caller must hold, all of it, as `area:action`.
        cache: How long a result may be reused for equal arguments; only for "read". None is never.
        retries: How it is tried again when it fails; not for "unsafe". None is one attempt.
        cpu_bound: Whether it computes rather than waits, and so runs in a process of its own; not for `async def`.
        name: What the model calls it; the function's name by default.
        description: What the model reads instead of the docstring.
        parameters: A JSON Schema from elsewhere, which replaces the one made of the signature. Arguments are checked
            against it and handed over as they are, by name or to `**kwargs`.

    Raises:
        ToolDeclarationError: when the function is decorated; it names the function, the mistake and the way out.
    """
    declaration = Declaration(
        pool=pool,
        version=version,
        effect=effect,
        timeout=timeout,
        permissions=permissions,
        cache=cache,
        retries=retries,
        cpu_bound=cpu_bound,
    )

    def declare(function: Callable[P, R_co]) -> Tool[P, R_co]:
        signature = read_signature(function, schema_is_given=parameters is not None)
        docstring = read_docstring(function.__doc__)
        arguments: Arguments
        if parameters is None:
            arguments = SignatureArguments(signature, descriptions=docstring.parameters)
        else:
            arguments = RawArguments(parameters, signature=signature)
        specification = specify(
            declaration,
            where=signature.where,
            name=function.__name__ if name is None else name,
            description=docstring.description if description is None else description,
            parameters=arguments.schema,
            is_async=signature.is_async,
        )
        return Tool(
            function=function,
            specification=specification,
            arguments=arguments,
            result_adapter=_result_adapter(signature),
            is_async=signature.is_async,
            is_generator=signature.is_generator,
            takes_context=signature.takes_context,
        )

    return declare


def _result_adapter(signature: Signature) -> TypeAdapter[Any] | None:
    if signature.result_type is MISSING:
        return None
    try:
        return TypeAdapter(signature.result_type)
    except PydanticUserError as error:
        raise ToolDeclarationError(
            signature.where,
            problem=f"it returns {signature.result_type!r}, which has no JSON form",
            remedy="Return plain values, dataclasses or pydantic models",
        ) from error
