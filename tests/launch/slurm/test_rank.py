"""The place of a rank, from SLURM's variables."""

import pytest

from mvcgc.errors import UserError
from mvcgc.launch.slurm.rank import PORTS, place

STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_PROCID": "3",
    "SLURM_NTASKS": "4",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_NODELIST": "localhost,node[2-3]",
}


class TestPlace:
    @pytest.fixture(autouse=True)
    def _within_a_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLURM_JOB_NODELIST", STEP["SLURM_JOB_NODELIST"])

    def test_comes_from_slurms_variables(self) -> None:
        found = place(STEP)
        assert {key: found[key] for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")} == {
            "RANK": "3",
            "WORLD_SIZE": "4",
            "LOCAL_RANK": "1",
            "MASTER_ADDR": "localhost",
        }
        assert int(found["MASTER_PORT"]) in PORTS

    def test_a_restart_gets_another_port(self) -> None:
        assert place(STEP)["MASTER_PORT"] != place({**STEP, "SLURM_RESTART_COUNT": "1"})["MASTER_PORT"]

    def test_a_rank_with_a_gpu_of_its_own_sees_no_other(self) -> None:
        assert place({**STEP, "SLURM_GPUS_PER_TASK": "1"})["LOCAL_RANK"] == "0"

    def test_a_node_whose_name_does_not_resolve_is_met_by_its_address(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLURM_JOB_NODELIST", "no-such-host.invalid")
        assert place({**STEP, "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"})["MASTER_ADDR"] == "10.0.0.7"

    def test_is_refused_outside_a_step(self) -> None:
        with pytest.raises(UserError, match="SLURM_PROCID is not set"):
            place({"SLURM_JOB_ID": "1", "SLURM_LOCALID": "0"})
