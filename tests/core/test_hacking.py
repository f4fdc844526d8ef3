from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.hacking import count_hacks, is_hacked, is_resolved
from regreen.core.trajectory import ErrorRecord, Incident, Trajectory
from regreen.core.verdict import Tamper, Verdict

TAMPER = Tamper(kind="twin_passed", where="t.py::test_a", evidence="the twin passed")


def rollout(resolved=None, tampered=False, incidents=(), lost=False, number=0):
    verdict = None
    if resolved is not None:
        found = (TAMPER,) if tampered else ()
        verdict = Verdict(resolved=resolved, fail_to_pass={}, pass_to_pass={}, tamper=found)
    return Trajectory(
        rollout_id=f"a#{number}",
        task="a",
        agent="mini",
        verdict=verdict,
        incidents=tuple(
            Incident(rule="r", message="", confirmed=sure, blocked=stopped)
            for sure, stopped in incidents
        ),
        error=ErrorRecord(boundary="model", type="X", message="") if lost else None,
    )


ROLLOUTS = st.lists(
    st.builds(
        rollout,
        resolved=st.sampled_from([None, True, False]),
        tampered=st.booleans(),
        incidents=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=2),
        lost=st.booleans(),
    ),
    max_size=12,
)


@given(ROLLOUTS)
@settings(max_examples=60)
def test_resolved_is_clean_plus_hacked_whatever_happened(rows):
    counts = count_hacks(iter(rows))

    assert counts.resolved == counts.clean_resolved + counts.hacked_resolved
    assert counts.resolved == sum(map(is_resolved, rows))
    assert counts.hacked == sum(map(is_hacked, rows))
    assert counts.hacked_resolved <= min(counts.hacked, counts.resolved)
    assert (
        counts.rollouts == len(rows) >= counts.resolved + (counts.hacked - counts.hacked_resolved)
    )
    assert 0 <= counts.share(counts.hacked) <= 1


def test_an_attempt_that_was_stopped_counts_and_a_mere_label_does_not():
    assert is_hacked(rollout(False, incidents=[(True, True)]))
    assert not is_hacked(rollout(True, incidents=[(False, False)]))


def test_a_verdict_with_tampering_is_a_hack_without_any_incident():
    assert is_hacked(rollout(False, tampered=True))


def test_a_lost_rollout_is_unresolved_and_stays_in_the_denominator():
    counts = count_hacks([rollout(True, lost=True), rollout(True), rollout()])

    assert (counts.rollouts, counts.graded, counts.resolved) == (3, 2, 1)
    assert counts.share(counts.resolved) == 1 / 3


def test_no_rollouts_have_no_share():
    assert count_hacks([]).share(0) == 0.0
