"""The batch script of a stage: what sbatch and srun are told, and what runs around the ranks."""

import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf
from plan_factories import make_graph, make_row

from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.launch.slurm.batch_script import batch_script, job_name, resized
from mvcgc.launch.slurm.config import UNUSED, SlurmConfig
from mvcgc.plan import Resources, Stage, runtime_of
from mvcgc.stages.spec import Runtime

GOLDEN = Path(__file__).with_name("batch_script.sh")


def stage_with(**runtime: object) -> Stage:
    row = make_row(resources=Resources(init=Runtime(**runtime)))  # type: ignore[arg-type]
    return next(iter(make_graph([row]).stages.values()))


def flags(script: str) -> dict[str, str]:
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script, re.MULTILINE)
    return {name: value.strip("'") for name, value in found}


def srun(script: str) -> str:
    return next(line for line in script.splitlines() if line.startswith("srun "))


class TestSizes:
    def test_are_the_stages_own(self, tmp_path: Path) -> None:
        stage = stage_with(ranks=2, nodes=1, cpus=3, gpus=1, device=Device.cuda, mem_gb=1.5, timeout_min=90)
        asked = flags(batch_script(stage, SlurmConfig(), tmp_path).text)
        expected = {
            "nodes": "1",
            "ntasks-per-node": "2",
            "cpus-per-task": "3",
            "gpus-per-node": "2",
            "mem": "1536MB",
            "time": "90",
        }
        assert {key: asked[key] for key in expected} == expected

    def test_what_nobody_says_is_left_to_the_cluster(self, tmp_path: Path) -> None:
        asked = flags(batch_script(stage_with(), SlurmConfig(), tmp_path).text)
        assert asked.keys().isdisjoint({"time", "mem", "gpus-per-node", "partition", "wckey", "dependency"})

    def test_given_ones_hold_for_all_stages(self) -> None:
        """Kinds that the resources do not name, too."""
        row = make_row(resources=Resources(init=Runtime(cpus=3)))
        (larger,) = resized([row], SlurmConfig(nodes=2, tasks_per_node=4))
        runtimes = {kind: runtime_of(larger.resources, kind) for kind in row.experiment.kinds}
        assert {(runtime.nodes, runtime.ranks) for runtime in runtimes.values()} == {(2, 8)}
        assert (runtimes["init"].cpus, runtimes["cross"].cpus) == (3, 1)

    def test_that_do_not_divide_are_refused(self) -> None:
        with pytest.raises(UserError, match=r"hydra\.launcher\.nodes=2: resources\.init\.ranks=1"):
            resized([make_row()], SlurmConfig(nodes=2))
        with pytest.raises(UserError, match=r"runtime\.ranks=3 does not spread evenly over runtime\.nodes=2"):
            Runtime(ranks=3, nodes=2)


def test_the_stock_launchers_keys_reach_sbatch(tmp_path: Path) -> None:
    settings = SlurmConfig(
        partition="long",
        account="lab",
        qos="high",
        constraint="a100",
        exclude="bad1",
        comment="mine",
        timeout_min=7,
        mem_gb=2.0,
        gpus_per_node=1,
        cpus_per_task=5,
        signal_delay_s=33,
        wckey="w",
        additional_parameters={"mail-user": "me@lab", "reservation": "r1"},
        setup=["module load cuda"],
        srun_args=["--cpu-bind=none"],
    )
    script = batch_script(stage_with(), settings, tmp_path).text
    expected = {
        "partition": "long",
        "account": "lab",
        "qos": "high",
        "constraint": "a100",
        "exclude": "bad1",
        "comment": "mine",
        "time": "7",
        "mem": "2048MB",
        "gpus-per-node": "1",
        "cpus-per-task": "5",
        "signal": "USR2@33",
        "wckey": "w",
        "mail-user": "me@lab",
        "reservation": "r1",
    }
    asked = flags(script)
    assert {key: asked[key] for key in expected} == expected
    assert "--cpu-bind=none" in srun(script)
    # What a user loads, our own lines need.
    assert script.index("module load cuda") < script.index("mvcgc.launch.slurm.job_hooks")


OF_ALL_STAGES = ("nodes", "tasks_per_node")  # they change the rows: see TestSizes
INHERITED = {part.name for part in dataclasses.fields(SlurmQueueConf) if part.name != "_target_"}
TEXTS = {part.name for part in dataclasses.fields(SlurmConfig) if "str" in str(part.type)}
VALUES = {
    "setup": ["module load cuda"],
    "srun_args": ["--x"],
    "additional_parameters": {"nice": 1},
    "stderr_to_stdout": True,
    "mem_gb": 7.0,
}


@pytest.mark.parametrize("key", sorted(INHERITED - {*UNUSED, *OF_ALL_STAGES}))
def test_no_key_of_the_stock_launcher_is_ignored_in_silence(key: str, tmp_path: Path) -> None:
    """A new version of it may have new keys, which our configuration inherits."""
    before, after = (
        batch_script(stage_with(), SlurmConfig(**values), tmp_path).text
        for values in ({}, {key: VALUES.get(key, "7" if key in TEXTS else 7)})
    )
    assert before != after


def test_the_whole_script(tmp_path: Path) -> None:
    """Matches a file in full, so that no line changes unnoticed."""
    stage = stage_with(ranks=2, nodes=2, cpus=3, gpus=1, device=Device.cuda, mem_gb=1.5, timeout_min=90)
    settings = SlurmConfig(
        partition="long", setup=["module load cuda"], srun_args=["--cpu-bind=none"], max_num_timeout=4
    )
    script = batch_script(stage, settings, tmp_path / "a b", ["11", "12"], code=Path("/copy of/it"))
    folder, python = str(stage.folder(tmp_path / "a b").path), shlex.quote(sys.executable)
    text = script.text.replace(folder, "{folder}").replace(python, "{python}").replace(script.name, "{name}")
    assert text == GOLDEN.read_text()


def test_additional_parameters_win(tmp_path: Path) -> None:
    additional = {"requeue": False, "open_mode": "truncate", "comment": None, "exclusive": True, "nice": 5}
    script = batch_script(stage_with(), SlurmConfig(comment="c", additional_parameters=additional), tmp_path)
    asked = flags(script.text)
    assert asked.keys().isdisjoint({"requeue", "comment"})
    assert (asked["open-mode"], asked["exclusive"], asked["nice"]) == ("truncate", "", "5")


def test_one_stream_for_output_and_errors(tmp_path: Path) -> None:
    script = batch_script(stage_with(), SlurmConfig(stderr_to_stdout=True), tmp_path).text
    assert "error" not in flags(script)
    assert "--error" not in srun(script)


def test_a_dead_rank_and_a_failed_parent_end_a_job(tmp_path: Path) -> None:
    script = batch_script(stage_with(cpus=2), SlurmConfig(), tmp_path, after=["11", "12"]).text
    asked = flags(script)
    assert asked["dependency"] == "afterok:11:12"
    assert asked["kill-on-invalid-dep"] == "yes"
    assert asked["open-mode"] == "append"
    assert "requeue" in asked
    assert {"--kill-on-bad-exit=1", "--wait=60", "--cpus-per-task=2"} <= set(srun(script).split())


def test_is_the_same_each_time_and_touches_nothing(tmp_path: Path) -> None:
    stage = stage_with()
    one, two = (batch_script(stage, SlurmConfig(), tmp_path) for _ in range(2))
    assert one == two
    assert one.name == job_name(stage.name, stage.fingerprint, tmp_path) == flags(one.text)["job-name"]
    assert re.fullmatch(rf"mvcgc-[0-9a-f]{{8}}-init\.rgb-{stage.fingerprint}", one.name)
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_comes_before_all_other_code(tmp_path: Path) -> None:
    script = batch_script(stage_with(), SlurmConfig(snapshot=True), tmp_path, code=Path("/copy of/it")).text
    assert "export PYTHONSAFEPATH=1 PYTHONPATH='/copy of/it'" in script.splitlines()


def test_bash_reads_it_and_ends_with_our_last_word(tmp_path: Path) -> None:
    root = tmp_path / "a root's folder"
    found = batch_script(stage_with(), SlurmConfig(), root)
    found.folder.mkdir(parents=True)
    script = found.text.replace(" -m mvcgc.launch.slurm.", " /told ").splitlines()
    for name, body in (
        ("python", '[ "$2 $3" = "/told job_hooks" ] && [ "$4" = begin ] && echo 7; echo "$@" >&2'),
        ("srun", "exit 5"),
    ):
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    text = "\n".join(script).replace(sys.executable, str(tmp_path / "python"))
    ended = subprocess.run(
        ["bash", "-c", text],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0  # that of the last word, which is the stand-in's
    said = (found.folder / "7.log").read_text().splitlines()
    assert said == [f"-u /told job_hooks end {found.folder.parent} 5 --max-retries=3"]
