"""What a run was started with: ``config.toml`` for people, ``lock.json`` for what else fixes it.

A resume compares the values and not only the digest, so the message can name the keys that differ.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regreen.core.config import config_digest
from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error, write_text
from regreen.store.toml import dump_toml

__all__ = ["RunHeader"]

_SCHEMA = "regreen.run"
_VERSION = 1
_FIXED = ("taskset_digest", "seeds")
"""Keys of the lock that a resume may not change; versions may, a bug fix for example."""


@dataclass(frozen=True)
class RunHeader:
    """The two files at the head of a run directory."""

    config: dict[str, Any]
    """The resolved configuration."""
    lock: dict[str, Any]
    """Versions, taskset digest, configuration digest, seeds."""

    @classmethod
    def make(
        cls, config: Mapping[str, Any], lock: Mapping[str, Any], may_differ: Collection[str]
    ) -> RunHeader:
        """Settle the values into what TOML can hold and stamp the digest."""
        settled = tomllib.loads(dump_toml(config))
        values = dict(_leaves(settled))
        digest = config_digest({k: v for k, v in values.items() if k not in may_differ})
        stamp = {"schema_name": _SCHEMA, "schema_version": _VERSION, "config_digest": digest}
        return cls(settled, {**json.loads(json.dumps(lock, default=str)), **stamp})

    @classmethod
    def read(cls, path: Path) -> RunHeader:
        """Read both files of the run at ``path``.

        Raises:
            UsageError: no run is there, or one of a version this reader does not know.
        """
        try:
            lock = json.loads((path / "lock.json").read_text(encoding="utf-8"))
            config = tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            what = "this is no run directory: it has no lock.json and config.toml"
            mend = "name the directory given with --run"
            raise UsageError(what, where=str(path), mend=mend) from error
        except OSError as error:
            raise disk_error(error, path) from error
        except ValueError as error:
            what = f"lock.json or config.toml is damaged: {error}"
            mend = "restore the file; the trajectories beside it are untouched"
            raise UsageError(what, where=str(path), mend=mend) from error
        stamp = lock if isinstance(lock, dict) else {}
        found = (stamp.get("schema_name"), stamp.get("schema_version"))
        if found != (_SCHEMA, _VERSION):
            what = f"this run is {found[0]!r} version {found[1]!r}, not {_SCHEMA!r} {_VERSION}"
            raise UsageError(what, where=str(path / "lock.json"), mend="upgrade regreen")
        return cls(config, lock)

    def write(self, path: Path) -> None:
        """Write both files; ``lock.json`` comes last, so a run that has it is whole."""
        write_text(path / "config.toml", dump_toml(self.config))
        write_text(path / "lock.json", json.dumps(self.lock, indent=2) + "\n")

    def check_same(self, other: RunHeader, path: Path, may_differ: Collection[str]) -> None:
        """Refuse to go on with this run under the values of ``other``.

        Raises:
            UsageError: it names the keys that differ, with both values.
        """
        old, new = dict(_leaves(self.config)), dict(_leaves(other.config))
        differing = [
            f"{key} (was {old.get(key)!r}, now {new.get(key)!r})"
            for key in sorted({*old, *new} - set(may_differ))
            if old.get(key) != new.get(key)
        ]
        differing += [
            f"{key} (was {self.lock[key]!r}, now {other.lock[key]!r})"
            for key in _FIXED
            if key in self.lock and key in other.lock and self.lock[key] != other.lock[key]
        ]
        if differing:
            what = f"the run was started with other values: {', '.join(differing)}"
            mend = "give the same values as before, or name a new directory"
            raise UsageError(what, where=str(path / "config.toml"), mend=mend)


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield path + key, value
