"""Searches the recipe of `alula finetune` with Optuna."""

from alula_tune.space import Space, SpaceError

__all__ = ["Space", "SpaceError"]
