import pytest
import torch
from torch.testing import assert_close

from models.architecture import demo
from training.objectives.single_view import SingleViewTower

SIZES = demo().model_copy(update={"view_dim": 6, "embedding_dim": 4})


@pytest.fixture
def tower():
    torch.manual_seed(0)
    return SingleViewTower(SIZES)


@pytest.fixture
def studies():
    """Two studies of 3 and 1 views; what stands in absent slots must not matter."""
    torch.manual_seed(1)
    views = torch.randn(2, 4, 6)
    present = torch.tensor([[True, False, True, True], [False, True, False, False]])
    views[~present] = torch.nan
    return views, present


def test_it_is_one_linear_map_of_a_view_without_projection_or_pooling(tower):
    assert {name: tuple(p.shape) for name, p in tower.named_parameters()} == {
        "echo_alignment_global_token.weight": (4, 6)
    }


def test_in_evaluation_a_study_is_the_mean_of_its_views_vectors_before_the_map(tower, studies):
    views, present = studies
    out = tower.eval()(views, present)
    mean = torch.stack([views[0, [0, 2, 3]].mean(dim=0), views[1, 1]])
    assert_close(out.tokens_BP, mean)
    assert_close(out.aligned_BD, mean @ tower.echo_alignment_global_token.weight.T)
    assert_close(out.pool_weights_BV, torch.tensor([[1 / 3, 0, 1 / 3, 1 / 3], [0, 1, 0, 0]]))


def test_in_training_a_study_is_one_of_its_views_each_as_often(tower, studies):
    views, present = studies
    tower.train()
    torch.manual_seed(2)
    drawn = torch.stack([tower(views, present).pool_weights_BV for _ in range(600)])
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(drawn.sum(dim=2), torch.ones(600, 2))
    assert torch.equal(drawn[:, 1], torch.tensor([0.0, 1, 0, 0]).expand(600, -1))
    times = drawn[:, 0].sum(dim=0)
    assert times[1] == 0
    assert ((times[[0, 2, 3]] > 150) & (times[[0, 2, 3]] < 250)).all()  # 200 each expected, sd 11.5


def test_the_drawn_views_vector_reaches_the_map_unchanged_and_gradients_stay_finite(tower, studies):
    views, present = studies
    torch.manual_seed(3)
    out = tower.train()(views, present)
    chosen = out.pool_weights_BV.argmax(dim=1)
    assert_close(out.tokens_BP, views[torch.arange(2), chosen])
    assert_close(out.aligned_BD, tower.single_view(views[torch.arange(2), chosen]))
    out.aligned_BD.sum().backward()
    assert torch.isfinite(tower.echo_alignment_global_token.weight.grad).all()


def test_the_same_seed_draws_the_same_views(tower, studies):
    def draw():
        torch.manual_seed(4)
        return torch.stack([tower.train()(*studies).pool_weights_BV for _ in range(20)])

    assert torch.equal(draw(), draw())


def test_a_study_without_any_view_is_refused(tower):
    with pytest.raises(ValueError, match="without any view"):
        tower(torch.zeros(1, 2, 6), torch.zeros(1, 2, dtype=torch.bool))
