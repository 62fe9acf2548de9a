"""Parts of times, as operators of ONNX. Times are whole microseconds since 1970, (N,) int64, as local clocks show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automtl.serving.export.graph import Graph
from automtl.tables.schema import TimePart
from automtl.tables.values.times import MICROSECONDS, SCALES

HOUR = 3_600_000_000
FIRST_TIME, LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999  # of the years 1 to 9999
NO_NUMBER = np.iinfo(np.int64).min  # stands for no time
ERA_DAYS, SHIFT = 146_097, 719_468  # days of 400 years; days from March 1st of the year 0 to 1970


@dataclass(frozen=True)
class Moments:
    """Times, and where there are none; these are 0."""

    graph: Graph
    times: str
    missing: str

    @staticmethod
    def of(graph: Graph, times: str) -> Moments:
        """Read times; those outside the years 1 to 9999 are missing."""
        early = graph.op("Less", times, graph.constant(FIRST_TIME, np.int64))
        missing = graph.op("Or", early, graph.op("Greater", times, graph.constant(LAST_TIME, np.int64)))
        return Moments(graph, graph.op("Where", missing, graph.constant(0, np.int64), times), missing)

    @staticmethod
    def of_stamps(graph: Graph, stamps: str, unit: str) -> Moments:
        """Read numbers of a unit since 1970, (N,) float64, NaN where missing."""
        counted = graph.op("Mul", stamps, graph.constant(SCALES[unit], np.float64))
        far = graph.op("Greater", graph.op("Abs", counted), graph.constant(2.0**62, np.float64))
        nothing = graph.op("Or", graph.op("IsNaN", counted), far)
        plain = graph.op("Where", nothing, graph.constant(0.0, np.float64), counted)
        times = graph.cast(graph.op("Floor", plain), np.int64)
        return Moments.of(graph, graph.op("Where", nothing, graph.constant(NO_NUMBER, np.int64), times))

    def part(self, part: TimePart) -> str:
        """Return the hour, the day of the week (Monday is 1) or of the month, (N,) int64."""
        if part == "hour":
            return self._over(self._modulo(self.times, MICROSECONDS), HOUR)
        days = self._over(self._less(self.times, self._modulo(self.times, MICROSECONDS)), MICROSECONDS)
        if part == "weekday":
            return self._plus(self._modulo(self._plus(days, 3), 7), 1)  # 1970 began on a Thursday
        return self._day_of_month(days)

    def age(self, newest: float) -> str:
        """Return the days until a time, (N,) float64, NaN where missing."""
        whole = self.graph.cast(self.times, np.float64)
        days = self.graph.op("Div", whole, self.graph.constant(float(MICROSECONDS), np.float64))
        age = self.graph.op("Sub", self.graph.constant(newest, np.float64), days)
        return self.graph.op("Where", self.missing, self.graph.constant(np.nan, np.float64), age)

    def _day_of_month(self, days: str) -> str:
        """Count years from March, so that leap days come last; days are those since 1970, of the year 1 or later."""
        of_era = self._modulo(self._plus(days, SHIFT), ERA_DAYS)
        leaps = self._less(
            self._plus_value(self._over(of_era, 1460), self._over(of_era, ERA_DAYS - 1)), self._over(of_era, 36_524)
        )
        year = self._over(self._less(of_era, leaps), 365)
        before = self._less(
            self._plus_value(self._times(year, 365), self._over(year, 4)), self._over(year, 100)
        )  # days of the era before this year
        of_year = self._less(of_era, before)
        month = self._over(self._plus(self._times(of_year, 5), 2), 153)
        start = self._over(self._plus(self._times(month, 153), 2), 5)
        return self._plus(self._less(of_year, start), 1)

    def _number(self, value: int) -> str:
        return self.graph.constant(value, np.int64)

    def _modulo(self, value: str, by: int) -> str:
        return self.graph.op("Mod", value, self._number(by))

    def _over(self, value: str, by: int) -> str:
        return self.graph.op("Div", value, self._number(by))

    def _times(self, value: str, by: int) -> str:
        return self.graph.op("Mul", value, self._number(by))

    def _plus(self, value: str, more: int) -> str:
        return self.graph.op("Add", value, self._number(more))

    def _plus_value(self, value: str, other: str) -> str:
        return self.graph.op("Add", value, other)

    def _less(self, value: str, other: str) -> str:
        return self.graph.op("Sub", value, other)
