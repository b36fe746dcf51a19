"""How far a running stage is, in words. Imports nothing heavy: commands on login nodes print it."""

from mvcgc.runs.journal import Progress


def describe(progress: Progress) -> str:
    """Return step, loss, speed and remaining time in one line."""
    return f"{progress.unit} {progress.step}/{progress.total_steps} {figures(progress)}".rstrip()


def figures(progress: Progress) -> str:
    """Return loss, speed and remaining time, each if known."""
    shown = []
    if "loss" in progress.metrics:
        shown.append(f"loss {progress.metrics['loss']:.4g}")
    if "clips_per_s" in progress.metrics:
        shown.append(f"{progress.metrics['clips_per_s']:.3g} clips/s")
    left = seconds_left(progress)
    if left is not None:
        shown.append(f"{duration(left)} left")
    return ", ".join(shown)


def seconds_left(progress: Progress) -> float | None:
    """Estimate the remaining time from the speed of this attempt; None before its first step."""
    steps, elapsed_ms = progress.step - progress.from_step, progress.ts_ms - progress.begin_ms
    if steps <= 0 or elapsed_ms <= 0:
        return None
    return (progress.total_steps - progress.step) * elapsed_ms / steps / 1000


def duration(seconds: float) -> str:
    """Format a duration for people: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
