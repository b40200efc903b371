"""The arguments of a tool whose JSON Schema comes from its signature: the schema, and the way to Python values.

This module must not know the policies of a tool. `raw_arguments` does the same for schemas that come from elsewhere.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import ErrorDetails, SchemaError

from workers.errors import ArgumentsRejected, ToolDeclarationError
from workers.signature import MISSING, Parameter, Signature

__all__ = ["SignatureArguments", "problems_of"]

_REFUSALS: Final = (PydanticUserError, SchemaError, TypeError, ValueError)
"""What pydantic raises for types, constraints and patterns that it cannot make a schema of."""


class SignatureArguments:
    """Arguments as a function's signature describes them.

    Attributes:
        schema: The JSON Schema for the model: an object, closed, without titles.
    """

    def __init__(self, signature: Signature, *, descriptions: Mapping[str, str]) -> None:
        """Take a signature, and texts by parameter name for those whose annotation has none.

        Raises:
            ToolDeclarationError: a type has no JSON Schema, or a default has no JSON form.
        """
        self._model = _build_model(signature, descriptions)
        self._names = {f"p{index}": parameter.name for index, parameter in enumerate(signature.parameters)}
        self.schema = _schema_of(self._model)

    def validate(self, arguments: object) -> dict[str, Any]:
        """Turn arguments, as they come out of JSON, into the annotated types. Defaults are filled in.

        What models get wrong without harm is taken: "3" for 3, 3.0 for 3, "true" for true.

        Raises:
            ArgumentsRejected: they do not fit.
        """
        try:
            filled = self._model.model_validate(arguments)
        except ValidationError as error:
            raise ArgumentsRejected(problems_of(error, arguments, known=list(self.schema_names))) from error
        return {name: getattr(filled, field) for field, name in self._names.items()}

    @property
    def schema_names(self) -> Sequence[str]:
        """The names that the model knows the parameters by."""
        properties = self.schema.get("properties")
        return list(properties) if isinstance(properties, dict) else []


def problems_of(error: ValidationError, value: object, *, known: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What is wrong in `value`, as pairs of path and problem in words that a model can act on.

    Args:
        error: What pydantic said of it.
        value: What was validated; a path names only what is in it, or what is missing from it.
        known: The names at the top, to tell when one is not among them.
    """
    return [
        (_path(detail, value), _words(detail, known))
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _path(detail: ErrorDetails, value: object) -> str:
    """Pydantic's location without its names of union members and of keys, which are not in the arguments."""
    path = ""
    for element in detail["loc"]:
        if isinstance(value, Mapping) and element in value:
            path, value = f"{path}.{element}", value[element]
        elif isinstance(value, list | tuple) and isinstance(element, int) and element < len(value):
            path, value = f"{path}[{element}]", value[element]
        elif isinstance(value, BaseModel) or is_dataclass(value):
            path, value = f"{path}.{element}", getattr(value, str(element), None)
        elif detail["type"] == "missing" and element == detail["loc"][-1]:
            path = f"{path}.{element}"
    return path.removeprefix(".")


def _words(detail: ErrorDetails, known: Sequence[str]) -> str:
    if detail["type"] == "missing":
        return "is required"
    if detail["type"] == "extra_forbidden":
        if len(detail["loc"]) > 1:
            return "is not known here"
        return "is not a parameter; there are: " + ", ".join(known) if known else "is not a parameter; there are none"
    if detail["type"] in ("model_type", "model_attributes_type") and not detail["loc"]:
        return "must be a JSON object"
    return detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")


class _ParametersSchema(GenerateJsonSchema):
    """Takes for an error what pydantic only warns of: a default that the model could not be shown."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        if kind == "non-serializable-default":
            raise ValueError(detail.partition(";")[0])


def _build_model(signature: Signature, descriptions: Mapping[str, str]) -> type[BaseModel]:
    """A model whose fields are called p0, p1, …, so that parameters may have any name, `json` and `_x` too."""
    fields: dict[str, Any] = {}
    aliases: dict[str, str] = {}
    for index, parameter in enumerate(signature.parameters):
        name = _alias(parameter)
        other = aliases.setdefault(name, parameter.name)
        if other != parameter.name:
            raise ToolDeclarationError(
                signature.where,
                problem=f"the parameters {other!r} and {parameter.name!r} are both shown to the model as {name!r}",
                remedy="Change or remove one of the aliases",
            )
        field = _field(parameter, descriptions.get(parameter.name), signature.where)
        try:
            _schema_of(_model({"p0": field}))
        except _REFUSALS as error:
            raise ToolDeclarationError(
                signature.where,
                problem=f"the parameter {parameter.name!r} has no JSON Schema ({_first_line(error)})",
                remedy="Use plain types, dataclasses or pydantic models in its annotation, "
                "and a default that has a JSON form",
            ) from error
        fields[f"p{index}"] = field
    return _model(fields)


def _model(fields: dict[str, Any]) -> type[BaseModel]:
    model: type[BaseModel] = create_model(
        "arguments", __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields
    )
    return model


def _field(parameter: Parameter, description: str | None, where: str) -> tuple[Any, Any]:
    """The annotation with name and description in it, and the default."""
    if isinstance(parameter.default, FieldInfo):
        raise ToolDeclarationError(
            where,
            problem=f"the default of {parameter.name!r} is a Field(...), which a direct call would pass on",
            remedy=f"Write `{parameter.name}: Annotated[<type>, Field(...)]`, and the default as a plain value",
        )
    extra: dict[str, Any] = {"alias": _alias(parameter)}
    if not any(item.description for item in _field_infos(parameter)):
        extra["description"] = _text_in(parameter.annotation) or description
    # Metadata that a subscript of Annotated builds at run time is beyond a type checker.
    annotation: Any = Annotated[parameter.annotation, Field(**extra)]
    return annotation, ... if parameter.default is MISSING else parameter.default


def _alias(parameter: Parameter) -> str:
    """What the model calls the parameter: its name, unless a Field has an alias, say for a word reserved in Python."""
    return next((item.alias for item in _field_infos(parameter) if item.alias), parameter.name)


def _field_infos(parameter: Parameter) -> list[FieldInfo]:
    return [item for item in _metadata(parameter.annotation) if isinstance(item, FieldInfo)]


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()


def _text_in(annotation: Any) -> str | None:
    """The plain text in `Annotated[T, "text"]`, or in a member of a union as `Annotated[T, "text"] | None`."""
    text = next((item for item in _metadata(annotation) if isinstance(item, str)), None)
    if text is None and get_origin(annotation) in (Union, types.UnionType):
        text = next(filter(None, map(_text_in, get_args(annotation))), None)
    return text


def _schema_of(model: type[BaseModel]) -> dict[str, JsonValue]:
    schema = model.model_json_schema(schema_generator=_ParametersSchema)
    tidied: dict[str, JsonValue] = _without_titles(schema)
    tidied.pop("description", None)
    return tidied


def _without_titles(schema: Any) -> Any:
    """The schema without the titles that only repeat names; a property that is called `title` stays."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "patternProperties", "dependentSchemas"):
            tidied[key] = {name: _without_titles(item) for name, item in value.items()}
        elif key in ("default", "const", "enum", "examples"):
            tidied[key] = value
        elif key != "title":
            tidied[key] = _without_titles(value)
    return tidied


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
