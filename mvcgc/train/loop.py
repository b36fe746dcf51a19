"""The training loop of every stage that trains. It reads from top to bottom."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from mvcgc import dist
from mvcgc.errors import UserError
from mvcgc.phases import phase
from mvcgc.train import rng
from mvcgc.train.optim import OptimConfig, ScheduleKind, forget, step_unless
from mvcgc.train.parallel import alone
from mvcgc.train.progress import ProgressLine
from mvcgc.train.session import Session
from mvcgc.train.signals import Interrupted
from mvcgc.train.state import TrainState
from mvcgc.train.task import Loader, Task, Validated


def total_steps(loader: Loader, config: OptimConfig) -> int:
    """Optimiser steps of the whole training; what an epoch leaves after its last whole step is dropped."""
    return config.epochs * (len(loader) // config.accumulate)


def fit(
    task: Task,
    loader: Loader,
    config: OptimConfig,
    session: Session,
    validate: Callable[[], Validated] | None = None,
) -> dict[str, float]:
    """Train ``task`` to the end, going on from the newest checkpoint, and return the last epoch's means.

    ``loader`` gives this rank's micro-batches, of ``config.micro_batch(world)`` samples each. ``validate``
    is called after each epoch by all ranks, in evaluation mode without gradients, and returns the same on
    each; the last epoch's metrics of it are returned, too. Raises Interrupted once a stop signal has been
    seen and a checkpoint written; NotFinite; UserError.
    """
    total = total_steps(loader, config)
    if total == 0:
        raise UserError(
            f"optim.batch_size={config.batch_size} is larger than the dataset: choose a smaller one"
        )
    if config.schedule is ScheduleKind.plateau and validate is None:
        raise UserError(
            "optim.schedule=plateau needs a validation part and there is none: use cosine or constant"
        )
    state = TrainState.build(task, config, total // config.epochs, session.dist.device)
    rng.reseed(session.seed * dist.world() + dist.rank())
    if state.restore(session.checkpoints):
        session.journal.resume(state.step)
    with ProgressLine(session.name, total, state.step, session.dist.is_main) as progress:
        while state.step < total:
            epoch, position = divmod(state.step, state.steps_per_epoch)
            task.train()
            task.start_epoch(epoch, position)
            if position == 0:
                state.epoch.reset()
                if epoch in task.turns:
                    forget(state.optimizer)
            batches = loader.epoch(epoch, position)
            while state.step < (epoch + 1) * state.steps_per_epoch:
                stop, save = step(state, batches, config, session)
                progress.advance(state.step)
                log = state.step % session.log_every == 0 or state.step == total
                if log or stop or save or state.epoch_complete:
                    state.check()
                if log:
                    figures = state.report(state.interval)
                    session.journal.metrics(state.step, figures)
                    progress.report(state.step, figures)
                    state.interval.reset()
                if state.epoch_complete and validate is not None:
                    state.validated = _validate(state, config, validate)
                    session.journal.metrics(state.step, state.validated)
                if stop or save or state.step == total:
                    session.journal.flush()
                    state.save(session.checkpoints)
                    session.checkpoint_saved()
                if stop:
                    raise Interrupted(f"{session.stop.reason}: checkpoint after step {state.step}")
    return {**state.report(state.epoch), **state.validated}


def step(
    state: TrainState, batches: Iterator[Any], config: OptimConfig, session: Session
) -> tuple[bool, bool]:
    """One step of the optimiser; whether any rank wants to stop, and whether any wants a checkpoint."""
    started, waited, clips = time.perf_counter(), 0.0, 0
    losses: list[Tensor] = []
    names: list[Sequence[str]] = []
    state.schedule.apply(state.optimizer, state.step)
    for micro in range(config.accumulate):
        waiting = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - waiting
        # Only the last micro-batch's backward pass exchanges gradients.
        last = micro + 1 == config.accumulate
        with nullcontext() if last else alone(state.net), state.statistics.combined():
            with phase("copy"):
                here = batch.to(state.device)
            with phase("forward"), config.amp.on(state.device):
                loss, figures = state.net(here)
            with phase("backward"):
                state.scaler.scale(loss / config.accumulate).backward()
        losses.append(loss.detach())
        names.append(batch.names)
        clips += batch.clips
        state.count({"loss": losses[-1], **figures})
    with phase("flags"):
        # Gradients are the same on all ranks, losses are not: an infinite one may have finite gradients.
        finite_losses = dist.all_true(torch.stack(losses).isfinite().all())
    with phase("optimiser"):
        state.scaler.unscale_(state.optimizer)
        norm = nn.utils.get_total_norm([p.grad for p in state.task.parameters() if p.grad is not None])
        finite = finite_losses & norm.isfinite()
        # Without any gradient, as with an empty queue, Adam would blow weight decay up to steps of full size.
        step_unless(state.optimizer, ~(finite & (norm > 0)))
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    # With a scaler an overflowing gradient is no more than a step left out; without it is the end.
    sound = finite_losses if state.scaler.is_enabled() else finite
    state.lookout.add(state.step, losses, names, sound)
    with phase("flags"):
        flags = [
            state.lookout.broken(newest=False),
            session.stop.raised,
            session.checkpoint_due(state.epoch_complete),
        ]
        broken, stop, save = dist.any_flags(flags)
    if broken:
        raise state.lookout.failure()
    with phase("queue"):
        state.task.finish_step()
    state.count({"grad_norm": torch.where(norm.isfinite(), norm, torch.nan)})
    state.count({"seconds": time.perf_counter() - started, "wait": waited, "clips": float(clips)})
    return stop, save


def _validate(state: TrainState, config: OptimConfig, validate: Callable[[], Validated]) -> dict[str, float]:
    state.task.eval()
    with torch.no_grad(), config.amp.on(state.device):
        found = validate()
    state.task.train()
    epoch = state.step // state.steps_per_epoch - 1
    state.schedule.epoch_done(epoch, found.metrics["val_loss"], found.counts)
    return dict(found.metrics)
