"""What the command line says of faults that no command expects."""

from __future__ import annotations

import sys

import pytest

from automtl.cli.app import main

REFUSED = PermissionError(13, "Permission denied", "rows.parquet")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (REFUSED, "error: 'rows.parquet' cannot be read or written: Permission denied; see to it"),
        (MemoryError("64 GiB"), "error: memory does not suffice; set training.batch_size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "error: memory does not suffice"),
    ],
)
def test_a_fault_of_the_machine_is_one_line_and_code_2(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing() -> None:
        raise error

    monkeypatch.setattr(sys.modules["automtl.cli.app"], "app", failing)
    with pytest.raises(SystemExit) as end:
        main()
    found = capsys.readouterr().err
    assert end.value.code == 2 and found.startswith(said) and found.count("\n") == 1


def test_a_mistake_of_ours_is_no_fault_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(sys.modules["automtl.cli.app"], "app", failing)
    with pytest.raises(RuntimeError, match="shapes"):
        main()
