"""Search with an operation of one's own among the candidates: examples/my_package/operation.py, named by its path."""

from automtl import AutoMTL, synthetic_log
from automtl.testing import OPERATION_LAWS
from my_package.operation import GatedMLP

SETTINGS = {
    "space": {"expert_layers": ["skip", "mlp-16", "my_package.operation:GatedMLP-16"]},
    "strategy": "progressive",
    "search": {"max_steps": 20, "batch_size": 128},
    "training": {"epochs": 2},
    "ensemble": False,
}


def main() -> None:
    """Hold the operation to the laws that ours obey, then let a search choose from it."""
    for law in OPERATION_LAWS:
        law(GatedMLP(16))
    table = synthetic_log(2000, users=60, items=40).drop("like", "cart")
    model = AutoMTL(tasks=["click", "buy"], settings=SETTINGS, seed=0).fit(table)
    architecture = model.predictor_.spec.architecture
    assert architecture is not None
    print(architecture.draw(("click", "buy")))


if __name__ == "__main__":
    main()
