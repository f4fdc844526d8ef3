"""Curves are drawn from the rows of a run, and only where there are any."""

from __future__ import annotations

from typing import Any

from regreen.view.curves import figures_of
from regreen.view.drawing import Curve, draw

PNG = b"\x89PNG\r\n\x1a\n"


def rows(count: int, **values: float) -> list[dict[str, Any]]:
    return [
        {"step": step, **{name.replace("__", "/"): value * step for name, value in values.items()}}
        for step in range(1, count + 1)
    ]


def test_a_run_without_curves_has_no_figure() -> None:
    assert figures_of([]) == []
    assert figures_of([{"step": 1, "resolved": 0.5}]) == []
    assert figures_of([{"rollout": "a"}, {"step": "x", "loss": 1.0}]) == []


def test_shares_stand_in_one_figure_and_others_alone() -> None:
    found = figures_of(rows(5, resolved=0.1, clean_resolved=0.05, hacked=0.0, loss=0.3))

    assert [figure.name for figure in found] == ["curve", "loss"]
    assert all(figure.png.startswith(PNG) for figure in found)


def test_a_value_that_is_no_number_is_left_out() -> None:
    steps = [{"step": n, "loss": value} for n, value in enumerate([1.0, float("nan"), 0.5, 0.4])]

    assert len(figures_of(steps)) == 1


def test_the_standard_error_is_drawn_around_what_was_held_out() -> None:
    points = ((0.0, 0.2), (10.0, 0.6))

    plain = draw([Curve("held out: resolved", points)], share=True)
    banded = draw([Curve("held out: resolved", points, (0.05, 0.05))], share=True)

    assert plain != banded
