from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lposs_geo.graph.patches import patch_affinity
from lposs_geo.propagation import propagate


def _graph(count: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(count, 8, generator=generator), dim=1)
    positions = torch.rand(count, 2, generator=generator) * 100
    return patch_affinity(features, positions, n_neighbors=6), torch.randn(count, 3, generator=generator)


def _exact(affinity, scores: torch.Tensor, alpha: float = 0.95) -> torch.Tensor:
    dense = torch.eye(affinity.num_nodes).double() - alpha * affinity.matrix.to_dense().double()
    return torch.linalg.solve(dense, scores.double()).float()


@pytest.mark.parametrize("solver", ["cg", "chebyshev"])
@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 60), seed=st.integers(0, 2**16))
def test_many_steps_reach_the_exact_solution(solver, count, seed):
    affinity, scores = _graph(count, seed)
    solution = propagate(affinity, scores, solver=solver, num_steps=120)
    assert torch.allclose(solution.value, _exact(affinity, scores), atol=2e-4)
    assert (solution.residual_norm < 1e-3).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), solver=st.sampled_from(["cg", "chebyshev"]))
def test_columns_do_not_know_each_other(seed, solver):
    affinity, scores = _graph(40, seed)
    together = propagate(affinity, scores, solver=solver).value
    alone = torch.cat([propagate(affinity, scores[:, [k]], solver=solver).value for k in range(3)], dim=1)
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_column_of_zeros_stays_zero_and_does_not_disturb():
    affinity, scores = _graph(30, 1)
    scores[:, 1] = 0
    for solver in ("cg", "chebyshev"):
        solution = propagate(affinity, scores, solver=solver)
        assert torch.isfinite(solution.value).all()
        assert (solution.value[:, 1] == 0).all()
        assert solution.residual_norm[1] == 0


def test_chebyshev_is_linear_and_alpha_zero_changes_nothing():
    affinity, scores = _graph(30, 2)
    assert torch.allclose(propagate(affinity, 3 * scores).value, 3 * propagate(affinity, scores).value, atol=1e-4)
    for solver in ("cg", "chebyshev"):
        assert torch.allclose(propagate(affinity, scores, alpha=0.0, solver=solver).value, scores, atol=1e-6)


def test_chebyshev_reaches_no_farther_than_its_steps():
    # a chain: node k is k hops from node 0
    count, steps = 12, 4
    ends = torch.arange(count - 1)
    both = torch.cat([torch.stack([ends, ends + 1]), torch.stack([ends + 1, ends])], dim=1)

    class Chain:
        num_nodes = count

        def matmul(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(x).index_add_(0, both[0], x[both[1]] / 2)

    seed = torch.zeros(count, 1)
    seed[0] = 1
    reached = propagate(Chain(), seed, num_steps=steps).value[:, 0] != 0
    assert reached.tolist() == [node < steps for node in range(count)]


@pytest.mark.parametrize("solver", ["cg", "chebyshev"])
def test_a_start_that_is_nearly_right_saves_steps(solver):
    affinity, scores = _graph(200, 1)
    scores = torch.sqrt(torch.sparse.sum(affinity.matrix.to_sparse_coo(), 1).to_dense())[:, None] + 0.02 * scores
    exact = _exact(affinity, scores)
    near = exact + 0.1 * torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
    errors = [
        torch.linalg.norm(propagate(affinity, scores, solver=solver, num_steps=5, initial=initial).value - exact)
        for initial in (None, near)
    ]
    assert errors[1] < 0.3 * errors[0]
    with pytest.raises(ValueError, match="initial"):
        propagate(affinity, scores, initial=scores[:3])


@pytest.mark.parametrize("solver", ["cg", "chebyshev"])
def test_from_the_exact_solution_no_step_leads_away(solver):
    affinity, scores = _graph(60, 2)
    exact = _exact(affinity, scores)
    for steps in (1, 7):
        solution = propagate(affinity, scores, solver=solver, num_steps=steps, initial=exact)
        assert torch.allclose(solution.value, exact, atol=1e-3)


def test_the_residual_is_measured_only_where_asked_for():
    affinity, scores = _graph(50, 3)
    for solver in ("cg", "chebyshev"):
        measured = propagate(affinity, scores, solver=solver)
        unmeasured = propagate(affinity, scores, solver=solver, measure=False)
        assert torch.equal(measured.value, unmeasured.value)
        assert unmeasured.residual_norm.isnan().all()
        assert not unmeasured.converged


def test_defaults_and_what_they_report():
    affinity, scores = _graph(50, 3)
    cg, chebyshev = propagate(affinity, scores, solver="cg"), propagate(affinity, scores)
    assert (cg.num_steps, chebyshev.num_steps) == (10, 20)
    exact = _exact(affinity, scores)
    assert torch.linalg.norm(chebyshev.value - exact) / torch.linalg.norm(exact) < 0.01
    residual = scores - (chebyshev.value - 0.95 * affinity.matmul(chebyshev.value))
    measured = residual.norm(dim=0) / scores.norm(dim=0)
    assert torch.allclose(measured, chebyshev.residual_norm, rtol=1e-2)


def test_golden_accuracy_of_chebyshev_is_that_of_the_design(golden):
    from lposs_geo.graph.pixels import pixel_affinity

    stored = golden("pixel_stage")
    affinity = pixel_affinity(torch.from_numpy(stored["image_rgb"]).permute(2, 0, 1) / 255)
    scores = torch.from_numpy(stored["stitched"]).flatten(1).T
    exact = propagate(affinity, scores, solver="cg", num_steps=200).value
    errors = [
        float(torch.linalg.norm(propagate(affinity, scores, num_steps=steps).value - exact) / torch.linalg.norm(exact))
        for steps in (10, 15, 20)
    ]
    assert np.allclose(errors, [0.076, 0.015, 0.003], rtol=0.05)
    labels = propagate(affinity, scores).value.argmax(1) == torch.from_numpy(stored["refined"]).flatten(1).argmax(0)
    assert labels.float().mean() > 0.997


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.0}, "alpha"),
        ({"alpha": -0.1}, "alpha"),
        ({"solver": "jacobi"}, "solver"),
        ({"num_steps": 0}, "num_steps"),
        ({"scores": torch.zeros(3, 2)}, "scores"),
        ({"scores": torch.zeros(30)}, "scores"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    affinity, scores = _graph(30, 4)
    with pytest.raises(ValueError, match=message):
        propagate(affinity, **({"scores": scores} | arguments))
