from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.core.trajectory import (
    ErrorRecord,
    Incident,
    Observation,
    Sampling,
    Trajectory,
    Turn,
    Usage,
)
from regreen.core.verdict import Outcome, Reward, Verdict
from regreen.store.parquet import read_parquet, write_parquet
from regreen.store.rows import to_record

text = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.floats(allow_nan=False)
counts = st.integers(0, 2**31)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=6,
)
turns = st.builds(
    Turn,
    start=counts,
    end=counts,
    usage=st.builds(Usage, prompt_tokens=counts, completion_tokens=counts),
    observations=st.lists(
        st.builds(Observation, call_id=text, tool=text, exit_code=st.none() | counts), max_size=2
    ),
    completion_ids=st.none() | st.lists(counts, max_size=3),
    logprobs=st.none() | st.lists(numbers, max_size=3),
)
outcomes = st.dictionaries(text, st.sampled_from(Outcome), max_size=3)
trajectories = st.builds(
    Trajectory,
    rollout_id=text,
    task=text,
    agent=text,
    sampling=st.builds(Sampling, temperature=st.none() | numbers, max_tokens=st.none() | counts),
    seed=st.integers(-(2**63), 2**63 - 1),
    messages=st.lists(st.dictionaries(text, json_values, max_size=3), max_size=3),
    turns=st.lists(turns, max_size=2),
    segments=st.lists(st.tuples(counts, counts), max_size=2),
    verdict=st.none()
    | st.builds(Verdict, resolved=st.booleans(), fail_to_pass=outcomes, pass_to_pass=outcomes),
    rewards=st.lists(st.builds(Reward, name=text, score=numbers), max_size=2),
    incidents=st.lists(
        st.builds(Incident, rule=text, message=text, turn=st.none() | counts), max_size=2
    ),
    error=st.none()
    | st.builds(ErrorRecord, boundary=st.sampled_from(["agent", "model"]), type=text, message=text),
    seconds=st.dictionaries(text, numbers, max_size=2),
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(records=st.lists(trajectories, max_size=3))
def test_trajectories_come_back_as_they_went(tmp_path, records):
    path = tmp_path / "t.parquet"
    write_parquet(path, Trajectory, records)
    rows = [
        to_record(Trajectory, row, str(number)) for number, row in read_parquet(path, Trajectory)
    ]
    assert rows == records


def test_more_rows_than_a_batch(tmp_path):
    records = [Trajectory(rollout_id=str(n), task="t", agent="a") for n in range(200)]
    write_parquet(tmp_path / "t.parquet", Trajectory, iter(records))
    found = list(read_parquet(tmp_path / "t.parquet", Trajectory))
    assert [number for number, _ in found] == list(range(1, 201))
    assert [row["rollout_id"] for _, row in found] == [record.rollout_id for record in records]


def test_the_file_says_what_it_is_and_is_compressed(tmp_path):
    import pyarrow.parquet as pq

    write_parquet(
        tmp_path / "t.parquet", Trajectory, [Trajectory(rollout_id="a", task="t", agent="a")]
    )
    file = pq.ParquetFile(tmp_path / "t.parquet")
    assert file.schema_arrow.metadata[b"regreen.schema_name"] == b"regreen.trajectory"
    assert file.schema_arrow.metadata[b"regreen.schema_version"] == b"1"
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_newer_file_is_refused_before_its_rows(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {"regreen.schema_name": "regreen.trajectory", "regreen.schema_version": "2"}
    table = pa.table({"rollout_id": ["a"]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(UsageError, match="version 2") as caught:
        list(read_parquet(tmp_path / "t.parquet", Trajectory))
    assert "upgrade" in caught.value.mend


def test_a_number_beyond_64_bits_is_refused_and_the_old_file_stands(tmp_path):
    path = tmp_path / "t.parquet"
    write_parquet(path, Trajectory, [Trajectory(rollout_id="a", task="t", agent="a")])
    with pytest.raises(UsageError, match="does not fit"):
        write_parquet(
            path, Trajectory, [Trajectory(rollout_id="b", task="t", agent="a", seed=2**80)]
        )
    assert [row["rollout_id"] for _, row in read_parquet(path, Trajectory)] == ["a"]


def test_a_flipped_byte_is_refused_or_harmless(tmp_path):
    path = tmp_path / "t.parquet"
    record = Trajectory(rollout_id="a" * 40, task="t" * 40, agent="a", patch="p" * 4000)
    write_parquet(path, Trajectory, [record])
    whole = bytearray(path.read_bytes())
    for place in range(4, len(whole) // 2, 61):
        whole[place] ^= 0x5A
        path.write_bytes(whole)
        whole[place] ^= 0x5A
        with contextlib.suppress(UsageError):
            (row,) = (to_record(Trajectory, row, "x") for _, row in read_parquet(path, Trajectory))
            assert row == record
