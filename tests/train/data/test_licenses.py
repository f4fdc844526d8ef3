"""A licence is named by its own words or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import write_files

from regreen.tasks.repo.license import read_license
from regreen.train.data.licenses import license_of

MIT = (
    "MIT License\n\nPermission is hereby granted, free of charge, to any\nperson obtaining a copy\n"
)
GPL = "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (MIT, "MIT"),
        (GPL, "GPL-3.0"),
        ("Apache License\n     Version 2.0, January 2004", "Apache-2.0"),
        ("Redistribution and use in source and binary forms ... Neither the name", "BSD-3-Clause"),
        ("Redistribution and use in source and binary forms, with", "BSD-2-Clause"),
        ("All rights reserved.", ""),
    ],
)
def test_words_that_tell_a_licence(text: str, name: str) -> None:
    assert read_license(text) == name


def test_files_that_disagree_tell_nothing(tmp_path: Path) -> None:
    assert license_of(tmp_path) == ""
    write_files(tmp_path, {"LICENSE.txt": MIT})
    assert license_of(tmp_path) == "MIT"
    write_files(tmp_path, {"COPYING": GPL})
    assert license_of(tmp_path) == ""
