"""``regreen train texts``: repositories into text that a model is trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from regreen.cli.shared import Output, check_writable, command_line, layer_store
from regreen.core.config import resolve_config
from regreen.core.console import Console
from regreen.core.errors import RegreenError, UsageError
from regreen.store.atomic import replacing
from regreen.store.jsonl import encode_row

if TYPE_CHECKING:
    from regreen.tasks.repo.sources import Checkout
    from regreen.train.data.settings import TextsConfig
    from regreen.train.data.texts import Tally

__all__ = ["texts"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TextsFlags(Output):
    """Flags of the verb."""

    form: str | None = None
    """What the repositories become: repository, file, fim or search_replace (default
    repository)."""
    order: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Orders of the files of a repository: dependency, random, path; a document for each (default
    dependency)."""
    layout: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """plain, or listing (all paths first); a document for each (default plain)."""
    holes: int | None = None
    """Holes drawn in each file, for fim and search_replace (default 1)."""
    syntax_share: float | None = None
    """Share of holes that are a function's body, a statement or whole lines (default 0.7); the
    others begin and end anywhere."""
    suffix_first_share: float | None = None
    """Share of fim rows with the suffix in front of the prefix (default 0.5)."""
    chat_share: float | None = None
    """Share of fim rows that are a chat (default 0)."""
    file_bytes: int | None = None
    """Largest file (default 262144); choose it so that a file with a hole fits your rows."""
    no_tests: Annotated[bool, Parameter(name="--no-tests", negative="")] = False
    """Leave tests out."""
    commit: str | None = None
    """Commit, tag or branch of a git source (default HEAD); for one source only."""
    limit: Annotated[int | None, Parameter(alias="-n")] = None
    """Write the first N rows only."""
    seed: int | None = None
    """Decides about random orders and about holes (default 0)."""
    config: Annotated[Path | None, Parameter(alias="-c")] = None
    """TOML file with the table [texts]; REGREEN_* variables and flags win over it."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Check everything that needs no data, then stop."""

    def settings(self) -> TextsConfig:
        """The settings, checked.

        Raises:
            UsageError: one that cannot be used.
        """
        from regreen.train.data.settings import TextsConfig

        return resolve_config(
            TextsConfig,
            file=self.config,
            table="texts",
            environ=dict(os.environ),
            flags={
                "form": self.form,
                "seed": self.seed,
                "orders": _names(self.order),
                "layouts": _names(self.layout),
                "holes": self.holes,
                "syntax_share": self.syntax_share,
                "suffix_first_share": self.suffix_first_share,
                "chat_share": self.chat_share,
                "file_bytes": self.file_bytes,
                "tests": False if self.no_tests else None,
            },
        )


def texts(
    sources: Annotated[tuple[str, ...], Parameter(negative="")],
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    flags: TextsFlags | None = None,
) -> int:
    """Turn repositories into text to train on: whole, by file, or with a hole to fill.

    Each row names its repository, commit and licence. Vendored, built, generated, minified, binary
    and oversized files are left out, and counted by the reason. `regreen pack` reads the rows: the
    special tokens they name, what they mask from the loss, and, with --mask-repeats, what many
    files have in common.

    For example:

        regreen train texts . -o texts.jsonl
        regreen train texts https://github.com/pallets/flask --order path,random -o texts.jsonl
        regreen train texts . --form fim --holes 4 --chat-share 0.2 -o fim.jsonl
        regreen train texts pypi:toolz --form search_replace -o infill.jsonl

    Parameters
    ----------
    sources
        Directories, git URLs, or pypi:NAME[==VERSION].
    out
        File of JSON lines to write.
    """
    flags = flags or TextsFlags()
    console, config = flags.console(), flags.settings()
    _check(sources, out, flags)
    if flags.dry_run:
        console.note("the settings are fine; nothing was written")
        return 0
    try:
        tally, size = _write(sources, out, flags, config, console)
    except KeyboardInterrupt:
        console.note(f"interrupted; {out} is as it was; go on with:\n{command_line()}")
        raise SystemExit(130) from None
    if flags.json:
        console.json({"out": str(out), "bytes": size, "form": config.form, **vars(tally)})
    else:
        _tell(tally, out, size, console)
    return 0


def _check(sources: tuple[str, ...], out: Path, flags: TextsFlags) -> None:
    if flags.commit and len(sources) > 1:
        msg = "one commit for several sources"
        raise UsageError(msg, where="--commit", mend="name one source with it")
    if flags.limit is not None and flags.limit < 1:
        msg = f"--limit {flags.limit} writes nothing"
        raise UsageError(msg, where="-n", mend="give 1 or more")
    if out.suffix != ".jsonl":
        msg = f"unknown kind of file {out.suffix!r}"
        raise UsageError(msg, where=str(out), mend="end the name in .jsonl")
    check_writable(out, "the texts")


def _write(
    sources: tuple[str, ...],
    out: Path,
    flags: TextsFlags,
    config: TextsConfig,
    console: Console,
) -> tuple[Tally, int]:
    from regreen.train.data.texts import Tally, make_texts

    tally = Tally()
    rows = islice(make_texts(_checkouts(sources, flags, console), config, tally), flags.limit)
    first = next(rows, None)
    if first is None:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.left_out.most_common())
        msg = "the sources hold no file to learn from"
        mend = f"left out: {reasons}" if reasons else "name a repository with source files"
        raise RegreenError(msg, where=", ".join(sources), mend=mend)
    size = 0
    with replacing(out) as file:
        for row in chain([first], rows):
            size += file.write(encode_row(row))
    return tally, size


def _checkouts(sources: tuple[str, ...], flags: TextsFlags, console: Console) -> Iterator[Checkout]:
    from regreen.tasks.repo.sources import resolve

    store = layer_store()
    for source in sources:
        console.note(f"fetching {source}")
        checkout = resolve(source, store=store, commit=flags.commit)
        for line in checkout.notes:
            console.note(line)
        yield checkout


def _tell(tally: Tally, out: Path, size: int, console: Console) -> None:
    console.result(
        f"{tally.files:,} files ({tally.tests:,} of tests) with {tally.file_characters:,} "
        f"characters from {tally.repositories:,} sources"
    )
    for reason, count in tally.left_out.most_common():
        console.result(f"{count:7,} left out: {reason}")
    licenses = ", ".join(f"{name} {count}" for name, count in tally.licenses.most_common(5))
    console.result(f"licences: {licenses}")
    masked = tally.masked_characters / max(1, tally.characters)
    console.result(
        f"{tally.rows:,} rows of {tally.characters:,} characters, {masked:.1%} of them masked, "
        f"in {out} ({size:,} bytes)"
    )


def _names(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names that stand one a flag or with commas between them; None where none is given."""
    return tuple(name.strip() for name in ",".join(given).split(",") if name.strip()) or None
