"""Weights past the disk, seen from one worker: what goes wrong there is said to who waits."""

from __future__ import annotations

import pytest
import torch
from tests.train.rl_sets import shape

from regreen.model import Decoder
from regreen.train.play.receiver import Invitation, Receiver
from regreen.train.weights.broadcast import BroadcastSender
from regreen.train.weights.meeting import Meeting

HOST = "127.0.0.1"


class Full(Decoder):
    """A model that there is no room for twice."""

    def __deepcopy__(self, memo: dict[int, object]) -> Decoder:
        raise MemoryError


def met(receiver: Receiver) -> Meeting:
    """The trainer's side of a meeting that the receiver was invited to."""

    def invite(port: int) -> None:
        receiver.meet(Invitation(1, HOST, port, 1, 2, 20.0), lambda: None)

    return Meeting(HOST, 0, 0, 2, timeout_seconds=20.0, own=HOST, reached=invite)


def test_a_version_that_was_sent_is_adopted() -> None:
    sent, model = Decoder(shape()), Decoder(shape())
    receiver = Receiver(model, HOST, HOST)
    with met(receiver) as meeting:
        coming = receiver.receive()
        BroadcastSender(meeting).send(sent, 7)
        found = coming.result(20.0)

    assert found is not None
    copy, version = found
    receiver.adopt(copy)
    assert version == 7
    assert all(map(torch.equal, model.state_dict().values(), sent.state_dict().values()))


def test_no_room_for_a_second_copy_is_told_and_the_next_order_is_heard() -> None:
    receiver = Receiver(Full(shape()), HOST, HOST)
    with met(receiver):
        for _ in range(2):
            with pytest.raises(MemoryError):
                receiver.receive().result(20.0)


def test_without_a_meeting_there_is_no_version() -> None:
    receiver = Receiver(Decoder(shape()), HOST, HOST)
    assert receiver.receive().result(20.0) is None


def test_a_trainer_that_goes_leaves_no_version() -> None:
    receiver = Receiver(Decoder(shape()), HOST, HOST)
    meeting = met(receiver)
    coming = receiver.receive()
    meeting.close()
    assert coming.result(30.0) is None
