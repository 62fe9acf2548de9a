"""Laws of models that are not searched: classes that take a layout, network settings and a generator.

B rows, T tasks. The laws are not for models that train themselves, as boosted trees do.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from automtl.features.layout import CategoricalLayout, Layout
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.testing.examples import SIZES, small_batch, small_layout
from automtl.training.losses import MultiTaskLoss

SETTINGS = NetworkSettings(embedding_size=4, width=8, towers=(6,))
Model = type[nn.Module]


def make_model(model: Model, num_tasks: int = 3, seed: int = 0, layout: Layout | None = None) -> nn.Module:
    """Make a small model for the small layout."""
    return model(layout or small_layout(num_tasks), SETTINGS, torch.Generator().manual_seed(seed))


def its_name_finds_it(model: Model) -> None:
    """The name under which the model is saved with a run finds it again."""
    assert MODELS.find(MODELS.name_of(model)) is model


def it_gives_a_finite_logit_for_each_row_and_task(model: Model) -> None:
    """Logits are (B, T) and gradients finite for one task, two and three."""
    for num_tasks in (1, 2, 3):
        made, batch = make_model(model, num_tasks), small_batch(num_tasks=num_tasks)
        logits = made(batch.features)
        assert logits.shape == (len(batch), num_tasks), f"expected (B, T) logits, found {tuple(logits.shape)}"
        MultiTaskLoss(small_layout(num_tasks).tasks)(logits, batch).backward()
        assert all(one.grad is not None and one.grad.isfinite().all() for one in made.parameters())


def its_logits_reach_every_parameter(model: Model) -> None:
    """No parameter is left without a gradient: none is idle, none is cut off."""
    made = make_model(model)
    made(small_batch().features).square().sum().backward()
    idle = [name for name, one in made.named_parameters() if one.grad is None or not one.grad.any()]
    assert not idle, f"parameters without a gradient: {', '.join(idle)}"


def ids_alone_are_enough_and_a_batch_of_one_row_trains(model: Model) -> None:
    """A table of one categorical field has no numbers and no lists."""
    layout = Layout((CategoricalLayout("a", SIZES[0]),), (), (), small_layout(2).tasks)
    made, features = make_model(model, layout=layout).train(), small_batch(num_tasks=2).features
    one_row = replace(features, categorical=features.categorical[:1, :1], multi=(), numeric=torch.ones(1, 0))
    made(one_row).sum().backward()
    assert all(one.grad is None or one.grad.isfinite().all() for one in made.parameters())


def the_generator_decides_its_parameters(model: Model) -> None:
    """A seed gives the same parameters each time, another seed others; the global generator is not used."""
    torch.manual_seed(1)
    first: list[Tensor] = list(make_model(model, seed=1).parameters())
    torch.manual_seed(2)
    again, other = (list(make_model(model, seed=seed).parameters()) for seed in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)), "the seed does not decide all parameters"
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True)), "the seed decides nothing"


def rows_do_not_mix(model: Model) -> None:
    """A row's logits do not depend on the other rows of its batch."""
    made, batch = make_model(model).eval(), small_batch()
    assert_close(made(batch.features)[5:9], made(batch.take(slice(5, 9)).features), rtol=1e-4, atol=1e-5)


def its_state_gives_the_same_logits_in_a_new_model(model: Model) -> None:
    """What is saved of a model, its `state_dict`, is all that decides its logits."""
    trained, fresh, batch = make_model(model, seed=1), make_model(model, seed=2), small_batch()
    fresh.load_state_dict(trained.state_dict())
    assert_close(fresh.eval()(batch.features), trained.eval()(batch.features), rtol=0.0, atol=0.0)


MODEL_LAWS = (
    its_name_finds_it,
    it_gives_a_finite_logit_for_each_row_and_task,
    its_logits_reach_every_parameter,
    ids_alone_are_enough_and_a_batch_of_one_row_trains,
    the_generator_decides_its_parameters,
    rows_do_not_mix,
    its_state_gives_the_same_logits_in_a_new_model,
)
