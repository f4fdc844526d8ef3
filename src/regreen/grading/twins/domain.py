"""Another value of the same kind as a value: what the file expects elsewhere, before all else.

Code that forges equality with every text of the right form, or with every known answer, must not
be able to tell the changed value from an expected one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from random import Random

__all__ = ["Values", "letters_like", "other_number", "other_text"]

Values = tuple[object, ...]
"""Literals that stand in expectations."""
_WORD = re.compile(r"[A-Za-z0-9]+")
_MOST = 64


def other_number(value: int, near: Values, file: Values, taken: Values, draw: Random) -> int | None:
    """Another number with as many digits, if possible one that is expected elsewhere."""
    digits = len(str(value))
    low, high = (0, 9) if digits == 1 else (10 ** (digits - 1), 10**digits - 1)
    held = {each for each in taken if type(each) is int} | {value}
    drawn = [
        number for number in (draw.randint(low, high) for _ in range(24)) if number not in held
    ]
    for values in (near, file):
        kin = {each for each in values if type(each) is int and low <= each <= high} - held
        if kin:
            return draw.choice(sorted(kin) + (drawn[:1] if len(kin) == 1 else []))
    return drawn[0] if drawn else None


def other_text(
    value: str, near: list[str], file: list[str], taken: set[str], draw: Random
) -> str | None:
    """Another text of the same kind.

    Args:
        value: The text.
        near: What is expected in the same place or test.
        file: What is expected in the same file.
        taken: What it must not become.
        draw: Chooses.

    Returns:
        None when nothing fits.
    """
    near, file = _some(near, draw), _some(file, draw)
    held = {_bare(each) for each in (*taken, value)}
    alphabet = set(value).union(*(each for each in near if _classes(each) == _classes(value)))
    groups = (
        near,
        [each for each in file if set(each) <= alphabet and _marks(each) == _marks(value)],
        _moved(value, draw),
        [each for each in file if _classes(each) == _classes(value)],
        [] if value else [each for each in file if len(each) < 16],
    )
    fitting = [found for group in groups if (found := _fitting(group, held))]
    if not fitting:
        return None
    # one candidate alone would be drawn in every attempt
    return draw.choice(fitting[0] + (fitting[1] if len(fitting[0]) == 1 and fitting[1:] else []))


def letters_like(letter: str, texts: Iterable[str]) -> list[str]:
    """Letters of texts that can stand for a letter, and are another one in either case."""
    found = {each for text in texts for each in text if _class(each) == _class(letter)}
    return sorted(each for each in found if each.lower() != letter.lower())


def _some(values: list[str], draw: Random) -> list[str]:
    return values if len(values) <= _MOST else draw.sample(values, _MOST)


def _fitting(values: Iterable[str], held: set[str]) -> list[str]:
    return sorted({each for each in values if each and _bare(each) not in held})


def _bare(text: str) -> str:
    """What comparisons that overlook case and space see of a text."""
    return "".join(text.split()).lower()


def _class(letter: str) -> str:
    if letter.isascii() and letter.isalnum():
        return "0" if letter.isdigit() else "a" if letter.islower() else "A"
    return letter if letter.isascii() else "other"


def _classes(text: str) -> set[str]:
    return {_class(letter) for letter in text}


def _marks(text: str) -> set[str]:
    return _classes(text) - {"0", "a", "A"}


def _moved(text: str, draw: Random) -> list[str]:
    """A text with its own words, digits or letters in other places."""
    words = list(_WORD.finditer(text))
    pairs = [(one, other) for one in words for other in words if one.start() < other.start()]
    alike = [pair for pair in pairs[:_MOST] if _shape(pair[0][0]) == _shape(pair[1][0])]
    swapped = [
        text[: a.start()] + b[0] + text[a.end() : b.start()] + a[0] + text[b.end() :]
        for a, b in alike
        if a[0] != b[0]
    ]
    if swapped:
        return swapped
    places = [place for place, letter in enumerate(text) if letter.isascii() and letter.isalnum()]
    draw.shuffle(places)
    found = []
    for place in places[:8]:
        for other in places[:8]:
            same = _class(text[place]) == _class(text[other]) and text[place] != text[other]
            if same and place < other:
                letters = list(text)
                letters[place], letters[other] = letters[other], letters[place]
                found.append("".join(letters))
    return found


def _shape(word: str) -> tuple[str, str]:
    return _class(word[0]), _class(word[-1])
