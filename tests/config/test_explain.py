"""Every mistake in the configuration is one line that names the key, the value and the remedy."""

import re

import pytest
from hydra.errors import ConfigCompositionException

from mvcgc.config import Composer
from mvcgc.config.explain import as_user_error
from mvcgc.errors import UserError

LINES = [
    ("metod.k=3", "there is no key metod.k: did you mean method.k?"),
    ("metod=cmc", "there is no key metod: did you mean method?"),
    ("cross.epoch=3", "there is no key cross.epoch: did you mean cross.epochs?"),
    (
        "downstream.linear.learning_rate=3",
        "there is no key downstream.linear.learning_rate: downstream.linear has downstream.linear.kind, ",
    ),
    ("downstream.linear.lrr=3", "there is no key downstream.linear.lrr: did you mean downstream.linear.lr?"),
    ("downstream.draws=3", "there is no key downstream.draws: did you mean downstream.linear.draws?"),
    ("downstream.linear.draws=0", "downstream.linear.draws=0: give a number of clips per video"),
    ("downstream.finetune.dropout=1", "downstream.finetune.dropout=1.0: give a probability from 0"),
    ("downstream.linear=3", "downstream.linear=3: downstream.linear is a group of keys; set one of"),
    ("downstream.linear=null", "downstream.linear=null: downstream.linear is a group of keys; set one of"),
    ("downstream.lin.lr=3", "there is no key downstream.lin.lr: did you mean downstream.linear.lr?"),
    ("downstream.activation.videos=0", "downstream.activation.videos=0: look at one video at least"),
    ("downstream.efficiency.videos=0", "downstream.efficiency.videos=0: measure one video at least"),
    ("resources.liner.workers=2", "there is no key resources.liner.workers: did you mean resources.linear."),
    ("resources.linear.wokers=2", "there is no key resources.linear.wokers: did you mean resources.linear."),
    ("resources.linear=2", "resources.linear=2: resources.linear is a group of keys; set one of resources."),
    ("queue=64", "there is no key queue: did you mean method.queue?"),
    ("xyzzy=1", "there is no key xyzzy: see python -m mvcgc.run --cfg job for all keys"),
    ("method=mvcg", "method=mvcg: choose one of mvcgc, "),
    ("scale=ucf102", "scale=ucf102: choose one of ucf101, "),
    ("sweeps=ablation_los", "sweeps=ablation_los: choose one of ablation_loss, ablation_k, "),
    ("hydra/launcher=locla", "hydra/launcher=locla: choose one of local, plan"),
    ("method=3", "method=3: choose one of "),
    ("views=[rgb,mw]", "views=mw: choose one of mv, "),
    ("method=[cmc,mvcgc]", "method=[cmc,mvcgc]: choose one of "),
    ("method.mining=inter", "method.mining=inter: choose one of intersection, union"),
    ("init.amp=bf32", "init.amp=bf32: choose one of bf16, "),
    ("dataset=ucf", "dataset=ucf: choose one of ucf101, "),
    ("dataset.trian=9", "there is no key dataset.trian: did you mean dataset.train?"),
    ("dataset.classes=two", "dataset.classes=two: must be a whole number"),
    ("dataset.classes=1", "dataset.classes=1: give 2 to 8"),
    ("downstream.datasets.x.root=a", "there is no key downstream.datasets.x.root: "),
    (
        "downstream.datasets={x: 3}",
        "downstream.datasets={x: 3}: downstream.datasets is a group of keys; ",
    ),
    ("method.k=five", "method.k=five: must be a whole number"),
    ("cross.lr=fast", "cross.lr=fast: must be a number"),
    ("method.init=maybe", "method.init=maybe: must be true or false"),
    ("downstream.tasks=linear", "downstream.tasks=linear: must be a list, written [a,b]"),
    ("downstream.tasks=[linea]", "downstream.tasks=[linea]: no task linea; choose from linear, finetune, "),
    (
        "downstream.tasks=[activation,retrieve]",
        "downstream.tasks=[activation,retrieve]: activation reads what linear has trained, add linear",
    ),
    ("downstream.tasks=[linear,linear]", "downstream.tasks=[linear,linear]: name each task once"),
    ("cross=3", "cross=3: cross is a group of keys; set one of cross.kind, cross.lr, "),
    ("method.k.x=3", "there is no key method.k.x: method=mvcgc has method.tau, method.queue, "),
    ("method.kk=3", "there is no key method.kk: did you mean method.k?"),
    ("method.cycles=3", "there is no key method.cycles: method=mvcgc has method.tau, method.queue, "),
    ("method.k=1,2", "method.k=1,2: one value is wanted here; several runs take -m, a list is written [a,b]"),
    ("+method.q=1", "+method.q=1: keys can neither be added nor removed; write it without +"),
    ("~method.k", "~method.k: keys can neither be added nor removed; write it without ~"),
    ("method.k", "method.k: is not key=value"),
    ("a=b=c=", "a=b=c=: is not key=value"),
    # What the components themselves refuse, by the key that was typed.
    ("cross.epochs=0", "cross.epochs=0 must be at least 1"),
    ("cross.warmup_epochs=999", "cross.warmup_epochs=999.0 is more than cross.epochs="),
    ("downstream.linear.lr=-1", "downstream.linear.lr=-1.0 must be a positive number"),
    ("downstream.test.crops=3", "downstream.test.crops=3: use 1 (the centre) or 10"),
    ("resources.finetune.ranks=0", "resources.finetune.ranks=0 must be at least 1"),
    ("method.tau=0", "method.tau=0.0: give a temperature above 0"),
    ("tracking.experiment=a/b", "tracking.experiment='a/b': use letters"),
]


@pytest.mark.parametrize(("override", "line"), LINES, ids=[override for override, _ in LINES])
def test_line(composed: Composer, override: str, line: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(line)}") as raised:
        composed.compose([override])
    assert "\n" not in str(raised.value)


def test_a_method_takes_its_own_keys_only(composed: Composer) -> None:
    line = "there is no key method.k: method=cmc has method.tau, method.queue, method.momentum, "
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        composed.compose(["method=cmc", "method.k=1"])
    with pytest.raises(UserError, match=re.escape("no key method.cycle: did you mean method.cycles?")):
        composed.compose(["method=coclr", "method.cycle=2"])


HMDB51 = "downstream.datasets.hmdb51"
DATASET_LINES = [
    (f"{HMDB51}.splt=2", f"there is no key {HMDB51}.splt: did you mean {HMDB51}.split?"),
    (f"{HMDB51}.split=4", f"{HMDB51}.split=4: the official splits are 1, 2 and 3"),
    (f"{HMDB51}.split=one", f"{HMDB51}.split=one: must be a whole number"),
    (f"{HMDB51}.train=9", f"there is no key {HMDB51}.train: "),
    (f"{HMDB51}=3", f"{HMDB51}=3: {HMDB51} is a group of keys; set one of {HMDB51}.name, {HMDB51}.root, "),
    ("downstream.datasets.kth.root=a", "there is no key downstream.datasets.kth.root: did you mean"),
    ("downstream.datasets.kth=3", "there is no key downstream.datasets.kth: "),
]


@pytest.mark.parametrize(("override", "line"), DATASET_LINES, ids=[override for override, _ in DATASET_LINES])
def test_line_of_a_dataset_that_is_tested_on(composed: Composer, override: str, line: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(line)}") as raised:
        composed.compose(["downstream=ucf101_hmdb51", override])
    assert "\n" not in str(raised.value)


def test_what_does_not_go_together(composed: Composer) -> None:
    config = composed.compose(["downstream.views=[flow]"])
    with pytest.raises(UserError, match=re.escape("downstream.views=[flow]: flow is not trained")):
        config.experiment  # noqa: B018 - a property that checks


def test_a_number_for_a_group_as_hydra_itself_tells_it() -> None:
    error = as_user_error(
        ConfigCompositionException("Config group override must be a string or a list. Got int")
    )
    assert str(error) == "a group takes the name of one of its options, as in method=mvcgc, and no number"
