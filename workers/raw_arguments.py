"""The arguments of a tool whose JSON Schema comes from elsewhere, say from an MCP server.

They are checked and handed over as they are: nothing is converted, and defaults of the schema are not filled in. The
`jsonschema` library is imported only when such a tool is declared. `signature_arguments` does the same for schemas that
come from a signature.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import JsonValue

from workers.errors import ArgumentsRejected, ToolDeclarationError
from workers.signature import CONTEXT_NAME, MISSING, Signature

if TYPE_CHECKING:  # most workers have no raw tool, and need not load it
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

__all__ = ["RawArguments"]

_LONGEST_PROBLEM: Final = 300


class RawArguments:
    """Arguments as a JSON Schema from elsewhere describes them.

    Attributes:
        schema: That schema, as it was given.
    """

    def __init__(self, schema: Mapping[str, JsonValue], *, signature: Signature) -> None:
        """Check the schema itself, and that the function takes what it describes.

        Raises:
            ToolDeclarationError: the schema is invalid, or is not that of an object, or does not fit the function.
        """
        self.schema: dict[str, JsonValue] = dict(schema)
        self._validator = _validator(self.schema, where=signature.where)
        _check_fit(self.schema, signature)
        self._names = None if signature.takes_any_name else {parameter.name for parameter in signature.parameters}
        self._taken = {CONTEXT_NAME} if signature.takes_context else set()

    def validate(self, arguments: object) -> dict[str, Any]:
        """The arguments as they are, if they fit.

        Raises:
            ArgumentsRejected: they do not.
        """
        if not isinstance(arguments, dict):
            raise ArgumentsRejected([("", "must be a JSON object")])
        problems = [(_path(error), _words(error)) for error in self._validator.iter_errors(arguments)]
        if not problems:
            known = arguments.keys() if self._names is None else self._names
            problems = [(name, "is not a parameter") for name in arguments if name not in known or name in self._taken]
        if problems:
            raise ArgumentsRejected(sorted(problems))
        return dict(arguments)


def _validator(schema: dict[str, JsonValue], *, where: str) -> "Validator":
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import EMPTY_REGISTRY, specification_with

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        at = "/".join(str(element) for element in error.absolute_path)
        problem = "`parameters` is not a valid JSON Schema" + (f", at {at}" if at else "") + f": {error.message}"
        raise ToolDeclarationError(where, problem=problem, remedy="Correct the schema") from error
    if schema.get("type") != "object":
        raise ToolDeclarationError(
            where,
            problem=f"`parameters` has the type {schema.get('type')!r}, and arguments are an object",
            remedy='Give the schema `"type": "object"`',
        )
    specification = specification_with(str(kind.META_SCHEMA["$schema"]))
    resolver = EMPTY_REGISTRY.resolver_with_root(specification.create_resource(schema))
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise ToolDeclarationError(
                where,
                problem=f"`parameters` refers to {reference!r}, which is not in it",
                remedy="Put what it refers to under `$defs`; nothing is fetched from elsewhere",
            ) from error
    # With the registry it has by default, jsonschema would fetch references from the network.
    validator: Validator = kind(schema, registry=EMPTY_REGISTRY)
    return validator


def _references(schema: JsonValue) -> Iterator[str]:
    """Every `$ref`, but for those in a part with an `$id` of its own, where they would mean something else."""
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif key not in ("default", "const", "enum", "examples") and not (
                isinstance(value, dict) and "$id" in value
            ):
                yield from _references(value)


def _check_fit(schema: Mapping[str, JsonValue], signature: Signature) -> None:
    properties = schema.get("properties")
    described = list(properties) if isinstance(properties, dict) else []
    required = schema.get("required")
    always = required if isinstance(required, list) else []
    names = {parameter.name for parameter in signature.parameters}
    if signature.takes_context and CONTEXT_NAME in described:
        raise ToolDeclarationError(
            signature.where,
            problem="`parameters` describes a property named 'context', and the function takes a ToolContext there",
            remedy="Rename the property, or do without the ToolContext",
        )
    missing = [name for name in described if name not in names]
    if missing and not signature.takes_any_name:
        raise ToolDeclarationError(
            signature.where,
            problem=f"`parameters` describes {missing[0]!r}, which the function does not take",
            remedy=f"Add a parameter {missing[0]!r}, or take **kwargs",
        )
    for parameter in signature.parameters:
        if parameter.default is MISSING and parameter.name not in always:
            raise ToolDeclarationError(
                signature.where,
                problem=f"the function needs {parameter.name!r}, which `parameters` does not require",
                remedy=f"Give {parameter.name!r} a default, or list it under `required`",
            )


def _path(error: "ValidationError") -> str:
    path = ""
    for element in error.absolute_path:
        path += f"[{element}]" if isinstance(element, int) else f".{element}"
    return path.removeprefix(".")


def _words(error: "ValidationError") -> str:
    """The library's words, which repeat the value in question, however large it is."""
    message = error.message
    return message if len(message) <= _LONGEST_PROBLEM else message[: _LONGEST_PROBLEM - 1] + "…"
