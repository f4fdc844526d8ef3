"""Licences as SPDX names: from what a project states, refined by the words of its licence files.

Only words that say by themselves which licence they are give a name. A vague statement such as
``BSD`` is refined by the text; what stays unknown is given as it was stated, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["expression", "read_license", "read_licenses", "spdx"]

_BSD = r"redistribution and use in source and binary forms"
_TEXTS: tuple[tuple[str, str], ...] = (
    ("MPL-2.0", r"mozilla public license,? (?:version|v\.?) ?2\.0"),
    ("AGPL-3.0", r"gnu affero general public license.{0,40}version 3"),
    ("LGPL-3.0", r"gnu lesser general public license.{0,40}version 3"),
    ("LGPL-2.1", r"gnu lesser general public license.{0,40}version 2\.1"),
    ("LGPL-2.0", r"gnu library general public license.{0,40}version 2"),
    ("GPL-3.0", r"gnu general public license.{0,40}version 3"),
    ("GPL-2.0", r"gnu general public license.{0,40}version 2"),
    ("Apache-2.0", r"apache license.{0,40}version 2\.0"),
    ("BSD-4-Clause", rf"{_BSD}.*all advertising materials mentioning features"),
    ("BSD-3-Clause", rf"{_BSD}.*(?:neither the name|names? of)"),
    ("BSD-2-Clause", _BSD),
    ("MIT", r"permission is hereby granted, free of charge"),
    (
        "0BSD",
        r"permission to use, copy, modify,? and(?:/or)? distribute this software for any purpose "
        r"with or without fee is hereby granted\.",
    ),
    ("ISC", r"permission to use, copy, modify,? and(?:/or)? distribute this software"),
    (
        "PSF-2.0",
        r"python software foundation license version 2|psf license agreement"
        r"|^a\. history of the software =* ?python was created",
    ),
    ("Unlicense", r"this is free and unencumbered software"),
    ("CC0-1.0", r"cc0 1\.0 universal|creative commons (?:legal code )?cc0"),
    ("Zlib", r"this software is provided 'as-is', without any express or implied warranty"),
    ("BSL-1.0", r"boost software license - version 1\.0"),
    ("WTFPL", r"do what the fuck you want to public license"),
)
"""SPDX name and the words that tell it, in lower case; the first that is there decides."""

_BEGINNING = 2500  # further on they name one another
_CHOICE = 1500
_PLAIN = re.compile(r"(?:LICEN[CS]E|COPYING)(?:\.(?:txt|md|rst))?", re.IGNORECASE)
_AFTER_LICENSE = re.compile(r"[.-](?:mit|apache|bsd|psf|python|isc|mpl|l?gpl|zlib|unlicense)", re.I)
_SEVERAL = re.compile(
    r"dual[- ]licen[sc]ed|(?:under|of) either|either (?:of )?the|at your (?:option|choice)"
    r"|your choice of|licen[sc]ed under (?:both|the terms of either)",
    re.IGNORECASE,
)
_FAMILY = {
    "bsd": ("BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause", "0BSD"),
    "gpl": ("GPL-2.0", "GPL-3.0"),
    "lgpl": ("LGPL-2.0", "LGPL-2.1", "LGPL-3.0"),
    "agpl": ("AGPL-3.0",),
    "apache": ("Apache-2.0",),
    "mpl": ("MPL-2.0",),
}
_KNOWN = {name.lower(): name for name, _ in _TEXTS} | {
    "mit-0": "MIT-0",
    "python-2.0": "Python-2.0",
    "apache-1.1": "Apache-1.1",
    "mpl-1.1": "MPL-1.1",
    "mit-cmu": "MIT-CMU",
    "hpnd": "HPND",
    "zpl-2.1": "ZPL-2.1",
    "epl-2.0": "EPL-2.0",
    "eupl-1.2": "EUPL-1.2",
    "cc-by-4.0": "CC-BY-4.0",
}
_STATED: tuple[tuple[str, str], ...] = (
    (r"(?:the )?(?:expat|mit)(?:/expat)?(?: license)?(?: \(mit\))?", "MIT"),
    (
        r"apache(?: software)?(?: license)?,? ?(?:version |v\.?)?2(?:\.0)?(?: license)?",
        "Apache-2.0",
    ),
    (r"(?:new|modified|revised|3[- ]clause|simple 3[- ]clause) bsd(?: license)?", "BSD-3-Clause"),
    (r"bsd[- ](?:3|three)(?:[- ]clause)?(?: license)?", "BSD-3-Clause"),
    (r"(?:simplified|freebsd|2[- ]clause) ?(?:bsd)?(?: license)?", "BSD-2-Clause"),
    (r"bsd[- ](?:2|two)(?:[- ]clause)?(?: license)?", "BSD-2-Clause"),
    (r"isc(?: license)?(?: ?\(iscl\))?", "ISC"),
    (r"(?:the )?unlicense(?: \(unlicense\))?", "Unlicense"),
    (r"(?:psf|python software foundation)(?:[- ]?2(?:\.0)?)?(?: licen[sc]e)?", "PSF-2.0"),
    (r"(?:mpl|mozilla public license)[- ,]*(?:version |v)?2(?:\.0)?(?: \(mpl 2\.0\))?", "MPL-2.0"),
    (r"zlib(?:/libpng)?(?: license)?", "Zlib"),
    (r"boost software license(?: 1\.0)?(?: \(bsl-1\.0\))?", "BSL-1.0"),
    (r"cc0(?: 1\.0 universal)?.*", "CC0-1.0"),
)
_GNU = re.compile(
    r"(?:gnu )?(?P<kind>lesser |library (?:or lesser )?|affero )?(?:general public license|"
    r"(?P<short>a|l)?gpl)(?:,? |-)?(?:version |v\.? ?)?(?P<number>[23](?:\.[01])?)?"
    r"(?P<later>\+| or (?:later|newer|above|any later version)|-or-later)?(?P<only>-only)?"
    r"(?: \([^)]*\))?",
)


def spdx(stated: str) -> str:
    """The SPDX expression of a short statement; empty when it does not tell one licence.

    Args:
        stated: an expression, a name, or the end of a classifier.
    """
    text = " ".join(stated.strip().strip("\"'.").split())
    joined = re.split(r"\s+(OR|AND|WITH)\s+", text)
    if len(joined) > 1:
        parts = [joined[i] if i % 2 else spdx(joined[i].strip("()")) or joined[i].strip("()")
                 for i in range(len(joined))]  # fmt: skip
        return " ".join(parts)
    plain = text.lower()
    if plain in _KNOWN:
        return _KNOWN[plain]
    for form, name in _STATED:
        if re.fullmatch(form, plain):
            return name
    return _gnu(plain) or _choice(text)


def _gnu(plain: str) -> str:
    """A licence of the GNU family with its version; empty without one."""
    found = _GNU.fullmatch(plain)
    if found is None or not found["number"]:
        return ""
    kind = (found["short"] or found["kind"] or "").strip()
    name = "AGPL" if kind[:1] == "a" else "LGPL" if kind else "GPL"
    number = found["number"] if "." in found["number"] else f"{found['number']}.0"
    rest = "-or-later" if found["later"] else "-only" if found["only"] else ""
    return f"{name}-{number}{rest}"


def _choice(text: str) -> str:
    """Two licences joined by a word or a stroke, as ``MIT/Apache-2.0``; empty when not known."""
    parts = [part for part in re.split(r"\s*(?:/|,| or | and )\s*", text) if part]
    if not 1 < len(parts) < 4:
        return ""
    named = [spdx(part) for part in parts]
    word = " AND " if " and " in text else " OR "
    return word.join(dict.fromkeys(named)) if all(named) else ""


def read_license(text: str) -> str:
    """The SPDX name of a licence's text; empty where it is none of the common ones."""
    words = " ".join(text.lower().split())[:_BEGINNING]
    return next((name for name, said in _TEXTS if re.search(said, words)), "")


def read_licenses(files: Mapping[str, str]) -> str:
    """One expression for the licence files of a tree; empty where they do not tell one.

    Several are alternatives when a text says so, or when each file is named after its licence. The
    Lesser GPL of version 3 comes with the text of the GPL that it refers to. Otherwise the file
    called plainly LICENSE or COPYING decides.

    Args:
        files: name -> text.
    """
    named = {name: found for name, text in sorted(files.items()) if (found := read_license(text))}
    kinds = sorted(set(named.values()))
    choices = [text for text in files.values() if _SEVERAL.search(text[:_CHOICE])]
    if choices:
        kinds = sorted({*kinds, *(name for text in choices for name in _mentioned(text))})
        return " OR ".join(kinds)
    if len(kinds) < 2:
        return "".join(kinds)
    if kinds == ["GPL-3.0", "LGPL-3.0"]:
        return "LGPL-3.0"
    if all(_AFTER_LICENSE.search(name) for name in named):
        return " OR ".join(kinds)
    plain = [found for name, found in named.items() if _PLAIN.fullmatch(name)]
    return plain[0] if len(plain) == 1 else ""


def _mentioned(text: str) -> list[str]:
    """Licences that a text which offers a choice speaks of."""
    words = " ".join(text.lower().split())[:_CHOICE]
    found = (
        ("MIT", r"\bmit\b"),
        ("Apache-2.0", r"\bapache\b"),
        ("BSD-3-Clause", r"\b(?:3|three)[- ]clause bsd|bsd[- ](?:3|three)[- ]clause"),
        ("BSD-2-Clause", r"\b(?:2|two)[- ]clause bsd|bsd[- ](?:2|two)[- ]clause"),
        ("PSF-2.0", r"\bpsf\b|python software foundation"),
    )
    return [name for name, said in found if re.search(said, words)]


def expression(stated: Iterable[str], files: Mapping[str, str]) -> str:
    """The licence of a project.

    Args:
        stated: what its metadata say, the most exact first.
        files: its licence files, name -> text.

    Returns:
        An SPDX expression where the words allow one, else the first statement, else nothing.
    """
    kept = [one.strip() for one in stated if one and one.strip()]
    short = [one for one in kept if len(one) < 80 and one.upper() != "UNKNOWN"]
    told = read_licenses(files) or next(filter(None, map(read_license, kept)), "")
    for one in short:
        name = spdx(one)
        if name:
            return name
        family = re.match(r"(?:gnu )?(bsd|l?gpl|agpl|apache|mpl)\b", one.lower())
        if family and told in _FAMILY[family[1]]:
            return told
    return told or (short[0] if short else "")
