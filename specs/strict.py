"""Read YAML into strictly typed values; errors name file, key, what was got and needed."""

import copy
import difflib
import inspect
import math
import types
import typing
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, overload

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from records.errors import UserError
from records.files import spec_digest
from records.limits import read_bytes

MAX_SHOWN = 80  # characters of what was got
MAX_YAML_BYTES, MAX_YAML_DEPTH, MAX_YAML_VALUES = 16 << 20, 50, 1_000_000


class Strict(BaseModel):
    """A mapping with exactly these keys, of exactly these types, that does not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def content(self) -> dict[str, Any]:
        """Return the keys that were given, as plain data for JSON."""
        return self.model_dump(exclude_unset=True, by_alias=True)


class Spec(Strict):
    """What travels with jobs and artefacts; its digest decides whether work is done again."""

    @property
    def digest(self) -> str:
        """Return the digest of the spec without its name."""
        return spec_digest(self.content())


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader (the C one where it is built) that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        UserError: missing, unreadable, not text, not YAML, a key twice, or another top level.
    """
    try:
        content = copy.deepcopy(_parse(read_bytes(path, MAX_YAML_BYTES).decode()))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; params/ holds the files that can be named"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give a YAML file that may be read"
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a size, an impossible number or day
        words = str(error).replace('"<unicode string>"', "it")
        raise UserError(f"{path}: not valid YAML: {words}; fix it there") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}; a mapping is needed")
    return content


@lru_cache(maxsize=8)
def _parse(text: str) -> Any:
    """Read YAML; the plan of each source reads the same tables."""
    _limit(text)
    return yaml.load(text, Loader=_UniqueKeys)


def _limit(text: str) -> None:
    """Refuse what would exhaust the stack or the memory once it is put together.

    Raises:
        ValueError: nested too deeply, or too large when every alias is written out.
        yaml.YAMLError: not YAML.
    """
    sizes, anchors = [0], {}  # values in each open list or mapping, and below each anchor
    names: list[str | None] = []
    for event in yaml.parse(text, Loader=_UniqueKeys):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in names:
                raise ValueError(f"*{event.anchor} is a part of itself")
            sizes[-1] += anchors.get(event.anchor, 0)
        elif isinstance(event, yaml.ScalarEvent):
            anchors[event.anchor] = 1
            sizes[-1] += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            names.append(event.anchor)
            sizes.append(1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchors[names.pop()] = size = sizes.pop()
            sizes[-1] += size
        if len(sizes) > MAX_YAML_DEPTH or sizes[-1] > MAX_YAML_VALUES:
            raise ValueError(
                f"nested more than {MAX_YAML_DEPTH} deep, or more than {MAX_YAML_VALUES} values"
            )


Typed = TypeVar("Typed", bound=Strict)


@overload
def validated(kind: type[Typed], content: Any, where: str) -> Typed: ...
@overload
def validated(kind: Any, content: Any, where: str) -> Any: ...
def validated(kind: Any, content: Any, where: str) -> Any:
    """Build a typed value from plain data.

    Args:
        kind: the class to build, or a union of classes with a discriminator.
        content: mappings, lists and scalars as read from YAML or JSON.
        where: file and place, for the error message.

    Raises:
        UserError: every unknown key, missing key, wrong type and broken rule, a line each.
    """
    try:
        return _make_adapter(kind).validate_python(content, by_alias=True, by_name=False)
    except ValidationError as error:
        lines = [_explain(kind, where, one) for one in error.errors(include_url=False)]
        raise UserError("\n".join(dict.fromkeys(lines))) from None


@cache
def _make_adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _explain(kind: Any, where: str, error: Any) -> str:
    """Write one validation error as: where, what was got, what is needed, what to do."""
    path, got, type_ = error["loc"], error["input"], error["type"]
    subject = "got"
    if path[-1:] == ("[key]",):  # a name in a mapping of names; it is shown as what was got
        path, subject = path[:-2], "got the name"
    elif type_ == "invalid_key":
        path, subject = path[:-1], "got the key"
    steps = _follow(kind, path)
    place = ": ".join([where, *(key for key, _ in steps if key is not None)])
    if type_ == "extra_forbidden":
        key, fields = str(path[-1]), _list_members(steps[-2][1])[0].model_fields
        known = [field.alias or name for name, field in fields.items()]
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "the keys are: " + ", ".join(known)
        return f"{place}: unknown key; {hint}"
    if type_ == "missing":
        return f"{place}: missing; write this key"
    if type_ == "value_error":
        return f"{place}: {error['ctx']['error']}"
    if type_ in ("union_tag_invalid", "union_tag_not_found"):
        key = error["ctx"]["discriminator"].strip("'")
        tags = [tag for model in _list_members(steps[-1][1]) for tag in _list_tags(model, key)]
        found = f"got {_show(got[key])}" if key in got else "missing"
        return f"{place}: {key}: {found}; needed: {', '.join(tags)}"
    if type_ in ("dict_type", "model_type", "model_attributes_type"):
        return f"{place}: got {_show(got)}; a mapping is needed"
    needed = error["msg"]
    if path == error["loc"] and steps[-1][0] is None and path:  # every member gives an error
        members = [inspect.formatannotation(one) for one in _list_members(steps[-2][1])]
        needed = f"needed: one of {', '.join(members)}"
    message = f"{place}: {subject} {_show(got)} ({type(got).__name__}); {needed}"
    one_of = error.get("ctx", {}).get("expected", "").replace(",", "").split()  # texts are quoted
    if isinstance(got, str) and (type_ in ("int_type", "float_type") or got in one_of):
        message += _hint_at_number(got, type_)
    elif type_ in ("string_type", "invalid_key") and isinstance(got, int | float):
        message += "; write quotes around it for a text"
    return message


def _show(got: Any) -> str:
    """Write what was got, cut where it is long."""
    try:
        text = repr(got)
    except ValueError:  # Python writes no number of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _hint_at_number(text: str, type_: str) -> str:
    """Say how a number is written that was read as a text (1e-4, which YAML takes for one)."""
    try:
        number = float(text)
    except ValueError:
        return ""
    whole = type_ != "float_type"
    if not math.isfinite(number) or (whole and not number.is_integer()):
        return ""
    written = str(int(number)) if whole else f"{number:.1e}"
    if float(written) != number:
        written = repr(number)
    return f"; this is read as text: write {written} for the number"


def _follow(kind: Any, path: Sequence[Any]) -> list[tuple[str | None, Any]]:
    """Follow an error's path through nested types.

    Returns:
        The start and every step, each as its key (None for the start and for the name of a
        union's member, which no file holds) and the type that is there (None where not known).
    """
    steps: list[tuple[str | None, Any]] = [(None, kind)]
    for part in path:
        members = _list_members(kind)
        if len(members) > 1:
            kind = next((one for one in members if part in _list_tags(one)), None)
            steps.append((None, kind))
            continue
        kind = _find_type(members[0], part) if members else None
        steps.append((str(part), kind))
    return steps


def _find_type(holder: Any, key: Any) -> Any:
    """Return the type of what a mapping, a list or a class holds under a key; None: not known."""
    if typing.get_origin(holder) in (dict, list, tuple):
        return typing.get_args(holder)[-1]
    if not _is_strict(holder):
        return None
    for name, field in holder.model_fields.items():
        if key in (name, field.alias):
            return field.annotation
    extra = typing.get_type_hints(holder).get("__pydantic_extra__")
    return _find_type(extra, key)


def _list_members(kind: Any) -> list[Any]:
    """List the types that a value may have but for null; one where it is no union."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _list_members(parts[0])
    if origin in (typing.Union, types.UnionType):
        return [member for part in parts for member in _list_members(part)]
    return [] if kind in (None, types.NoneType) else [kind]


def _is_strict(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Strict)


def _list_tags(kind: Any, key: str | None = None) -> list[Any]:
    """List the values of the fields, or of one field, of a class that are one of a few."""
    fields = kind.model_fields if _is_strict(kind) else {}
    return [
        tag
        for name, field in fields.items()
        if key in (None, name) and typing.get_origin(field.annotation) is Literal
        for tag in typing.get_args(field.annotation)
    ]
