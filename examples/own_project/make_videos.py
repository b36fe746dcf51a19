"""Own data: videos and the CSV file that lists them; here made up, in your project they are there already."""

import csv
from pathlib import Path

import numpy as np

from mvcgc.video import encode

DATA = Path(__file__).parent / "data"
SPLITS = ("train",) * 6 + ("val",) + ("test",) * 2

DATA.mkdir(exist_ok=True)
with (DATA / "videos.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["path", "label", "split", "group"])
    for label, step in (("left", -2), ("right", 2)):
        for number, split in enumerate(SPLITS):
            rng = np.random.default_rng([number, step + 2])
            texture = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8).repeat(2, axis=0)[:64]
            name = f"{label}_{number:02d}.avi"
            encode(
                DATA / name,
                [np.roll(texture, step * time, axis=1) for time in range(20)],
                codec="mpeg4",
                gop=10,
            )
            table.writerow([name, label, split, name])
