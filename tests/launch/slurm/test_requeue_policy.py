"""What comes of a job whose ranks have ended without a result."""

from typing import Any

from mvcgc.launch.slurm.requeue_policy import Decision, Ending, Event, Next, decide, srun_events
from mvcgc.runs.journal import Status


def ending(**what: Any) -> Ending:
    known: dict[str, Any] = {
        "status": 1,
        "said": Status.RUNNING,
        "said_reason": "",
        "notes": [],
        "events": [],
        "checkpoint": -1,
        "checkpoint_before": -1,
        "last_line": "",
    }
    return Ending(**{**known, **what})


def decided(failures: int = 0, timeouts: int = 0, max_timeouts: int | None = None, **what: Any) -> Decision:
    return decide(ending(**what), failures, timeouts, 3, max_timeouts)


class TestSrunEvents:
    def test_in_their_order(self) -> None:
        text = (
            "srun: error: node1: task 0: Exited with exit code 1\n"
            "slurmstepd: error: *** STEP 4.0 ON node1 CANCELLED AT 2026-01-01T00:00:00 ***\n"
            "srun: error: node2: tasks 1-2: Killed\n"
        )
        assert srun_events(text) == [Event("node1", "Exited with exit code 1"), Event("node2", "Killed")]

    def test_a_node_that_vanishes(self) -> None:
        assert srun_events("srun: error: Node failure on node3\n") == [Event("node3", "node failure")]


class TestAStageThatWasStopped:
    def test_goes_on_where_it_has_come_further(self) -> None:
        decision = decided(status=0, said=Status.INTERRUPTED, checkpoint=8, checkpoint_before=4)
        assert (decision.next, decision.counts_as_failure) == (Next.REQUEUE, False)
        assert decision.reason == "stopped at step 8, resumes from there"

    def test_counts_as_a_failure_where_it_has_not(self) -> None:
        stuck: dict[str, Any] = {
            "status": 0,
            "said": Status.INTERRUPTED,
            "checkpoint": 8,
            "checkpoint_before": 8,
        }
        assert decided(**stuck).counts_as_failure
        assert decided(failures=3, **stuck).next is Next.GIVE_UP

    def test_goes_on_as_often_as_the_user_allows(self) -> None:
        moving: dict[str, Any] = {"status": 0, "said": Status.INTERRUPTED, "checkpoint": 8}
        assert decided(timeouts=1, max_timeouts=2, **moving).next is Next.REQUEUE
        assert decided(timeouts=2, max_timeouts=2, **moving).next is Next.GIVE_UP


class TestTroubleFromOutside:
    def test_a_killed_rank_is_tried_elsewhere(self) -> None:
        events = [Event("node1", "Exited with exit code 1"), Event("node2", "Killed")]
        said = {"said": Status.FAILED, "said_reason": "RuntimeError: gloo: Connection closed by peer"}
        decision = decided(status=137, events=events, **said)
        assert decision == Decision(Next.REQUEUE, "node2: Killed; retry 1 of 3", True, "node2")

    def test_a_rank_that_nccl_aborts_is_blamed_last(self) -> None:
        events = [Event("node1", "Aborted (core dumped)"), Event("node2", "node failure")]
        assert decided(status=134, events=events).exclude == "node2"
        assert decided(status=134, events=events[:1]).exclude == "node1"

    def test_is_given_up_after_so_many_retries(self) -> None:
        decision = decided(failures=3, status=137, events=[Event("node2", "Killed")])
        assert decision == Decision(Next.GIVE_UP, "node2: Killed; given up after 3 retries")

    def test_a_lost_connection_blames_no_node(self) -> None:
        decision = decided(said=Status.FAILED, said_reason="DistBackendError: NCCL error")
        assert (decision.next, decision.exclude) == (Next.REQUEUE, "")

    def test_a_call_to_stop_before_it_could_heed_it_blames_no_node(self) -> None:
        decision = decided(status=140, events=[Event("node1", "User defined signal 2")])
        reason = "stopped before it made progress; retry 1 of 3"
        assert decision == Decision(Next.REQUEUE, reason, True)


class TestTheStagesOwnFailure:
    def test_is_final(self) -> None:
        decision = decided(said=Status.FAILED, said_reason="FloatingPointError: loss is nan")
        assert decision == Decision(Next.GIVE_UP, "FloatingPointError: loss is nan")

    def test_of_another_rank_is_final_too(self) -> None:
        decision = decided(
            said=Status.FAILED,
            said_reason="RuntimeError: [gloo] Connection reset",
            notes=["rank 1: ValueError: no such video"],
            events=[Event("node2", "Exited with exit code 1"), Event("node1", "Killed")],
        )
        assert decision == Decision(Next.GIVE_UP, "rank 1: ValueError: no such video")

    def test_before_it_could_say_a_word(self) -> None:
        decision = decided(status=1, last_line="ModuleNotFoundError: No module named 'torch'")
        assert decision.next is Next.GIVE_UP
        assert decision.reason == "exit status 1: ModuleNotFoundError: No module named 'torch'"
