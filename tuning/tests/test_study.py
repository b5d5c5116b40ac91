import json
import os
import signal
import subprocess
import sys
import time

import optuna
import pytest
from optuna.trial import TrialState

ROOT = os.path.dirname(os.path.dirname(__file__))


def command(space_file, fake, folder, storage, trials, *more):
    return [
        sys.executable, "-m", "alula_tune", space_file, "--model", "m.alula", "--data", "cifar100:d", "--alula", fake,
        "--folder", str(folder), "--storage", storage, "--trials", str(trials), *more,
    ]


def environment(seconds=0.01):
    return os.environ | {"PYTHONPATH": ROOT, "FAKE_SECONDS": str(seconds)}


def trials(storage):
    return optuna.load_study(study_name="alula", storage=storage).get_trials(deepcopy=False)


def finished(storage):
    return [t for t in trials(storage) if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]


def test_a_study_reports_epochs_prunes_and_writes_the_best_recipe(space_file, fake, tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    subprocess.run(command(space_file, fake, tmp_path / "runs", storage, 12), env=environment(0.15), check=True)
    done = finished(storage)
    pruned = [t for t in done if t.state == TrialState.PRUNED]
    assert len(done) == 12 and 0 < len(pruned) < 12
    for trial in done:
        steps = sorted(trial.intermediate_values)
        assert steps == list(range(len(steps))) and len(steps) == (4 if trial not in pruned else len(steps))
    for trial in pruned:
        # The program was asked, not killed: it saved what it had.
        if len(trial.intermediate_values) < 4:
            assert (tmp_path / "runs" / f"trial-{trial.number}" / "stopped").read_text() == "saved"
    best = optuna.load_study(study_name="alula", storage=storage).best_trial
    recipe = json.loads((tmp_path / "runs" / "best.json").read_text())
    assert recipe["lr"] == best.params["lr"]


def test_no_trial_is_lost_when_the_driver_is_killed(space_file, fake, tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    call = command(space_file, fake, tmp_path / "runs", storage, 8)
    process = subprocess.Popen(call, env=environment(0.1))
    deadline = time.time() + 60
    while time.time() < deadline:
        time.sleep(0.05)
        # Held, so that the trial does not end between the look and the kill.
        process.send_signal(signal.SIGSTOP)
        try:
            if len(finished(storage)) >= 2 and [t for t in trials(storage) if t.state == TrialState.RUNNING and t.params]:
                break
        except Exception:
            pass  # the study is being made
        process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = [t for t in trials(storage) if t.state == TrialState.RUNNING]
    assert len(killed) == 1
    subprocess.run(call, env=environment(), check=True)
    assert len(finished(storage)) == 8
    assert not [t for t in trials(storage) if t.state == TrialState.RUNNING]
    again = [t for t in finished(storage) if t.user_attrs.get("retry_of") == killed[0].number]
    assert len(again) == 1 and again[0].params == killed[0].params


def test_a_stopped_driver_ends_the_program_and_keeps_the_trial(space_file, fake, tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    call = command(space_file, fake, tmp_path / "runs", storage, 3)
    process = subprocess.Popen(call, env=environment(0.3))
    deadline = time.time() + 60
    while time.time() < deadline and not os.path.exists(tmp_path / "runs" / "trial-0"):
        time.sleep(0.05)
    time.sleep(0.4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert (tmp_path / "runs" / "trial-0" / "stopped").exists()
    subprocess.run(call, env=environment(), check=True)
    assert len(finished(storage)) == 3
    assert [t.params for t in finished(storage) if t.user_attrs.get("retry_of") == 0] == [trials(storage)[0].params]


def test_failing_trials_end_the_search_with_their_reason(space_file, fake, tmp_path):
    with open(space_file, "a") as file:
        file.write('[search.clip]\ntype = "categorical"\nchoices = [13]\n')
    call = command(space_file, fake, tmp_path / "runs", f"sqlite:///{tmp_path}/study.db", 3)
    result = subprocess.run(call, env=environment(), capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == "alula_tune: model.alula: training diverged"


def test_a_metric_that_epochs_lack_is_named(space_file, fake, tmp_path):
    text = open(space_file).read().replace("val_accuracy", "val_macro_auroc")
    with open(space_file, "w") as file:
        file.write(text)
    call = command(space_file, fake, tmp_path / "runs", f"sqlite:///{tmp_path}/study.db", 1)
    result = subprocess.run(call, env=environment(), capture_output=True, text=True)
    assert result.returncode == 1 and "val_macro_auroc" in result.stderr and "val_accuracy" in result.stderr


def test_journal_files_are_storages_too(space_file, fake, tmp_path):
    journal = f"{tmp_path}/study.journal"
    subprocess.run(command(space_file, fake, tmp_path / "runs", journal, 3), env=environment(), check=True)
    backend = optuna.storages.journal.JournalFileBackend(journal)
    study = optuna.load_study(study_name="alula", storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 3


@pytest.mark.parametrize("arguments", [["--trials", "x"], ["--nonsense"]])
def test_wrong_usage_is_told(space_file, fake, tmp_path, arguments):
    call = command(space_file, fake, tmp_path, "sqlite:///x", 1, *arguments)
    assert subprocess.run(call, env=environment(), capture_output=True).returncode == 2
