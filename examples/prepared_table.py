"""Encode a table in parts once, in bounded memory, and train two models on the folder."""

from pathlib import Path
from tempfile import TemporaryDirectory

from automtl import fit_table, prepare_table, synthetic_log
from automtl.config import make_settings

QUICK = {"training": {"epochs": 2}, "presets": [{"name": "default inputs"}]}


def main() -> None:
    """Prepare 3,000 rows that lie in three files, then fit MMoE and PLE on the same encoded rows."""
    with TemporaryDirectory() as place:
        log, prepared = Path(place) / "log", Path(place) / "prepared"
        log.mkdir()
        table = synthetic_log(3000, users=60, items=40)
        for number, part in enumerate(table.iter_slices(1000)):
            part.write_parquet(log / f"part-{number}.parquet")

        folder = prepare_table(str(log), ["click", "like", "buy", "cart"], out=prepared, seed=0)
        print(f"encoded rows: {folder.num_rows}")

        for model in ("mmoe", "ple"):
            run = fit_table(str(prepared), settings=make_settings(QUICK | {"model": model}), seed=0)
            print(f"{model}: test AUC of buy {run.metrics['test']['tasks']['buy']['auc']:.3f}")


if __name__ == "__main__":
    main()
