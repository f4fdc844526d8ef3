from __future__ import annotations

import errno
import os
import stat

import pytest

from regreen.core.errors import InfrastructureError, UsageError
from regreen.store.atomic import disk_error, replacing, write_text


def test_the_block_ends_and_the_content_stands(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_an_exception_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail_midway():
        with replacing(path) as file:
            file.write(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail_midway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_gets_the_usual_permissions(tmp_path):
    path = tmp_path / "file.txt"
    before = os.umask(0o027)
    try:
        write_text(path, "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_text_with_a_lone_surrogate_is_written(tmp_path):
    write_text(tmp_path / "a", "a\ud800b")
    assert (tmp_path / "a").read_text() == "a?b"


@pytest.mark.parametrize("name", ["directory", "file/below"])
def test_a_path_that_cannot_be_replaced_is_refused(tmp_path, name):
    (tmp_path / "directory" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        write_text(tmp_path / name, "x")
    assert len(caught.value.lines()) == 3


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, InfrastructureError),
        (errno.EDQUOT, InfrastructureError),
        (errno.EIO, InfrastructureError),
        (errno.EACCES, UsageError),
        (errno.EROFS, UsageError),
        (errno.ENOENT, UsageError),
    ],
)
def test_a_full_machine_and_a_wrong_path_differ(number, kind):
    error = disk_error(OSError(number, os.strerror(number)), "somewhere")
    assert type(error) is kind
    assert len(error.lines()) == 3
