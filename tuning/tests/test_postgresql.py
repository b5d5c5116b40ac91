"""Two workers share one study in a PostgreSQL server that the test starts itself, on loopback."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import optuna
import pytest
from optuna.trial import TrialState
from test_study import command, environment, finished, trials


def find(program):
    found = shutil.which(program) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"), reverse=True)), None)
    if not found:
        print(f"SKIPPED: no {program}: apt install postgresql", file=sys.__stderr__)
        pytest.skip(f"no {program}")
    return found


@pytest.fixture
def server():
    initdb, postgres = find("initdb"), find("postgres")
    # The server refuses to run as root.
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    folder = tempfile.mkdtemp(prefix="alula-postgres-")
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    options = {"user": user.pw_uid, "group": user.pw_gid, "cwd": folder} if user else {"cwd": folder}
    data = os.path.join(folder, "data")
    subprocess.run([initdb, "-D", data, "-U", "alula", "--auth=trust"], check=True, capture_output=True, **options)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [postgres, "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", folder, "-c", "fsync=off"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"postgresql+psycopg://alula@127.0.0.1:{port}/postgres"
    finally:
        # A fast shutdown: SIGTERM would wait for this process's own connections.
        process.send_signal(signal.SIGINT)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_two_workers_share_a_study(server, space_file, fake, tmp_path):
    # The study is made first, so that the tables are not made twice at once.
    optuna.create_study(study_name="alula", storage=server, direction="maximize")
    call = command(space_file, fake, tmp_path / "runs", server, 12)
    workers = [subprocess.Popen(call, env=environment(0.05)) for _ in range(2)]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    done = finished(server)
    # Both may be at work on the last one.
    assert 12 <= len(done) <= 13
    assert [trial.number for trial in trials(server)] == list(range(len(trials(server))))
    assert len({trial.user_attrs["worker"]["pid"] for trial in done}) == 2
    assert not [trial for trial in trials(server) if trial.state == TrialState.RUNNING]
