"""The tools a request offers: their JSON Schemas read into parameters that can be filled.

Any schema is accepted; what is not understood becomes a parameter of any type. This module must not look at the
conversation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast

from trunkline.offline_model.json_values import Json
from trunkline.offline_model.mention import Bound
from trunkline.offline_model.roles import (
    Direction,
    Role,
    bound_of,
    direction_of,
    is_about_travel,
    is_end_of_travel,
    number_role,
    string_role,
)
from trunkline.offline_model.words import name_parts, stem, stems

JsonType = Literal["string", "integer", "number", "boolean", "array", "object", "any"]

_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "array", "object"})
_DEEPEST: Final = 6


@dataclass(frozen=True, eq=False, slots=True)
class Parameter:
    """One parameter, or one property of an object parameter, or the items of an array."""

    name: str
    description: str
    type: JsonType
    role: Role
    required: bool
    schema: Mapping[str, Json]
    """The resolved schema: no `$ref`, no null branch."""
    enum: tuple[Json, ...] = ()
    items: "Parameter | None" = None
    properties: tuple["Parameter", ...] = ()
    parts: tuple[str, ...] = ()
    """Lower-case parts of the name."""
    stems: frozenset[str] = frozenset()
    described: frozenset[str] = frozenset()
    """Stems of the description."""
    bound: Bound | None = None
    direction: Direction | None = None

    @property
    def numeric(self) -> bool:
        """Whether a number is wanted."""
        return self.type in ("integer", "number")


@dataclass(frozen=True, eq=False, slots=True)
class OfferedTool:
    """One function of the request's `tools`."""

    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    parts: tuple[str, ...] = field(default=())
    """Lower-case parts of the name."""

    def parameter(self, name: str) -> Parameter | None:
        """The parameter called `name`."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


def offered_tool(name: str, *, description: str, parameters: Mapping[str, Json] | None) -> OfferedTool:
    """Reads one function's definition."""
    schema = dict(parameters or {})
    resolved = _resolve(schema, schema, 0)
    read = _properties(resolved, schema, 0)
    if is_about_travel(f"{name} {description}"):
        read = tuple(replace(p, role=Role.PLACE) if is_end_of_travel(p.parts, p.role) else p for p in read)
    return OfferedTool(name, description, read, name_parts(name))


def _properties(schema: Mapping[str, Json], root: Mapping[str, Json], depth: int) -> tuple[Parameter, ...]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or depth > _DEEPEST:
        return ()
    names = required if isinstance(required, list) else []
    return tuple(_parameter(name, item, root, required=name in names, depth=depth) for name, item in properties.items())


def _parameter(name: str, schema: Json, root: Mapping[str, Json], *, required: bool, depth: int) -> Parameter:
    resolved = _resolve(schema, root, 0)
    kind, enum = _type(resolved), _enum(resolved)
    description = str(resolved.get("description") or resolved.get("title") or "")
    parts = name_parts(name)
    items = None
    if kind == "array":
        items = _parameter(name, resolved.get("items", {}), root, required=True, depth=depth + 1)
    return Parameter(
        name=name,
        description=description,
        type=kind,
        role=_role(kind, enum, parts, description, str(resolved.get("format") or "")),
        required=required,
        schema=resolved,
        enum=enum,
        items=items,
        properties=_properties(resolved, root, depth + 1) if kind == "object" else (),
        parts=parts,
        stems=frozenset(stem(part) for part in parts),
        described=frozenset(stems(description)),
        bound=bound_of(parts) if kind in ("integer", "number") else None,
        direction=direction_of(parts),
    )


def _resolve(schema: Json, root: Mapping[str, Json], depth: int) -> dict[str, Json]:
    """`schema` without `$ref`, with its first branch that is not null merged in."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return {}
    merged = dict(schema)
    reference = merged.pop("$ref", None)
    if isinstance(reference, str):
        merged = {**_resolve(_pointed(root, reference), root, depth + 1), **merged}
    for keyword in ("anyOf", "oneOf", "allOf"):
        branches = merged.pop(keyword, None)
        if isinstance(branches, list):
            read = [_resolve(branch, root, depth + 1) for branch in branches]
            kept = [branch for branch in read if branch.get("type") != "null"]
            for branch in kept if keyword == "allOf" else kept[:1]:
                merged = {**branch, **merged}
    return merged


def _pointed(root: Mapping[str, Json], reference: str) -> Json:
    node: Json = dict(root)
    for part in reference.removeprefix("#/").split("/"):
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node


def _type(schema: Mapping[str, Json]) -> JsonType:
    declared = schema.get("type")
    if isinstance(declared, list):
        declared = next((item for item in declared if item != "null"), None)
    if isinstance(declared, str) and declared in _TYPES:
        return cast(JsonType, declared)
    for value in _enum(schema)[:1]:
        return "string" if isinstance(value, str) else "integer" if isinstance(value, int) else "any"
    return "object" if "properties" in schema else "array" if "items" in schema else "any"


def _enum(schema: Mapping[str, Json]) -> tuple[Json, ...]:
    if "const" in schema:
        return (schema["const"],)
    values = schema.get("enum")
    return tuple(value for value in values if value is not None) if isinstance(values, list) else ()


def _role(
    kind: JsonType,
    enum: tuple[Json, ...],
    parts: tuple[str, ...],
    description: str,
    text_format: str,
) -> Role:
    if enum:
        return Role.ENUM
    match kind:
        case "boolean":
            return Role.BOOLEAN
        case "object":
            return Role.OBJECT
        case "array":
            return Role.ARRAY
        case "integer" | "number":
            return number_role(parts, description)
        case "string" | "any":
            return string_role(parts, description, text_format)
