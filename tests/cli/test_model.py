"""The verb on shapes, files and folders; what it says agrees with what the arithmetic says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regreen.cli.bandwidth import measure_bandwidth
from regreen.cli.main import main
from regreen.core.clock import SystemClock
from regreen.model.accounting import total
from regreen.model.config import ModelConfig
from regreen.model.quantisation import QUANTISATIONS
from regreen.model.shapes import SHAPES

DEVICE = ("--device-memory", "24", "--device-bandwidth", "1000")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["model", "plan", *(str(argument) for argument in arguments)])
    return int(stop.value.code or 0)


def planned(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert run(*arguments, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_tables_of_the_published_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("80b", "--bandwidth", "100", "--context", "32768", *DEVICE) == 0
    out = capsys.readouterr().out

    assert "80b: 79,674,391,296 parameters, 3,563,766,528 read per token" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["total", "79,674,391,296", "100%", "3,563,766,528", "7.128", "GB"] in lines
    assert ["recurrent", "state", "18,874,368", "75.5", "MB", "37.75", "MB", "18.87", "MB"] in lines
    assert "all in host memory, 100.0 GB/s (given);" in out
    assert ["q4_k_m", "26/48", "25.39", "GB"] in [line[:4] for line in lines]
    for name in QUANTISATIONS:
        assert len([line for line in lines if line[:1] == [name]]) == 5  # a rate, three splits, why


def test_json_holds_every_byte(capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, "80b", "--bandwidth", "100", *DEVICE)

    assert found["parameters"]["total"] == 79_674_391_296
    assert found["parameters"]["parts"]["router"] == {"total": 50_331_648, "read": 50_331_648}
    assert found["state"]["recurrent_bytes"]["f32"] == 75_497_472
    assert found["state"]["kv_bytes_per_token"]["bf16"] == 24 * 1024
    assert found["load"]["context"] == 262_144
    assert found["load"]["kv_bytes"] == 6 * 2**30
    assert found["machine"] == {
        "host_bandwidth": 100e9,
        "device_bandwidth": 1000e9,
        "device_memory": 24 * 10**9,
        "host_bandwidth_from": "given",
    }
    rows = {row["name"]: row for row in found["quantisations"]}
    assert set(rows) == set(QUANTISATIONS)
    bf16 = rows["bf16"]
    assert (bf16["bits_per_weight"], bf16["file_bytes"]) == (16, 159_348_782_592)
    assert sum(bf16["read_bytes_by_part"].values()) == bf16["read_bytes_per_token"] == 7_127_533_056
    whole = bf16["placements"][0]
    moved = 7_127_533_056 + found["load"]["bytes_moved_per_step"]
    assert whole["tokens_per_second"] == pytest.approx(100e9 / moved)
    assert ModelConfig.model_validate(found["config"]) == SHAPES["80b"]


def test_a_folder_a_file_and_a_name_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(SHAPES["23m"].to_hf()))
    flags = ("--bandwidth", "10", "--sequences", "4")
    plans = [planned(capsys, source, *flags) for source in ("23m", tmp_path, file)]
    for plan in plans:
        plan.pop("model")
        plan["config"].pop("layer_types")

    assert plans[0] == plans[1] == plans[2]
    assert plans[0]["load"]["num_sequences"] == 4


def test_without_an_accelerator_its_rates_are_left_open(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = planned(capsys, "1m", "--bandwidth", "10", "--context", "0")
    whole, apart, device = found["quantisations"][0]["placements"]

    assert whole["tokens_per_second"] > 0
    for split in (apart, device):
        assert split["tokens_per_second"] is None
        assert split["fits"] is None
        assert split["device"] > 0


def test_a_model_with_a_dense_layer_is_planned_and_said_to_be_none_of_llama_cpp(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SHAPES["1m"].model_copy(update={"num_experts": 0, "num_nextn_predict_layers": 1})
    (tmp_path / "config.json").write_text(json.dumps(config.to_hf()))

    assert run(tmp_path, "--bandwidth", "10") == 0
    seen = capsys.readouterr()
    assert f"{total(config):,} parameters" in seen.out
    assert "dense feed-forward" in seen.out
    assert "MTP" in seen.out
    assert "routed experts in host" not in seen.out
    assert "llama.cpp" in seen.err


@pytest.mark.slow
def test_the_bandwidth_is_measured_where_it_is_not_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = planned(capsys, "1m")["machine"]

    assert found["host_bandwidth"] > 0
    assert found["host_bandwidth_from"].startswith("measured here, ")


def test_memory_is_read_at_some_rate() -> None:
    found = measure_bandwidth(size=2**22)

    assert (found.buffer_bytes, found.num_threads >= 1) == (2**22, True)
    assert 0 < found.bytes_per_second < 1e15


def test_what_is_measured_is_bytes_over_the_best_pass() -> None:
    class Stopwatch(SystemClock):
        """Each pass seems to take half as long as the one before."""

        def __init__(self) -> None:
            self.asked = 0

        def monotonic(self) -> float:
            self.asked += 1
            return 0.0 if self.asked % 2 else 2.0 ** -(self.asked // 2)

    clock = Stopwatch()
    found = measure_bandwidth(size=8000, clock=clock)

    assert found.buffer_bytes == 8000
    assert found.bytes_per_second == 8000 / 2.0 ** -(clock.asked // 2)


def test_planning_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "from regreen.cli.main import main\n"
        "try:\n"
        "    main(['model', 'plan', '80b', '--bandwidth', '10', '--quiet', '--json'])\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code\n"
        "assert not {'torch', 'numpy', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("\udcff", "cannot be read"),
        ("[1]", "JSON object"),
        ("{}", "model_type"),
        ('{"hidden_size": 2048}', "model_type"),
        ('{"model_type": null}', "model_type"),
        ('{"model_type": "llama"}', "'llama'"),
        ('{"hidden_act": "gelu"}', "gelu"),
        ('{"rope_scaling": {"rope_type": "linear", "factor": 2.0}}', "linear"),
        ('{"rope_scaling": 7}', "int"),
        ('{"num_hidden_layers": 0}', "num_hidden_layers"),
        ('{"num_hidden_layers": 1000000000}', "num_hidden_layers"),
        ('{"num_experts_per_tok": 600}', "num_experts_per_tok"),
        ('{"hidden_size": "wide"}', "hidden_size"),
        ('{"hidden_size": 1e300}', "hidden_size"),
        ('{"hidden_size": 1' + "0" * 30 + "}", "parameters"),
        ('{"head_dim": 1' + "0" * 400 + "}", "large"),
        ('{"num_key_value_heads": 3}', "num_key_value_heads"),
        ('{"layer_types": ["mamba"]}', "layer_types"),
    ],
)
def test_a_bad_configuration_gets_three_lines(
    content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(content, errors="surrogateescape")

    assert run(tmp_path, "--bandwidth", "1") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert [line.split(":")[0].strip() for line in err.splitlines()] == ["error", "where", "mend"]
    assert str(path) in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("80", "--bandwidth", "1"), "80b?"),
        (("absent/config.json",), "1m, 5m, 23m, 100m, 264m, 1b, 80b"),
        (("{tmp}",), "cannot be read"),
        (("1m", "--bandwidth", "0"), "--bandwidth"),
        (("1m", "--bandwidth", "nan"), "--bandwidth"),
        (("1m", "--bandwidth", "inf"), "--bandwidth"),
        (("1m", "--bandwidth", "1", "--device-bandwidth=-3"), "--device-bandwidth"),
        (("1m", "--bandwidth", "1", "--device-memory", "0"), "--device-memory"),
        (("1m", "--bandwidth", "1", "--context=-1"), "--context"),
        (("1m", "--bandwidth", "1", "--context", "1" + "0" * 400), "far too many"),
        (("1m", "--bandwidth", "1", "--sequences", "0"), "--sequences"),
        (("1m", "--bandwidth", "1", "--sequences", "1" + "0" * 400), "far too many"),
        ((), "--help"),
    ],
)
def test_bad_arguments_get_three_lines(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert [line.split(":")[0].strip() for line in err.splitlines()] == ["error", "where", "mend"]
