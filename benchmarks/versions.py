"""Two checkouts of this repository against each other: processor time of the same work, in turns, a process each.

    python benchmarks/versions.py OLD_CHECKOUT NEW_CHECKOUT [--rounds 12]

Work: an epoch of the narrow and of the wide model of `train.py`; a step of `supernet_step.py` in its default and in
full precision; 400,000 rows of the table of `encode.py`, fitted and encoded with every value known and no bins and with
the defaults (without target encoding), prepared from Parquet, and read as CSV. Printed: new over old, the median of the
rounds; smaller is better for the new one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

WORK = (
    "narrow", "wide", "supernet", "supernet, full",
    "fit", "encode", "fit, defaults", "encode, defaults", "prepare", "CSV",
)  # fmt: skip
WORKER = """
import sys, tempfile, time, types, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[1] + "/benchmarks")
import torch
torch.set_num_threads(1)
torch.set_flush_denormal(True)
import encode, train, supernet_step
from automtl.experiment.prepare import prepare_table
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.schema import Schema
from automtl.tables.table import read_table
try:
    from automtl.system.memory import keep_freed_memory
    keeping = keep_freed_memory()  # a context that nothing refers to would end at once
    keeping.__enter__()
except ImportError:  # before the rooms of decision 0021, the switch stayed on
    from automtl.memory import keep_freed_memory
    keep_freed_memory()
models = {name: train.Ours(train.MODELS[name], rows) for name, rows in (("narrow", 65536), ("wide", 16384))}
wide, batch = supernet_step.made(types.SimpleNamespace(rows=512, fields=3, dim=64, rounds=1))
loss = supernet_step.MultiTaskLoss(supernet_step.TASKS)
step = lambda numbers: supernet_step.step(wide, batch, loss, numbers)
work = {name: model.epoch for name, model in models.items()}
work |= {"supernet": lambda: step("auto"), "supernet, full": lambda: step("full")}
warnings.simplefilter("ignore")
table, folder = encode.make_table(400_000), tempfile.TemporaryDirectory()
fields = [{"name": name, "kind": "categorical"} for name in encode.IDS]
fields += [{"name": name, "kind": "numeric"} for name in encode.NUMBERS]
schema = Schema.from_dict({"fields": fields, "tasks": [{"name": name} for name in encode.LABELS]})
files = [str(Path(folder.name) / name) for name in ("log.parquet", "log.csv", "prepared")]
table.write_parquet(files[0]), table.write_csv(files[1])
plain, usual = EncoderSettings(target_encoding=False, min_count=1, bins=0), EncoderSettings(target_encoding=False)
for end, settings in (("", plain), (", defaults", usual)):
    encoder = Encoder.fit(table, schema, settings, 0)[0]
    work["fit" + end] = lambda settings=settings: Encoder.fit(table, schema, settings, 0)
    work["encode" + end] = lambda encoder=encoder: encoder.encode(table)
work["prepare"] = lambda: prepare_table(files[0], schema=schema, out=files[2], overwrite=True)
work["CSV"] = lambda: read_table(files[1])
print("ready", flush=True)
for line in sys.stdin:
    start = time.process_time()
    work[line.strip()]()
    print(time.process_time() - start, flush=True)
"""


class Version:
    """The process of one checkout."""

    def __init__(self, checkout: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(checkout)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self._answer() == "ready"

    def seconds(self, work: str) -> float:
        """Do the work once; return its processor seconds."""
        assert self.process.stdin is not None
        print(work, file=self.process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def main() -> None:
    """Print a line for each kind of work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--work", choices=WORK, action="append", help="only this; may be repeated")
    chosen = parser.parse_args()
    old, new = Version(chosen.old.resolve()), Version(chosen.new.resolve())
    for work in chosen.work or WORK:
        old.seconds(work), new.seconds(work)  # warm
        pairs = [(old.seconds(work), new.seconds(work)) for _ in range(chosen.rounds)]
        ratios = sorted(after / before for before, after in pairs)
        print(f"{work:17} {statistics.median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)


if __name__ == "__main__":
    main()
