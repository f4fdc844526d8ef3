"""One configuration from four sources: defaults, TOML, ``REGREEN_*`` variables, flags.

A later source wins key by key. A ``REGREEN_*`` variable that names no field is left alone, because
it may belong to another verb; an unknown key anywhere else is refused, with the nearest valid one.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from regreen.core.errors import UsageError

__all__ = ["config_digest", "resolve_config"]

Config = TypeVar("Config", bound=BaseModel)


def resolve_config(
    model: type[Config],
    *,
    file: Path | None = None,
    table: str = "",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Build ``model`` from its defaults and the given sources, the later ones winning.

    Args:
        model: a frozen pydantic model; nested models are tables in TOML, and
            ``REGREEN_OUTER__INNER`` in the environment.
        file: a TOML file.
        table: the table of ``file`` to read, so one file serves several verbs; dotted inside
            another one; "" reads it all.
        environ: usually ``os.environ``.
        flags: by field name, nested as in TOML; None means the flag was not given.

    Raises:
        UsageError: an unreadable file, an unknown key or a value of the wrong kind.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source, values in (
        (str(file), _from_file(file, table)),
        ("the environment", _from_environment(model, environ or {})),
        ("the command line", _given(flags or {})),
    ):
        _refuse_unknown(model, values, source)
        _merge(merged, values)
        origins.update(dict.fromkeys(_leaves(values), source))
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        parts = [str(part) for part in first["loc"]]
        keys = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        where = next((origins[key] for key in keys if key in origins), "")
        if not parts:  # a rule about several keys: name all who gave one
            where = ", ".join(dict.fromkeys(origins.values()))
        key = ".".join(parts) or ", ".join(origins)
        what = f"{'.'.join(parts) or model.__name__}: {first['msg']}"
        inside = f" in [{table}]" if table and where == str(file) else ""
        mend = f"correct {key or 'the settings'}{inside}"
        raise UsageError(what, where=where or model.__name__, mend=mend) from error


def config_digest(config: BaseModel | Mapping[str, Any]) -> str:
    """SHA-256 over the values, whatever their order; it guards a resume against changes."""
    values = config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config)
    text = json.dumps(values, sort_keys=True, default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _from_file(file: Path | None, table: str) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"the configuration file cannot be read: {error.strerror}"
        raise UsageError(what, where=str(file), mend="check the path given with -c") from error
    except ValueError as error:
        what = f"the configuration file is not TOML: {error}"
        raise UsageError(what, where=str(file), mend="correct this place of the file") from error
    values: Any = document
    for name in table.split(".") if table else ():
        values = values.get(name, {})
        if not isinstance(values, dict):
            what = f"{name} is a value, not a table"
            raise UsageError(what, where=str(file), mend=f"write it as [{table}]")
    found: dict[str, Any] = values
    return found


def _from_environment(
    model: type[BaseModel], environ: Mapping[str, str], prefix: str = "REGREEN_"
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        variable = prefix + name.upper()
        inner = _nested(field.annotation)
        if inner is not None and (found := _from_environment(inner, environ, f"{variable}__")):
            values[name] = found
        elif inner is None and variable in environ:
            values[name] = _parse(environ[variable], field.annotation)
    return values


def _parse(text: str, annotation: Any) -> Any:
    """The text itself where the field takes it, else what TOML makes of it (lists, tables)."""
    try:
        TypeAdapter(annotation).validate_python(text)
    except ValidationError:
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except ValueError:
            return text
    return text


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _given(value) if isinstance(value, Mapping) else value
        for key, value in flags.items()
        if value is not None
    }


def _refuse_unknown(
    model: type[BaseModel], values: Mapping[str, Any], source: str, path: str = ""
) -> None:
    for key, value in values.items():
        if key not in model.model_fields:
            nearest = difflib.get_close_matches(key, model.model_fields, n=1, cutoff=0.0)
            what = f"unknown key {path}{key}"
            raise UsageError(what, where=source, mend=f"did you mean {path}{nearest[0]}?")
        inner = _nested(model.model_fields[key].annotation)
        if inner is not None and isinstance(value, Mapping):
            _refuse_unknown(inner, value, source, f"{path}{key}.")


def _nested(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _merge(target: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield path + key
