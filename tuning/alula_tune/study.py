"""A study that several processes may work on, and that goes on when one of them dies."""

import json
import os
import socket
import warnings
from typing import Any

import optuna
from optuna.trial import TrialState

from alula_tune.driver import FinetuneFailure, Objective
from alula_tune.space import Space

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_WORKER = "worker"
_RETRY = "retry_of"
# Seconds between signs of life of a trial, and after how many a trial of another machine counts as dead.
_HEARTBEAT, _GRACE = 20, 120


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """SQLite, PostgreSQL or MySQL by URL; a path ending in .journal is a journal file."""
    if url.endswith(".journal"):
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(url))
    with warnings.catch_warnings():
        # Optuna still calls heartbeats an experiment.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            url, heartbeat_interval=_HEARTBEAT, grace_period=_GRACE,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )


def open_study(name: str, storage: optuna.storages.BaseStorage, space: Space) -> optuna.Study:
    return optuna.create_study(
        study_name=name, storage=storage, direction=space.direction, sampler=space.sampler(), pruner=space.pruner(),
        load_if_exists=True,
    )


def run(study: optuna.Study, objective: Objective, trials: int, failures: int = 5) -> None:
    """Works on the study until it has as many finished trials, this process's and others' together.

    Trials whose process died are tried again. After `failures` failed trials in a row, FinetuneFailure.
    """
    failed = 0

    def work(trial: optuna.Trial) -> float:
        trial.set_user_attr(_WORKER, _identity())
        try:
            return objective(trial)
        except FinetuneFailure as error:
            trial.set_user_attr("error", str(error))
            raise
        except KeyboardInterrupt:
            # Stopped from outside: the same trial is the next one of whoever goes on.
            study.enqueue_trial(trial.params, user_attrs={_RETRY: trial.number})
            raise

    def tell(_: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal failed
        failed = failed + 1 if trial.state == TrialState.FAIL else 0
        note = trial.user_attrs.get("error") if failed else trial.value
        print(f"trial {trial.number}: {trial.state.name.lower()} {note}", flush=True)
        if failed >= failures:
            raise FinetuneFailure(note)

    while len(study.get_trials(deepcopy=False, states=_FINISHED)) < trials:
        retry_lost(study)
        study.optimize(work, n_trials=1, catch=(FinetuneFailure,), callbacks=[tell])


def retry_lost(study: optuna.Study) -> list[int]:
    """Puts trials of this machine whose process is gone back in the queue; those of others Optuna's own heartbeat finds."""
    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get(_RETRY) for trial in trials}
    lost = [t for t in trials if t.state == TrialState.RUNNING and _is_dead(t.user_attrs.get(_WORKER))]
    for trial in lost:
        # In this order: a process that dies in between leaves a trial that is found again.
        if trial.number not in retried:
            study.enqueue_trial(trial.params, user_attrs={_RETRY: trial.number})
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    return [trial.number for trial in lost]


def write_best(study: optuna.Study, path: str) -> None:
    """The recipe of the best trial as a file that `alula finetune --recipe` takes; it appears whole or not at all."""
    recipe = study.best_trial.user_attrs["recipe"]
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w") as file:
        json.dump(recipe, file, indent=2)
        file.write("\n")
    os.replace(beside, path)


def _identity() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def _started(pid: int) -> str | None:
    """When a process began, so that another one with its number is not taken for it; None where it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _is_dead(worker: dict[str, Any] | None) -> bool:
    if worker is None or worker["host"] != socket.gethostname():
        return False
    return _started(worker["pid"]) != worker["started"]
