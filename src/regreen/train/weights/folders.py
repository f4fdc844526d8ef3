"""Folders that several ranks write together, and that are there as a whole or not at all.

A rank that fails must not leave the others waiting in a collective: whatever happens on one is
raised on all. A folder grows under a name that nobody looks for and is renamed as the last act.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from torch import dtype as Type

from regreen.core.errors import InfrastructureError, RegreenError
from regreen.model import Decoder
from regreen.model.checkpoint import save_checkpoint, tensors_of
from regreen.store.atomic import disk_error, sync_directory
from regreen.train.compute.parallel import World

__all__ = [
    "clear",
    "first_line",
    "publish",
    "remove",
    "save_model",
    "synchronise",
    "together",
    "undo",
]

WRITING, REMOVING, REPLACED = ".writing-", ".removing-", ".replaced-"
"""How names begin of folders that are not yet whole, or no longer wanted."""


def undo(folder: Path) -> None:
    """A process that ended between two renames left the older folder under another name."""
    for left in folder.glob(f"{REPLACED}*"):
        final = folder / left.name.removeprefix(REPLACED)
        if not final.exists():
            left.rename(final)


def clear(folder: Path) -> None:
    """Remove what ended processes left unfinished."""
    undo(folder)
    if folder.is_dir():
        for left in folder.iterdir():
            if left.name.startswith((WRITING, REMOVING, REPLACED)):
                shutil.rmtree(left)


def publish(writing: Path, final: Path) -> None:
    """Give a whole folder its name, replacing one that has it."""
    replaced = final.with_name(f"{REPLACED}{final.name}")
    if final.exists():
        final.rename(replaced)
    writing.rename(final)
    sync_directory(final.parent)
    if replaced.exists():
        shutil.rmtree(replaced)


def remove(folders: Sequence[Path]) -> None:
    """Take whole folders away, so that none is ever seen by halves."""
    hidden = [path.rename(path.with_name(f"{REMOVING}{path.name}")) for path in folders]
    for path in hidden:
        shutil.rmtree(path)


def synchronise(folder: Path) -> None:
    """Files first, then the folders that name them."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_directory(path)
    sync_directory(folder)


def save_model(model: Decoder, folder: Path, here: World, *, dtype: Type | None = None) -> None:
    """The first rank writes, the others help to put each parameter together, whatever happens."""
    tensors = tensors_of(model, dtype=dtype)
    with together(here, folder):
        try:
            if here.first:
                save_checkpoint(model, folder, tensors=tensors, dtype=dtype)
        finally:
            for _ in tensors:
                pass


@contextmanager
def together(here: World, path: Path) -> Iterator[None]:
    """If the block fails on one rank it fails on all, with an error that a person can act on."""
    failure: RegreenError | None = None
    try:
        yield
    except RegreenError as error:
        failure = error
    except (OSError, SafetensorError, RuntimeError) as error:
        failure = _named(error, path)
    for other in here.gather(None if failure is None else _plain(failure)):
        if other is not None:
            raise _rebuilt(other) from failure


def _plain(error: RegreenError) -> tuple[type[RegreenError], str, str, str]:
    return type(error), error.what, error.where, error.mend


def _rebuilt(plain: tuple[type[RegreenError], str, str, str]) -> RegreenError:
    kind, what, where, mend = plain
    return kind(what, where=where, mend=mend)


def _named(error: Exception, path: Path) -> RegreenError:
    if isinstance(error, OSError):
        return disk_error(error, path)
    if number := re.search(r"os error (\d+)", str(error)):  # safetensors hands on no `OSError`
        return disk_error(OSError(int(number[1]), os.strerror(int(number[1]))), path)
    mend = "free some disk space, then run the same command with --resume"
    what = f"the checkpoint cannot be written: {first_line(error)}"
    return InfrastructureError(what, where=str(path), mend=mend)


def first_line(error: BaseException) -> str:
    """What an error says, or what it is."""
    return (str(error) or type(error).__name__).splitlines()[0]
