"""The base of strategies by gradients: settings and a procedure make a run. No tensors until one begins."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.search.base import SearchProblem, SearchResult, SearchStrategy
from automtl.search.procedure import Procedure
from automtl.search.settings import DifferentiableSettings
from automtl.system.progress import Callback

if TYPE_CHECKING:
    from automtl.search.search_run import SearchRun


@dataclass(frozen=True)
class DifferentiableStrategy(SearchStrategy):
    """A search by gradients. A strategy gives its procedure, and may check in the end what was found."""

    settings: DifferentiableSettings

    @abstractmethod
    def procedure(self) -> Procedure:
        """Make the rules of the search from the settings. Raises an AutomtlError where one of them is wrong."""

    def begin(self, problem: SearchProblem, seed: int) -> SearchRun:
        """Make a run before its first step."""
        from automtl.search.search_run import SearchRun

        return SearchRun(problem, self.settings, self.procedure(), seed)

    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        from automtl.system.denormal import ignore_denormals
        from automtl.system.memory import keep_freed_memory

        start = time.perf_counter()
        with ignore_denormals(), keep_freed_memory():
            run = self.begin(problem, seed)
            before = run.resumed()
            while not run.finished:
                run.advance(callback)
                run.save(before + time.perf_counter() - start)
            seconds = before + time.perf_counter() - start
            run.save(seconds, final=True)
            found = run.result(seconds)
        return self.checked(found, problem, seed, callback)

    def checked(self, found: SearchResult, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        """Check what the run found; by default it is the result."""
        return found
