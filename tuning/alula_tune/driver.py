"""One trial: `alula finetune` runs, reports every epoch, and is ended where the pruner says so."""

import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Any

import optuna

from alula_tune.space import Space


class FinetuneFailure(RuntimeError):
    """`alula finetune` did not do its work; the text is its own reason."""


@dataclass
class Finetune:
    """How `alula finetune` is called."""

    model: str
    data: str
    folder: str
    program: str = "alula"
    recipe: str | None = None
    arguments: list[str] = field(default_factory=list)

    def command(self, name: str, values: dict[str, Any]) -> list[str]:
        command = [self.program, "finetune", self.model, "--data", self.data, "--json"]
        command += ["-o", os.path.join(self.folder, name + ".alula"), "--logdir", os.path.join(self.folder, name)]
        if self.recipe:
            command += ["--recipe", self.recipe]
        for key, value in values.items():
            command += ["--set", f"{key}={_word(value)}"]
        return command + self.arguments


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return repr(value) if isinstance(value, float) else str(value)


class Objective:
    """What Optuna calls for each trial; gives the best epoch's figure."""

    def __init__(self, space: Space, finetune: Finetune):
        self.space, self.finetune = space, finetune

    def __call__(self, trial: optuna.Trial) -> float:
        values = self.space.suggest(trial)
        command = self.finetune.command(f"trial-{trial.number}", values)
        with tempfile.TemporaryFile("w+") as errors:
            # A session of its own: Ctrl-C reaches this process only, which then ends the other.
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
            try:
                result = self._follow(trial, process)
            finally:
                _end(process)
            if result is None:
                errors.seek(0)
                raise FinetuneFailure(errors.read().strip() or f"{command[0]} ended with {process.returncode}")
        trial.set_user_attr("recipe", result["recipe"])
        trial.set_user_attr("best_epoch", result["best_epoch"])
        return self._value(result["best"])

    def _follow(self, trial: optuna.Trial, process: subprocess.Popen) -> dict[str, Any] | None:
        """Reports epochs as they come; gives the result, None where there is none."""
        for line in process.stdout:
            record = json.loads(line)
            if "output" in record:
                return record if process.wait() == 0 else None
            if "epoch" not in record:
                continue
            trial.report(self._value(record), record["epoch"] - 1)
            if trial.should_prune():
                trial.set_user_attr("pruned_epoch", record["epoch"])
                raise optuna.TrialPruned()
        process.wait()
        return None

    def _value(self, record: dict[str, Any]) -> float:
        value = record.get(self.space.metric)
        if not isinstance(value, (int, float)):
            known = sorted(key for key, other in record.items() if isinstance(other, float))
            raise FinetuneFailure(f"an epoch has no number {self.space.metric!r}, but {', '.join(known)}")
        return float(value)


def _end(process: subprocess.Popen) -> None:
    """Lets a process save and stop; it is killed only when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    process.stdout.close()
