"""Compare two models under equal conditions. Processes are started anew, hence the guard at the end."""

from tempfile import TemporaryDirectory

from automtl import ComparisonSettings, compare_table, synthetic_log
from automtl.config import make_settings


def main() -> None:
    """Train MMoE and Shared-Bottom with two seeds each, without tuning."""
    table = synthetic_log(2000, users=60, items=40).drop("like", "cart")
    quick = make_settings({"training": {"epochs": 2}, "presets": [{"name": "default inputs"}]})
    settings = ComparisonSettings(settings=quick, seeds=2, trials=1, jobs=2)
    with TemporaryDirectory() as folder:
        found = compare_table(
            table, ["click", "buy"], models=["mmoe", "shared-bottom"], settings=settings, out=f"{folder}/comparison"
        )
    print(found["sentence"])


if __name__ == "__main__":
    main()
