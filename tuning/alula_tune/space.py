"""A search space: what is searched, by which rules, and what a trial is judged by."""

import tomllib
from dataclasses import dataclass, field
from typing import Any

import optuna


class SpaceError(ValueError):
    """A search space that cannot be used; the text says where and why."""


_SAMPLERS = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
_PRUNERS = {
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "halving": optuna.pruners.SuccessiveHalvingPruner,
    "none": optuna.pruners.NopPruner,
}


@dataclass
class Space:
    """Read from TOML; `docs/training.md` describes the file.

    metric: the key of an epoch's line by which a trial is judged, such as `val_accuracy`.
    direction: `maximize` or `minimize`.
    fixed: recipe keys with the same value in every trial.
    search: recipe keys with their distributions.
    """

    metric: str
    direction: str
    search: dict[str, optuna.distributions.BaseDistribution]
    fixed: dict[str, Any] = field(default_factory=dict)
    sampler_options: dict[str, Any] = field(default_factory=dict)
    pruner_options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> "Space":
        try:
            with open(path, "rb") as file:
                return cls.parse(tomllib.load(file))
        except (OSError, tomllib.TOMLDecodeError, SpaceError) as error:
            raise SpaceError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "Space":
        known = {"metric", "direction", "fixed", "search", "sampler", "pruner"}
        if unknown := sorted(set(document) - known):
            raise SpaceError(f"has the unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
        if not isinstance(document.get("metric"), str):
            raise SpaceError("has no metric")
        metric = document["metric"]
        direction = document.get("direction", "minimize" if metric.endswith("loss") else "maximize")
        if direction not in ("maximize", "minimize"):
            raise SpaceError(f"direction is {direction!r}, not maximize or minimize")
        search = {name: _distribution(name, entry) for name, entry in document.get("search", {}).items()}
        if not search:
            raise SpaceError("searches nothing: there is no [search.KEY]")
        if both := sorted(set(search) & set(document.get("fixed", {}))):
            raise SpaceError(f"{both[0]} is fixed and searched")
        space = cls(
            metric, direction, search, document.get("fixed", {}), document.get("sampler", {}), document.get("pruner", {})
        )
        # Wrong options show now, not after the first trials.
        space.sampler(), space.pruner()
        return space

    def sampler(self) -> optuna.samplers.BaseSampler:
        return _make("sampler", _SAMPLERS, {"name": "tpe", **self.sampler_options})

    def pruner(self) -> optuna.pruners.BasePruner:
        return _make("pruner", _PRUNERS, {"name": "median", **self.pruner_options})

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """The recipe keys of a trial: drawn ones and fixed ones."""
        return {**self.fixed, **{name: _draw(trial, name, entry) for name, entry in self.search.items()}}


def _draw(trial: optuna.Trial, name: str, entry: optuna.distributions.BaseDistribution) -> Any:
    match entry:
        case optuna.distributions.FloatDistribution():
            return trial.suggest_float(name, entry.low, entry.high, step=entry.step, log=entry.log)
        case optuna.distributions.IntDistribution():
            return trial.suggest_int(name, entry.low, entry.high, step=entry.step, log=entry.log)
        case _:
            return trial.suggest_categorical(name, entry.choices)


def _make(kind: str, classes: dict[str, type], options: dict[str, Any]) -> Any:
    options = dict(options)
    name = options.pop("name")
    if name not in classes:
        raise SpaceError(f"{kind}.name is {name!r}; known are {', '.join(sorted(classes))}")
    try:
        return classes[name](**options)
    except (TypeError, ValueError) as error:
        raise SpaceError(f"{kind}: {error}") from None


def _distribution(name: str, entry: Any) -> optuna.distributions.BaseDistribution:
    if not isinstance(entry, dict):
        raise SpaceError(f"search.{name} is no table")
    entry = dict(entry)
    kind = entry.pop("type", None)
    classes = {
        "float": optuna.distributions.FloatDistribution,
        "int": optuna.distributions.IntDistribution,
        "categorical": optuna.distributions.CategoricalDistribution,
    }
    if kind not in classes:
        raise SpaceError(f"search.{name}.type is {kind!r}, not float, int or categorical")
    try:
        return classes[kind](**entry)
    except (TypeError, ValueError) as error:
        raise SpaceError(f"search.{name}: {error}") from None
