"""Linear maps whose members share one matrix."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from automtl.nn.batch_ensemble import BatchEnsembleLinear


def test_members_scale_inputs_and_outputs_of_one_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    part, x = BatchEnsembleLinear(3, 5, 4, generator, signs=True), torch.randn(3, 7, 5, generator=generator)
    with torch.no_grad():
        part.scale_out.normal_(generator=generator)
        part.bias.normal_(generator=generator)
    expected = [
        ((own * part.scale_in[k, :, 0]) @ part.weight) * part.scale_out[k] + part.bias[k] for k, own in enumerate(x)
    ]
    assert_close(part(x), torch.stack(expected))
    assert_close(part(x[0], activate=True)[0], expected[0].relu())


def test_members_start_with_signs_of_their_own_or_alike() -> None:
    signs, alike = (BatchEnsembleLinear(8, 20, 4, torch.Generator(), signs=signs) for signs in (True, False))
    assert set(signs.scale_in.flatten().tolist()) == {-1.0, 1.0}
    assert len(signs.scale_in.flatten(1).unique(dim=0)) == 8
    assert (alike.scale_in == 1).all()
