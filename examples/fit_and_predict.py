"""Fit a model on a table of logged behaviour, look at its test metrics, save it, and score new rows."""

from pathlib import Path
from tempfile import TemporaryDirectory

from automtl import AutoMTL, Predictor, synthetic_log

QUICK = {
    "search": {"trainings": 2},
    "training": {"epochs": 2},
    "ensemble": False,
}


def main() -> None:
    """Fit on 2,000 rows with two of the four tasks."""
    table = synthetic_log(2000, users=60, items=40).drop("like", "cart")
    model = AutoMTL(tasks=["click", "buy"], settings=QUICK, seed=0).fit(table)
    for task, metrics in model.metrics_["test"]["tasks"].items():
        print(f"{task}: test AUC {metrics['auc']:.3f}")

    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "clicks")
        predictor = Predictor.load(Path(folder) / "clicks")
        print(predictor.predict(table.drop("click", "buy").head(5)))


if __name__ == "__main__":
    main()
