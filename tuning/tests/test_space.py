import optuna
import pytest

from alula_tune import Space, SpaceError


def document(**changes):
    return {"metric": "val_loss", "search": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}}} | changes


def test_losses_are_made_small_and_all_else_large():
    assert Space.parse(document()).direction == "minimize"
    assert Space.parse(document(metric="val_accuracy")).direction == "maximize"


def test_samplers_and_pruners_are_optunas_own():
    space = Space.parse(
        document(sampler={"name": "tpe", "seed": 1}, pruner={"name": "hyperband", "min_resource": 1, "max_resource": 9})
    )
    assert type(space.sampler()) is optuna.samplers.TPESampler
    assert type(space.pruner()) is optuna.pruners.HyperbandPruner


def test_drawn_and_fixed_values_come_together():
    search = document()["search"] | {
        "batch": {"type": "categorical", "choices": [16, 32]}, "warmup": {"type": "int", "low": 0, "high": 3},
    }
    space = Space.parse(document(search=search, fixed={"epochs": 3}))
    values = space.suggest(optuna.create_study(sampler=space.sampler()).ask())
    assert set(values) == {"lr", "batch", "warmup", "epochs"}
    assert 1e-4 <= values["lr"] <= 1e-2 and values["batch"] in (16, 32) and values["warmup"] in range(4)


@pytest.mark.parametrize(
    "changes, cause",
    [
        ({"metric": None}, "no metric"),
        ({"serach": {}}, "serach"),
        ({"direction": "up"}, "direction"),
        ({"search": {}}, "searches nothing"),
        ({"search": {"lr": {"type": "real", "low": 0, "high": 1}}}, "search.lr.type"),
        ({"search": {"lr": {"type": "float", "low": 1, "high": 0}}}, "search.lr"),
        ({"search": {"lr": {"type": "float", "low": 0}}}, "search.lr"),
        ({"fixed": {"lr": 1}}, "fixed and searched"),
        ({"sampler": {"name": "grid"}}, "sampler.name"),
        ({"pruner": {"name": "median", "warmup": 1}}, "pruner"),
    ],
)
def test_what_is_wrong_is_named(changes, cause):
    with pytest.raises(SpaceError, match=cause):
        Space.parse(document(**changes))


def test_the_file_is_named(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("metric = ")
    with pytest.raises(SpaceError, match="space.toml"):
        Space.read(str(path))
