"""Which tests reach a line, from one coverage run of the suite.

A test reaches what it executes itself and what the wide fixtures it depends on execute. Lines run
at import time are reached by every test that touches their file. Tests that start processes are
opaque: coverage cannot see into those, so they count as reaching everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from regreen.grading.suite import Coverage

__all__ = ["Reach"]


class Reach:
    """An index from (file, line) to tests.

    Args:
        coverage: of one run of the suite.
        cpu: CPU seconds of each test that may be used; others are left out.
    """

    def __init__(self, coverage: Coverage, cpu: Mapping[str, float]) -> None:
        self.cpu = cpu
        self.opaque = frozenset(name for name in coverage.forked if name in cpu)
        users: dict[str, list[str]] = {}
        for test, contexts in coverage.fixtures.items():
            for context in contexts:
                users.setdefault(context, []).append(test)
        self._lines: dict[str, dict[int, set[str]]] = {}
        self._files: dict[str, set[str]] = {}
        self._imported: dict[str, frozenset[int]] = {}
        for file, contexts_of in coverage.lines.items():
            index: dict[int, set[str]] = {}
            for context, lines in contexts_of.items():
                if not context:
                    self._imported[file] = frozenset(lines)
                    continue
                names = users.get(context, []) if context.startswith("@") else [context]
                tests = {name for name in names if name in cpu}
                for line in lines if tests else ():
                    index.setdefault(line, set()).update(tests)
            self._lines[file] = index
            self._files[file] = set().union(*index.values()) if index else set()

    @property
    def files(self) -> tuple[str, ...]:
        """Files that some test executes."""
        return tuple(sorted(name for name, tests in self._files.items() if tests))

    def of_file(self, path: str) -> set[str]:
        """Tests that execute anything of a file."""
        return self._files.get(path, set())

    def tests(self, path: str, lines: Iterable[int], *, import_time: bool) -> set[str]:
        """Tests that may notice a change of these lines, opaque ones included.

        Empty when no test is seen to reach them: opaque tests alone are no evidence.
        """
        index = self._lines.get(path, {})
        wanted = list(lines)
        found: set[str] = set()
        for line in wanted:
            found |= index.get(line, set())
        at_import = self._imported.get(path, frozenset())
        if found and (import_time or any(line in at_import for line in wanted)):
            found |= self.of_file(path)
        return found | self.opaque if found else found
