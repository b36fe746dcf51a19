"""What goes wrong on clusters, done on purpose to stages that train and have a checkpoint."""

import math
import os
import signal
import time
from dataclasses import dataclass, field

from local_cluster import LocalCluster, wait_for
from sweeping import Sweep

from mvcgc.runs.state import newest_checkpoint, next_attempt


@dataclass(frozen=True)
class Victim:
    """A stage in training: its job, how often that had been put back, and its newest checkpoint, in steps.

    ``attempts`` are those that had come to train, ``next_attempt`` is the number of the one after.
    """

    stage: str
    job: str
    restarts: int
    checkpoint: int
    attempts: int
    next_attempt: int


@dataclass
class Disturbance:
    """Each disturbs another stage, and comes back once the job has been put back or goes on."""

    cluster: LocalCluster
    sweep: Sweep
    interrupted: list[Victim] = field(default_factory=list)
    undisturbed: list[Victim] = field(default_factory=list)

    def kill_a_rank(self) -> None:
        """With SIGKILL, as when memory runs out."""
        victim = self._stop_one()
        os.kill(self.cluster.ranks(victim.job)[1], signal.SIGKILL)
        self.cluster.send(victim.job, signal.SIGCONT)
        self._await_restart(victim)

    def requeue(self) -> None:
        """As an administrator does."""
        victim = self._stop_one()
        self.cluster.ask("scontrol", "requeue", victim.job)
        self._await_restart(victim)

    def preempt(self) -> None:
        """All nodes are wanted by a job that comes first."""
        victim = self._stop_one()
        size = ("--partition=urgent", "--nodes=3", "--ntasks-per-node=1", "--exclusive", "--output=/dev/null")
        self.cluster.ask("sbatch", *size, "--wrap=true")
        self._await_restart(victim)

    def set_a_time_limit(self) -> Victim:
        """Of a minute or so; `reach_the_time_limit` waits for it, and the others go on meanwhile."""
        victim = self._stop_one()
        began = time.strptime(self.cluster.job_field(victim.job, "StartTime"), "%Y-%m-%dT%H:%M:%S")
        minutes = math.ceil((time.time() - time.mktime(began)) / 60 + 0.5)
        self.cluster.ask("scontrol", "update", f"JobId={victim.job}", f"TimeLimit={minutes}")
        self.interrupted.append(victim)
        return victim

    def reach_the_time_limit(self, victim: Victim) -> None:
        """The ranks are told, wake, and save."""
        told = lambda: self.cluster.has_pending(victim.job, signal.SIGUSR2)  # noqa: E731
        wait_for(lambda: told() or self._restarted(victim), f"the time limit of {victim}")
        self.cluster.ask("scontrol", "update", f"JobId={victim.job}", "TimeLimit=60")
        self.cluster.send(victim.job, signal.SIGCONT)
        self._await_restart(victim)

    def restart_a_slurmd(self) -> None:
        """The job's steps do not notice that their slurmd was killed and has come back."""
        victim = self._stop_one()
        slurmd = f"slurmd:{self.cluster.job_field(victim.job, 'BatchHost')}"
        os.kill(self.cluster.daemons()[slurmd] or 0, signal.SIGKILL)
        wait_for(lambda: self.cluster.daemons()[slurmd] is None, "the end of a slurmd")
        assert self.cluster.control("up").returncode == 0
        self.cluster.send(victim.job, signal.SIGCONT)
        self.undisturbed.append(victim)

    def check(self) -> None:
        """Once the sweep is finished: every interrupted stage has gone on from its checkpoint."""
        assert len({victim.stage for victim in self.interrupted + self.undisturbed}) == 5
        for victim in self.interrupted:
            after = self.sweep.attempts(victim.stage)[victim.attempts :]
            assert after, f"{victim.stage} was not interrupted"
            assert after[0]["from"] >= victim.checkpoint, victim
        for victim in self.undisturbed:
            assert len(self.sweep.attempts(victim.stage)) == victim.attempts, victim

    def _stop_one(self) -> Victim:
        """A stage that trains and has a checkpoint, its ranks stopped where they are."""
        return wait_for(self._try_to_stop_one, "a stage in training with a checkpoint")

    def _try_to_stop_one(self) -> Victim | None:
        known = {victim.stage for victim in self.interrupted + self.undisturbed}
        running = self.cluster.jobs("running")
        for stage, folder in self.sweep.stages.items():
            if stage in known or folder.done.exists() or newest_checkpoint(folder) is None:
                continue
            job = self.sweep.job_of(stage)
            if job not in running or len(self.cluster.ranks(job)) != 2:
                continue
            self.cluster.send(job, signal.SIGSTOP)
            attempts = self.sweep.attempts(stage)
            checkpoint = newest_checkpoint(folder)
            restarts = int(self.cluster.job_field(job, "Restarts") or 0)
            trains = bool(attempts) and not attempts[-1]["end"] and attempts[-1]["to"] < attempts[-1]["of"]
            # It may have ended before it was stopped, or, after another disturbance, not train again yet.
            if trains and checkpoint is not None and len(self.cluster.ranks(job)) == 2:
                return Victim(stage, job, restarts, checkpoint, len(attempts), next_attempt(folder))
            self.cluster.send(job, signal.SIGCONT)
        return None

    def _await_restart(self, victim: Victim) -> None:
        if victim not in self.interrupted:
            self.interrupted.append(victim)
        wait_for(lambda: self._restarted(victim), f"the restart of {victim}")

    def _restarted(self, victim: Victim) -> bool:
        """By SLURM's word, which comes first and is soon forgotten, or by the stage's."""
        requeued = int(self.cluster.job_field(victim.job, "Restarts") or 0) > victim.restarts
        return requeued or next_attempt(self.sweep.stages[victim.stage]) > victim.next_attempt
