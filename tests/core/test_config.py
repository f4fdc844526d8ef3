from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from regreen.core.config import config_digest, resolve_config
from regreen.core.errors import UsageError


class Sampling(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = None
    top_p: float = 1.0


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    agent: Literal["mini", "react"] = "mini"
    workers: int = 1
    models: tuple[str, ...] = ()
    out: Path = Path("run")
    name: str | None = None
    dry_run: bool = False
    sampling: Sampling = Sampling()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "regreen.toml"
    path.write_text(
        'agent = "react"\nworkers = 2\nmodels = ["a"]\n[sampling]\ntemperature = 0.5\ntop_p = 0.9\n'
    )
    return path


def refused(**sources):
    with pytest.raises(UsageError) as caught:
        resolve_config(Settings, **sources)
    assert len(caught.value.lines()) == 3
    return caught.value


def test_without_sources_the_defaults_stand():
    assert resolve_config(Settings) == Settings()


def test_a_later_source_wins_key_by_key(file):
    found = resolve_config(
        Settings,
        file=file,
        environ={"REGREEN_WORKERS": "3", "REGREEN_SAMPLING__TOP_P": "0.8", "PATH": "/bin"},
        flags={"workers": 4, "name": None, "sampling": {"temperature": None}},
    )
    assert found == Settings(
        agent="react",
        workers=4,
        models=("a",),
        sampling=Sampling(temperature=0.5, top_p=0.8),
    )


def test_one_file_serves_several_verbs(tmp_path):
    path = tmp_path / "regreen.toml"
    path.write_text("[rollout]\nworkers = 7\n[eval]\nsuite = 'x'\n")
    assert resolve_config(Settings, file=path, table="rollout").workers == 7
    assert resolve_config(Settings, file=path, table="train").workers == 1
    assert "unknown key rollout" in refused(file=path).what


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("REGREEN_MODELS", '["a", "b"]', "models", ("a", "b")),
        ("REGREEN_OUT", "some/dir", "out", Path("some/dir")),
        ("REGREEN_OUT", "7", "out", Path("7")),
        ("REGREEN_NAME", "123", "name", "123"),
        ("REGREEN_NAME", "true", "name", "true"),
        ("REGREEN_DRY_RUN", "true", "dry_run", True),
        ("REGREEN_DRY_RUN", "1", "dry_run", True),
    ],
)
def test_variables_are_read_as_their_field_takes_them(variable, text, field, value):
    assert getattr(resolve_config(Settings, environ={variable: text}), field) == value


def test_a_variable_of_another_verb_is_left_alone():
    assert (
        resolve_config(Settings, environ={"REGREEN_HOME": "/x", "REGREEN_SUITE": "y"}) == Settings()
    )


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("worker = 1", "did you mean workers?"),
        ("[sampling]\ntemprature = 1", "did you mean sampling.temperature?"),
        ("zzz = 1", "did you mean"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path, text, mend):
    (tmp_path / "c.toml").write_text(text)
    error = refused(file=tmp_path / "c.toml")
    assert mend in error.mend
    assert error.where == str(tmp_path / "c.toml")


def test_an_unknown_flag_is_refused():
    error = refused(flags={"worker": 1})
    assert (error.where, error.mend) == ("the command line", "did you mean workers?")


@pytest.mark.parametrize(
    ("sources", "where"),
    [
        ({"flags": {"workers": "many"}}, "the command line"),
        ({"environ": {"REGREEN_WORKERS": "many"}}, "the environment"),
        ({"environ": {"REGREEN_SAMPLING__TOP_P": "high"}}, "the environment"),
        ({"flags": {"sampling": {"top_p": "high"}}}, "the command line"),
        ({"flags": {"sampling": 5}}, "the command line"),
        ({"flags": {"agent": "nini"}}, "the command line"),
    ],
)
def test_a_wrong_value_names_its_source(sources, where):
    assert refused(**sources).where == where


def test_a_wrong_value_in_a_file_names_the_file(tmp_path):
    (tmp_path / "c.toml").write_text("workers = [1]")
    error = refused(file=tmp_path / "c.toml")
    assert error.where == str(tmp_path / "c.toml")
    assert error.what.startswith("workers")


@pytest.mark.parametrize("content", [b"workers = ", b"\xff\xfe", None, b"rollout = 5"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in refused(file=path, table="rollout").where


def test_the_digest_knows_values_and_not_their_order():
    assert config_digest({"a": 1, "b": 2}) == config_digest({"b": 2, "a": 1})
    assert config_digest(Settings()) != config_digest(Settings(workers=2))
    assert config_digest(Settings()) == config_digest(Settings(workers=1))


@given(st.dictionaries(st.sampled_from(["agent", "workers"]), st.none()))
def test_flags_that_were_not_given_change_nothing(flags):
    assert resolve_config(Settings, flags=flags) == Settings()
