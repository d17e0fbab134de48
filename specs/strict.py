"""Read YAML into strictly typed values; errors name file, key, what was got and needed."""

import difflib
import types
import typing
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from records.errors import UserError


class Strict(BaseModel):
    """A mapping with exactly these keys, of exactly these types, that does not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, Loader=_UniqueKeys)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; params/ holds the files that can be named"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give a YAML file that may be read"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}; fix it there") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}; a mapping is needed")
    return content


def validated(model: type[Strict], content: Any, where: str) -> Any:
    """Build a typed value from plain data.

    Args:
        model: the class to build.
        content: mappings, lists and scalars as read from YAML.
        where: file and place, for the error message.

    Raises:
        UserError: every unknown key, missing key and wrong type, a line each.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_explain(model, where, one) for one in error.errors(include_url=False)]
        raise UserError("\n".join(lines)) from None


def _explain(model: type[Strict], where: str, error: Any) -> str:
    """Write one validation error as: where, what was got, what is needed, what to do."""
    place = ": ".join([where, *(str(part) for part in error["loc"])])
    if error["type"] == "extra_forbidden":
        known = list(_model_at(model, error["loc"][:-1]).model_fields)
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "the keys are: " + ", ".join(known)
        return f"{place}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{place}: missing; write this key"
    got = error["input"]
    message = f"{place}: got {got!r} ({type(got).__name__}); {error['msg']}"
    if isinstance(got, str) and _is_number(got):
        message += f"; this is read as text: write {float(got):.1e} for the number"
    return message


def _is_number(text: str) -> bool:
    """Tell whether a text is a number that YAML took for a text (1e-4)."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _model_at(model: type[Strict], path: tuple[Any, ...]) -> type[Strict]:
    """Follow a validation error's path through nested models to the one that lacks a key."""
    for part in path:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        for inner in _models_in(annotation):
            model = inner
            break
    return model


def _models_in(annotation: Any) -> list[type[Strict]]:
    """List the models named in a type (through dict, list, union and Annotated)."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, Strict) else []
    return [found for part in typing.get_args(annotation) for found in _models_in(part)]
