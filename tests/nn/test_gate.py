"""Gates."""

from __future__ import annotations

import torch

from automtl.nn.gate import Gate, StackedGate, closed_experts

ALLOWED = [[0, 2], [1], [0, 1, 2]]


def test_shares_sum_to_one_over_the_allowed_experts() -> None:
    shares = Gate(5, 3, ALLOWED, torch.Generator().manual_seed(0)).shares(torch.randn(7, 5))
    torch.testing.assert_close(shares.sum(2), torch.ones(7, 3))
    assert not shares[:, closed_experts(3, ALLOWED)].any()


def test_a_gate_equals_a_loop_over_tasks_and_experts() -> None:
    gate = Gate(5, 3, ALLOWED, torch.Generator().manual_seed(0))
    x, experts = torch.randn(7, 5), torch.randn(3, 7, 4)
    out, weight = gate(x, experts), gate.weight.reshape(5, 3, 3)
    for task, allowed in enumerate(ALLOWED):
        share = (x @ weight[:, task, allowed] + gate.bias[task, allowed]).softmax(1)
        plain = sum(share[:, [i]] * experts[expert] for i, expert in enumerate(allowed))
        torch.testing.assert_close(out[task], plain)


def test_a_stacked_gate_reads_each_targets_own_input() -> None:
    gate = StackedGate(5, 3, ALLOWED, torch.Generator().manual_seed(0))
    x, experts = torch.randn(3, 7, 5), torch.randn(3, 7, 4)
    before = gate(x, experts)
    x[1] += 1
    after = gate(x, experts)
    assert torch.equal(before[0], after[0])
    torch.testing.assert_close(after[1], experts[1])  # its only expert


def test_a_gates_gradients_equal_those_of_the_loop() -> None:
    torch.manual_seed(0)
    gate = Gate(5, 3, ALLOWED, torch.Generator().manual_seed(0))
    x, experts = torch.randn(7, 5, requires_grad=True), torch.randn(3, 7, 4, requires_grad=True)
    above, values = torch.randn(3, 7, 4), [x, experts, gate.weight, gate.bias]
    weight = gate.weight.reshape(5, 3, 3)
    plain = []
    for task, allowed in enumerate(ALLOWED):
        share = (x @ weight[:, task, allowed] + gate.bias[task, allowed]).softmax(1)
        plain.append(sum((share[:, [i]] * experts[e] for i, e in enumerate(allowed)), start=torch.zeros(7, 4)))
    wanted = torch.autograd.grad(torch.stack(plain), values, above)
    for found, gradient in zip(torch.autograd.grad(gate(x, experts), values, above), wanted, strict=True):
        torch.testing.assert_close(found, gradient)


def test_a_gate_of_some_experts_scores_them_as_the_gate_of_all_did() -> None:
    wide, few = (Gate(5, count, [range(count)] * 2, torch.Generator().manual_seed(count)) for count in (3, 2))
    few.copy_from(wide, [2, 0])
    x = torch.randn(7, 5)
    shares = wide.shares(x)[:, :, [2, 0]]
    torch.testing.assert_close(few.shares(x), shares / shares.sum(2, keepdim=True))
