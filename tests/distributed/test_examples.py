"""The examples for Kubernetes and Slurm are well formed, and give commands that there are."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.test_docs import _unknown

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"


def test_the_job_for_kubernetes_has_a_worker_for_each_pod() -> None:
    spec = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())["spec"]
    words = shlex.split(spec["entrypoint"])
    assert words[0] == "automtl" and _unknown(words[1:]) is None
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert int(words[words.index("--workers") + 1]) == group["replicas"] == group["maxReplicas"]
    for template in (group["template"], spec["rayClusterSpec"]["headGroupSpec"]["template"]):
        (container,), (volume,) = template["spec"]["containers"], template["spec"]["volumes"]
        assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]]


@pytest.mark.parametrize("name", ["torchrun.sbatch", "ray.sbatch"])
def test_scripts_for_slurm_are_well_formed(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    (line,) = [one for one in text.replace("\\\n", " ").splitlines() if one.startswith("srun")]
    words = shlex.split(line)
    assert _unknown(words[words.index("automtl") + 1 :]) is None
