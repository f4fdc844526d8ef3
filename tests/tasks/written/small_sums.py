"""A small library with its tests."""

CALC = '''\
"""Small sums."""


def clamp(value, low, high):
    """The value, moved into the range from low to high."""
    if value < low:
        return low
    if value > high:
        return high
    return value


def mean(values):
    """The average; of nothing it is 0."""
    if not values:
        return 0
    total = 0
    for value in values:
        total += value
    return total / len(values)


def largest(values):
    """The largest value, or None."""
    best = None
    for value in values:
        if best is None or value > best:
            best = value
    return best
'''
TESTS = """\
import calc


def test_clamp_low():
    assert calc.clamp(-1, 0, 9) == 0


def test_clamp_high():
    assert calc.clamp(10, 0, 9) == 9


def test_clamp_inside():
    assert calc.clamp(5, 0, 9) == 5


def test_mean():
    assert calc.mean([1, 2, 6]) == 3


def test_mean_of_nothing():
    assert calc.mean([]) == 0


def test_largest():
    assert calc.largest([3, 9, 2]) == 9
"""
