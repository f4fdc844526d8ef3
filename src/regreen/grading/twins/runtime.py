"""What a twin needs at run time where an expectation is computed: one small function, or less.

It stands at the file's end, so that no line moves, under a name that the seed draws. Values of the
common types become near values of the same type; anything else becomes an object that equals
nothing but what claims to equal everything.
"""

from __future__ import annotations

from random import Random

from regreen.grading.twins.literal import Manner

__all__ = ["Runtime"]

_NAMES = ("_normal", "_settled", "_canonical", "_resolved", "_plain", "_as_given", "_regular")
_NOTHING = """

class {nothing}:
    def __repr__(self):
        return "<value>"
"""
_CHANGE = """

def {change}(value, far=False):
    import array, collections, copy, datetime, decimal, enum, fractions, pathlib, sys
    inner = lambda items: [{change}(item, far) for item in items]
    kind = type(value)
    try:
        if value is None or isinstance(value, (bool, enum.Enum)):
            return {nothing}()
        if isinstance(value, type):
            return {nothing}
        if kind.__module__ == "_pytest.python_api" and hasattr(value, "expected"):
            near = copy.copy(value)
            near.expected = {change}(value.expected, True)
            return near
        if kind.__module__.split(".")[0] == "numpy":
            numpy = sys.modules["numpy"]
            if value.dtype.kind in "iufc" and value.size:
                wide = value.astype(complex if value.dtype.kind == "c" else float)
                wide = numpy.where(numpy.isfinite(wide), wide, 0.5)
                moved = wide + {step} * (2 + abs(wide))
                return moved.astype(value.dtype) if value.dtype.kind in "fc" else moved
            if value.dtype.kind in "bMm" and value.size:
                return value + {step}
            if value.dtype.kind in "UO" and value.size and value.ndim:
                return numpy.array(inner(value.tolist()), dtype=object)
            return {nothing}()
        if kind.__module__.split(".")[0] == "pandas" and hasattr(value, "map"):
            return value.map({change})
        if isinstance(value, (float, complex)):
            return kind(value + {step} * (2.25 + abs(value)) if value - value == 0 else 1.5)
        if isinstance(value, (int, decimal.Decimal, fractions.Fraction)):
            return kind(value + {step} * (2 + abs(value) if far else 1))
        if isinstance(value, str):
            half = len(value) // 2
            return value[:half] + "{letters}" + value[half:]
        if isinstance(value, (bytes, bytearray)):
            half = len(value) // 2
            return kind(value[:half] + b"{letters}" + value[half:])
        if isinstance(value, datetime.datetime) or kind is datetime.date:
            return value + datetime.timedelta(days={step} if value.year < 9000 else -{step})
        if kind is datetime.time:
            return value.replace(hour=(value.hour + {step}) % 24)
        if isinstance(value, datetime.timedelta):
            return value + datetime.timedelta(days={step})
        if isinstance(value, range):
            return range(value.start + {step}, value.stop + {step} + (not value), value.step)
        if isinstance(value, pathlib.PurePath):
            return value.with_name(value.name + "{letters}") if value.name else value / "{letters}"
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return kind(*inner(value))
        if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
            new = copy.copy(value) if kind not in (tuple, frozenset) else []
            items = inner(value) or [{step}]
            if isinstance(new, (set, collections.deque)):
                new.clear()
                new.update(items) if isinstance(new, set) else new.extend(items)
                return new
            return kind(items)
        if isinstance(value, array.array):
            return array.array(value.typecode, inner(value) or [{step}])
        if isinstance(value, dict):
            new = copy.copy(value)
            for key in list(new):
                new[key] = {change}(new[key], far)
            new or new.__setitem__("{letters}", {step})
            return new
    except Exception:
        pass
    return {nothing}()
"""
_EITHER = """

def {either}(function, far=False, own=False, within=False):
    def compared(left, right, *rest, **words):
        other = {change}(right, far)
        if within:
            other = ()
            if isinstance(right, (list, tuple, set, frozenset, dict)):
                changed = [{change}(item) for item in right]
                items = list(right)
                other = [item for item in changed if item not in items] or [{nothing}()]
        pairs = [(left, other), ({change}(left, far), right)]
        pairs = [(left, left), (right, right)] if own else pairs
        for pair in pairs[:1]:
            try:
                answer = function(*pair, *rest, **words)
                if answer is None or answer:
                    return answer
            except Exception:
                pass
        return function(*pairs[1], *rest, **words)
    return compared
"""


class Runtime:
    """The function that changes a value and the class whose objects equal nothing, if used."""

    def __init__(self, seed: str, source: str) -> None:
        draw = Random(f"{seed}:names")
        free = [name for name in _NAMES if name not in source]
        while len(free) < 3:
            free.append(f"_value{draw.randint(100, 999)}")
        self._change, nothing, self._either = draw.sample(free, 3)
        self._nothing = nothing.title().replace("_", "")
        if self._nothing in source:
            self._nothing += str(draw.randint(100, 999))
        self._step = Manner(seed).sign * draw.randint(1, 4)
        self._letters = "".join(draw.choice("abcdefghkmnpqrstuvwxyz") for _ in range(3))
        self._used: set[str] = set()

    @property
    def nothing(self) -> str:
        """An expression for an object that equals nothing."""
        self._used.add("nothing")
        return f"{self._nothing}()"

    @property
    def change(self) -> str:
        """Name of the function that changes a value."""
        self._used |= {"nothing", "change"}
        return self._change

    @property
    def either(self) -> str:
        """Name of the function that makes a comparison pass when one of two sides is forged."""
        self._used |= {"nothing", "change", "either"}
        return self._either

    def text(self) -> str:
        """What to put at the file's end; empty when nothing was asked for."""
        fields = {
            "change": self._change,
            "nothing": self._nothing,
            "either": self._either,
            "step": self._step,
            "letters": self._letters,
        }
        parts = [_NOTHING] if "nothing" in self._used else []
        parts += [_CHANGE] if "change" in self._used else []
        parts += [_EITHER] if "either" in self._used else []
        return "".join(part.format_map(fields) for part in parts)
