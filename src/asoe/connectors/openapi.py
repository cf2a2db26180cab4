"""What an OpenAPI 3.x document says a system can do: operations, their arguments and where each goes. Nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import yaml

from asoe.connectors.contract import Json
from asoe.connectors.outbound import checked_depth, parse_json

LARGEST_DOCUMENT: Final = 4 * 1024 * 1024
METHODS: Final = ("get", "head", "post", "put", "patch", "delete")
MOST_OPERATIONS: Final = 2000
Place = Literal["path", "query", "header", "body"]

_OPERATION_KEYS: Final = ("operationId", "summary", "description", "parameters", "requestBody")
_MOST_HOPS: Final = 16
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")
_FORMS: Final = {"application/x-www-form-urlencoded": "form"}


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one argument goes: `wire` is its name there; `is_whole`: it is the body itself."""

    place: Place
    wire: str
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """One operation of a document. `arguments`: a JSON Schema that stands alone. `unusable`: why it cannot be called."""

    name: str
    method: str
    path: str
    description: str = ""
    slots: Mapping[str, Slot] = field(default_factory=dict)
    arguments: Mapping[str, Json] = field(default_factory=dict)
    body: Literal["json", "form"] = "json"
    unusable: str = ""


def read_document(text: bytes) -> dict[str, Json]:
    """A document from JSON or YAML, cut down to what calls need; raises ValueError that says what is wrong."""
    if len(text) > LARGEST_DOCUMENT:
        raise ValueError(f"the document is larger than {LARGEST_DOCUMENT} bytes")
    try:
        document = parse_json(text) if text.lstrip()[:1] == b"{" else yaml.load(text, Loader=_Plain)  # noqa: S506 - a SafeLoader
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"the document is neither JSON nor plain YAML ({type(error).__name__})") from None
    return check_document(checked_depth(document))


def check_document(document: Any) -> dict[str, Json]:
    """The parts of a document that calls need; raises ValueError when it is no OpenAPI 3.x document."""
    if not isinstance(document, Mapping) or not str(document.get("openapi", "")).startswith("3."):
        raise ValueError("the document is no OpenAPI 3.x document: it must say `openapi: 3.…`")
    paths = document.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        raise ValueError("the document names no paths")
    kept: dict[str, Json] = {"openapi": str(document["openapi"]), "paths": {}}
    info = document.get("info")
    if isinstance(info, Mapping):
        kept["info"] = {key: str(info[key])[:200] for key in ("title", "version") if key in info}
    for path, item in paths.items():
        if isinstance(item, Mapping):
            kept["paths"][str(path)] = {
                key: {part: value[part] for part in _OPERATION_KEYS if part in value} if key in METHODS else value
                for key, value in item.items()
                if (key in METHODS and isinstance(value, Mapping)) or key == "parameters"
            }
    components = document.get("components")
    if isinstance(components, Mapping):
        kept["components"] = {
            key: components[key] for key in ("schemas", "parameters", "requestBodies") if key in components
        }
    return kept


def operations_of(document: Mapping[str, Json]) -> dict[str, Described]:
    """Every operation by name: its operationId, else method and path in words."""
    found: dict[str, Described] = {}
    for path, item in document["paths"].items():
        if not path.startswith("/"):
            continue
        for method in METHODS:
            if method in item:
                one = _operation(document, method, path, item)
                if one.name not in found:
                    found[one.name] = one
        if len(found) > MOST_OPERATIONS:
            raise ValueError(f"the document describes more than {MOST_OPERATIONS} operations")
    return found


def _operation(document: Mapping[str, Json], method: str, path: str, item: Mapping[str, Json]) -> Described:
    said = item[method]
    name = _NOT_A_NAME.sub("_", str(said.get("operationId") or f"{method}_{path}")).strip("_")[:100]
    description = str(said.get("summary") or said.get("description") or "").strip()[:500]
    try:
        slots, properties, required = _parameters(document, [*item.get("parameters", ()), *said.get("parameters", ())])
        body = _add_body(document, said.get("requestBody"), slots, properties, required)
        arguments = _alone(
            document,
            {
                "type": "object",
                "properties": properties,
                "required": sorted(required),
                "additionalProperties": False,
            },
        )
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        why = str(error) if isinstance(error, ValueError) else "its description cannot be read"
        return Described(name, method.upper(), path, description, unusable=why)
    return Described(name, method.upper(), path, description, slots, arguments, body)


def _parameters(document: Mapping[str, Json], listed: list[Json]) -> tuple[dict[str, Slot], dict[str, Json], set[str]]:
    slots: dict[str, Slot] = {}
    properties: dict[str, Json] = {}
    required: set[str] = set()
    for each in listed:
        parameter = _resolved(document, each)
        name, place = str(parameter["name"]), parameter["in"]
        if place not in {"path", "query", "header"}:
            if parameter.get("required"):
                raise ValueError(f"its parameter {name} is a {place}, which is not sent")
            continue
        slots[name] = Slot(place, name)
        properties[name] = parameter.get("schema", {})
        if parameter.get("required") or place == "path":
            required.add(name)
        else:
            required.discard(name)
    return slots, properties, required


def _add_body(
    document: Mapping[str, Json],
    said: Json,
    slots: dict[str, Slot],
    properties: dict[str, Json],
    required: set[str],
) -> Literal["json", "form"]:
    """A body that is a plain object gives its properties as arguments, any other is the one argument `body`."""
    if said is None:
        return "json"
    content = _resolved(document, said).get("content", {})
    is_required = bool(_resolved(document, said).get("required"))
    kind: Literal["json", "form"] = "json"
    chosen = next((media for media in content if _is_json(media)), None)
    if chosen is None:
        chosen, kind = next((media for media in content if media.split(";")[0] in _FORMS), None), "form"
    if chosen is None:
        if not is_required:
            return "json"
        raise ValueError(f"its body is {', '.join(sorted(content)) or 'of no type'}, which is not sent")
    schema = content[chosen].get("schema", {})
    whole = _resolved(document, schema)
    inside = whole.get("properties")
    is_plain = isinstance(inside, Mapping) and inside and not {"allOf", "oneOf", "anyOf"} & set(whole)
    if is_plain and isinstance(inside, Mapping) and not set(inside) & set(slots):
        for name, each in inside.items():
            if _resolved(document, each).get("readOnly"):
                continue
            slots[name] = Slot("body", name)
            properties[name] = each
            if is_required and name in whole.get("required", ()):
                required.add(name)
        return kind
    name = "body" if "body" not in slots else "request_body"
    slots[name] = Slot("body", name, is_whole=True)
    properties[name] = schema
    if is_required:
        required.add(name)
    return kind


def _resolved(document: Mapping[str, Json], node: Json) -> Mapping[str, Json]:
    """A node, or what its local references lead to in the end."""
    for _ in range(_MOST_HOPS):
        if not isinstance(node, Mapping):
            return {}
        if "$ref" not in node:
            return node
        node = _target(document, str(node["$ref"]))
    raise ValueError("its references lead in a circle")


def _target(document: Mapping[str, Json], reference: str) -> Json:
    if not reference.startswith("#/"):
        raise ValueError("it refers to another document, which is not fetched")
    node: Json = document
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, Mapping) or key not in node:
            raise ValueError(f"it refers to {reference[:100]}, which is not there")
        node = node[key]
    return node


def _alone(document: Mapping[str, Json], schema: dict[str, Json]) -> dict[str, Json]:
    """The schema with all it refers to under `$defs`, as JSON Schema 2020-12."""
    definitions: dict[str, Json] = {}
    names: dict[str, str] = {}
    made: dict[str, Json] = _modern(schema, names)
    waiting = list(names)
    while waiting:
        reference = waiting.pop()
        known = set(names)
        definitions[names[reference]] = _modern(_target(document, reference), names)
        waiting += [each for each in names if each not in known]
    return {**made, "$defs": definitions} if definitions else made


def _modern(schema: Json, names: dict[str, str]) -> Any:
    if isinstance(schema, list):
        return [_modern(each, names) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        reference = str(schema["$ref"])
        name = names.setdefault(reference, f"d{len(names)}")
        return {"$ref": f"#/$defs/{name}"}
    return dict(_keywords(schema, names))


def _keywords(schema: Mapping[str, Json], names: dict[str, str]) -> Iterator[tuple[str, Json]]:
    """OpenAPI 3.0 said some things its own way: `nullable`, and limits that exclude by a flag."""
    is_nullable = schema.get("nullable") is True
    for key, value in schema.items():
        match key, value:
            case ("nullable" | "discriminator" | "xml" | "externalDocs" | "example" | "examples", _):
                continue
            case ("exclusiveMinimum" | "exclusiveMaximum", bool()):
                if value and (limit := schema.get(key[9:].lower())) is not None:
                    yield key, limit
            case ("type", str()) if is_nullable:
                yield key, [value, "null"]
            case ("enum", list()) if is_nullable:
                yield key, [*value, None]
            case ("properties" | "patternProperties", Mapping()):
                yield key, {name: _modern(each, names) for name, each in value.items()}
            case ("enum" | "const" | "default" | "required", _):
                yield key, value
            case _:
                yield key, _modern(value, names)


def _is_json(media: str) -> bool:
    kind = media.split(";", maxsplit=1)[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json") or kind == "*/*"


class _Plain(yaml.SafeLoader):
    """YAML without aliases (a few lines of them unfold into gigabytes), and times as the texts they were."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


_Plain.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
