"""Search with settings of one's own, and with a strategy of one's own: examples/my_package/strategy.py."""

from automtl import AutoMTL, synthetic_log

QUICK: dict[str, object] = {"training": {"epochs": 2}, "ensemble": False}
SEARCHES: dict[str, dict[str, object]] = {
    "default strategy, 2 trainings": {"search": {"trainings": 2}},
    "own strategy": {"strategy": "my_package.strategy:Cheapest", "search": {"draws": 10}},
}


def main() -> None:
    """Fit one table by both searches, and print what each model needs and reaches."""
    table = synthetic_log(2000, users=60, items=40).drop("like", "cart")
    for name, settings in SEARCHES.items():
        model = AutoMTL(tasks=["click", "buy"], settings=QUICK | settings, seed=0).fit(table)
        loss, parameters = model.metrics_["test"]["mtl_loss"], model.metrics_["parameters"]
        print(f"{name}: test MTL-Loss {loss:.3f}, {parameters:,} parameters")


if __name__ == "__main__":
    main()
