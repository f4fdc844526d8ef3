"""The files of a task's pairs, made once per machine: twins and the repeats that go with them.

Writing them takes as long as a short run of the tests, and the same task is judged many times.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from regreen.core.task import Task, Twin, Twins
from regreen.grading.twinning import TwinFiles, twin_files
from regreen.sandbox.layers import LayerStore

__all__ = ["pairs_of", "twin_seed"]


def twin_seed(task: Task) -> str:
    """What the values of a task's twins depend on: the healthy commit, for all its tasks alike."""
    return task.environment.commit if task.environment else task.base_commit


def pairs_of(
    task: Task, twins: Twins, texts: Mapping[str, str], store: LayerStore
) -> tuple[TwinFiles, ...]:
    """Files with twins of FAIL_TO_PASS, and with twins of PASS_TO_PASS; both hold all the tests.

    Args:
        task: the task.
        twins: which of its tests have one.
        texts: its test files, by path.
        store: keeps what was made.
    """
    failing, passing = (
        tuple(twin for twin in twins.proved if twin.test in tests)
        for tests in (set(task.FAIL_TO_PASS), set(task.PASS_TO_PASS))
    )
    version = f"{twins.generator}:{twin_seed(task)}"
    return tuple(
        _kept(some, beside, texts, seed=twin_seed(task), version=version, store=store)
        for some, beside in ((failing, passing), (passing, failing))
        if some
    )


def _kept(
    twins: tuple[Twin, ...],
    beside: tuple[Twin, ...],
    texts: Mapping[str, str],
    *,
    seed: str,
    version: str,
    store: LayerStore,
) -> TwinFiles:
    asked = [[twin.model_dump() for twin in some] for some in (twins, beside)]
    whole = json.dumps([version, asked, sorted(texts.items())]).encode()
    key = f"pairs:4:{hashlib.sha256(whole).hexdigest()}"
    known = store.alias(key)
    if known is None:
        made = twin_files(twins, texts, seed=seed, beside=beside)
        staged = store.stage()
        row = [_texts(made.files.items()), _texts(made.repeats.items())]
        (staged / "pairs.json").write_text(json.dumps(row))
        store.remember(key, store.commit(staged))
        return made
    files, repeats = json.loads((known.path / "pairs.json").read_bytes())
    return TwinFiles(files=_bytes(files), repeats=_bytes(repeats), twins=twins, beside=beside)


def _texts(files: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    return {path: data.decode("latin-1") for path, data in files}


def _bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode("latin-1") for path, text in files.items()}
