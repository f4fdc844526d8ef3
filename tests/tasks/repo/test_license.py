"""Licences: what is stated becomes SPDX, vague words are refined by the text, a guess is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.tasks.repo.license import expression, read_license, read_licenses, spdx
from regreen.tasks.repo.project import Project

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this"
APACHE = "Apache License\n    Version 2.0, January 2004"
BSD2 = "Redistribution and use in source and binary forms, with or without\nmodification, are"
BSD3 = f"{BSD2} permitted ... 3. Neither the name of the owner nor"
CHOICE = "This software is dual-licensed: the Apache License, or the BSD 2-clause license."


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (MIT, "MIT"),
        (APACHE, "Apache-2.0"),
        (BSD2, "BSD-2-Clause"),
        (BSD3, "BSD-3-Clause"),
        (f"{BSD2} ... All advertising materials mentioning features of", "BSD-4-Clause"),
        ("Permission to use, copy, modify, and distribute this software for any purpose", "ISC"),
        (
            "Permission to use, copy, modify, and/or distribute this software for any purpose with "
            "or without fee is hereby granted.",
            "0BSD",
        ),
        ("Mozilla Public License Version 2.0\n====", "MPL-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991", "GPL-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "GPL-3.0"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 2.1, February 1999", "LGPL-2.1"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "LGPL-3.0"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\n Version 3, 19 November 2007", "AGPL-3.0"),
        ("PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2\n----", "PSF-2.0"),
        ("This is free and unencumbered software released into the public domain.", "Unlicense"),
        ("All rights reserved. You may look at it.", ""),
        ("", ""),
        (" " * 9000 + "x" * 9000 + MIT, ""),
    ],
)
def test_texts(text: str, name: str) -> None:
    assert read_license(text) == name


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("MIT License", "MIT"),
        ("Apache 2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache License 2.0", "Apache-2.0"),
        ("BSD-3-Clause", "BSD-3-Clause"),
        ("New BSD License", "BSD-3-Clause"),
        ("3-Clause BSD License", "BSD-3-Clause"),
        ("Simplified BSD", "BSD-2-Clause"),
        ("ISC License (ISCL)", "ISC"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
        ("GPLv3", "GPL-3.0"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0"),
        ("LGPL-2.1-or-later", "LGPL-2.1-or-later"),
        ("AGPL-3.0-only", "AGPL-3.0-only"),
        ("GNU Affero General Public License v3", "AGPL-3.0"),
        ("PSF", "PSF-2.0"),
        ("The Unlicense (Unlicense)", "Unlicense"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("(mit OR apache-2.0)", "MIT OR Apache-2.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("Apache 2.0 and MIT", "Apache-2.0 AND MIT"),
        ("BSD", ""),
        ("GPL", ""),
        ("Proprietary", ""),
        ("", ""),
    ],
)
def test_statements(stated: str, name: str) -> None:
    assert spdx(stated) == name


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"LICENSE": MIT}, "MIT"),
        ({"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}, "Apache-2.0 OR MIT"),
        (
            {"LICENSE": CHOICE, "LICENSE.APACHE": APACHE, "LICENSE.BSD": BSD2},
            "Apache-2.0 OR BSD-2-Clause",
        ),
        ({"LICENSE": CHOICE}, "Apache-2.0 OR BSD-2-Clause"),
        ({"LICENSE": MIT, "LICENSE.vendored": APACHE}, "MIT"),
        (
            {
                "COPYING": "GNU GENERAL PUBLIC LICENSE Version 3",
                "COPYING.LESSER": "GNU LESSER GENERAL PUBLIC LICENSE Version 3",
            },
            "LGPL-3.0",
        ),
        ({"LICENSE": MIT, "COPYING": APACHE}, ""),
        ({"LICENSE": "Ask me."}, ""),
        ({}, ""),
    ],
)
def test_files(files: dict[str, str], name: str) -> None:
    assert read_licenses(files) == name


@pytest.mark.parametrize(
    ("stated", "files", "name"),
    [
        (["MIT"], {"LICENSE": APACHE}, "MIT"),
        (["BSD"], {"LICENSE": BSD3}, "BSD-3-Clause"),
        (["BSD License"], {"LICENSE": BSD2}, "BSD-2-Clause"),
        (["BSD"], {"LICENSE": MIT}, "MIT"),
        (["BSD"], {}, "BSD"),
        (["UNKNOWN", ""], {"LICENSE": MIT}, "MIT"),
        (["see LICENSE", " MIT License"], {}, "MIT"),
        ([f"Copyright somebody\n\n{MIT} and so on"], {}, "MIT"),
        ([], {}, ""),
    ],
)
def test_statements_and_texts_together(stated: list[str], files: dict[str, str], name: str) -> None:
    assert expression(stated, files) == name


def test_a_project_is_asked_in_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "LICENSE.rst").write_text(BSD3)
    (tmp_path / "license.py").write_text(f"'''{MIT}'''")
    (tmp_path / "setup.py").write_text(
        "from setuptools import setup\n"
        "setup(name='x', classifiers=['License :: OSI Approved', "
        "'License :: OSI Approved :: BSD License'])\n"
    )
    assert Project(tmp_path).license == "BSD-3-Clause"
    (tmp_path / "pyproject.toml").write_text('[project]\nlicense = "MIT AND BSD-3-Clause"\n')
    assert Project(tmp_path).license == "MIT AND BSD-3-Clause"


def test_an_absent_tree_has_none(tmp_path: Path) -> None:
    assert Project(tmp_path / "none").license == ""
