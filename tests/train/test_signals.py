"""Stop signals raise a flag, within the block and nowhere else."""

import os
import signal

import pytest

from mvcgc.train.signals import STOP_SIGNALS, StopFlag


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_raises_the_flag(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopFlag() as flag:
        assert not flag.raised
        os.kill(os.getpid(), number)
        assert flag.raised
        assert flag.reason == number.name
    assert signal.getsignal(number) is before


def test_another_ranks_signal_has_no_name_here() -> None:
    assert StopFlag().reason == "signal to another rank"


def test_interrupt_is_left_to_python() -> None:
    with StopFlag(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
