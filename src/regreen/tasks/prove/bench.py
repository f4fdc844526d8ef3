"""A bench of warm test runners: one process per hash seed and worker, started when first needed.

The hash seed is fixed when an interpreter starts, so repeats under other seeds need processes of
their own; everything else about a repeat is part of its request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from regreen.core.errors import InfrastructureError
from regreen.grading.place import Place
from regreen.grading.runner import TestRunner
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.sandbox.base import SandboxProvider

__all__ = ["PERTURBATIONS", "Bench", "Perturbation", "SuiteRunner"]

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Perturbation:
    """What differs in one repeat."""

    hash_seed: int
    order_seed: int | None
    clock_offset: float


PERTURBATIONS = (
    Perturbation(0, None, 0.0),
    Perturbation(1, 11, 47 * _DAY + 5 * 3600),
    Perturbation(4242, 12, -203 * _DAY - 7 * 3600),
)


class SuiteRunner(Protocol):
    """Runs named tests of one repository on changed files; the bench is Python's."""

    cpu: float
    """CPU seconds of all runs so far."""

    async def run(self, request: TestRequest, *, hash_seed: int = 0) -> SuiteRun:
        """Run one request in a fresh box.

        Raises:
            InfrastructureError: the boxes failed.
        """
        ...

    async def close(self) -> None:
        """Free what the runs held."""
        ...


@dataclass(slots=True)
class Bench:
    """Runs test requests in fresh nested boxes, several at once."""

    provider: SandboxProvider
    place: Place
    workers: int = 2
    warm: tuple[str, ...] = ()
    """Modules imported once for all runs."""
    cpu: float = 0.0
    """CPU seconds of all runs so far, the runners' starts included."""
    _idle: dict[int, list[TestRunner]] = field(default_factory=dict)
    _slots: asyncio.Semaphore | None = None

    async def run(self, request: TestRequest, *, hash_seed: int = 0) -> SuiteRun:
        """Run one request; a runner that died is replaced and the request tried once more.

        Raises:
            InfrastructureError: it died twice.
        """
        self._slots = self._slots or asyncio.Semaphore(self.workers)
        async with self._slots:
            for attempt in (1, 2):
                runner = await self._runner(hash_seed)
                try:
                    result = await runner.run(request)
                except InfrastructureError:
                    await runner.close()
                    if attempt == 2:
                        raise
                    continue
                except BaseException:
                    await runner.close()
                    raise
                self._idle.setdefault(hash_seed, []).append(runner)
                self.cpu += result.cpu
                return result
        raise AssertionError

    async def _runner(self, hash_seed: int) -> TestRunner:
        idle = self._idle.setdefault(hash_seed, [])
        if idle:
            return idle.pop()
        box = await self.provider.create(self.place.spec(writable=False, nested=True))
        runner = TestRunner(box, isolate=True, legacy=self.place.python.legacy)
        await runner.start(hash_seed=hash_seed, warm=self.warm)
        self.cpu += runner.start_cpu
        return runner

    async def close(self) -> None:
        """End every runner."""
        for runners in self._idle.values():
            for runner in runners:
                await runner.close()
        self._idle.clear()
