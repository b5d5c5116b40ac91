"""`python -m alula_tune SPACE.toml --model MODEL --data DATA`."""

import argparse
import os
import shutil
import signal
import sys

import optuna

from alula_tune.driver import Finetune, FinetuneFailure, Objective
from alula_tune.space import Space, SpaceError
from alula_tune.study import open_storage, open_study, run, write_best


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_args(arguments[:end])
    try:
        space = Space.read(options.space)
    except SpaceError as error:
        return _fail(str(error))
    program = options.alula or shutil.which("alula")
    if not program or not os.access(program, os.X_OK):
        return _fail("alula is not in PATH; --alula FILE names it" if not program else f"{program}: no program")
    os.makedirs(options.folder, exist_ok=True)
    finetune = Finetune(
        options.model, options.data, options.folder, program, options.recipe, arguments[end + 1 :]
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # SIGTERM ends a worker as Ctrl-C does: the trial goes back into the queue.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        study = open_study(options.study, open_storage(options.storage), space)
        run(study, Objective(space, finetune), options.trials)
    except FinetuneFailure as error:
        return _fail(str(error).removeprefix("alula: "))
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on", 130)
    best = options.best or os.path.join(options.folder, "best.json")
    write_best(study, best)
    trial = study.best_trial
    print(f"best is trial {trial.number}: {space.metric} {trial.value} with {trial.params}")
    print(f"{best}: its recipe, for alula finetune --recipe")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="alula_tune", description="Searches a recipe for alula finetune with Optuna.",
        epilog="What follows -- is passed to alula finetune.",
    )
    parser.add_argument("space", metavar="SPACE.toml", help="what is searched and how")
    parser.add_argument("--model", required=True, help="the float model that every trial starts from")
    parser.add_argument("--data", required=True, help="labelled data, as alula finetune takes them")
    parser.add_argument("--recipe", help="the recipe that trials change: a name or a JSON file")
    parser.add_argument("--storage", default="sqlite:///study.db", help="an Optuna storage (default: %(default)s)")
    parser.add_argument("--study", default="alula", help="the study's name in the storage (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=20, help="finished trials of the whole study (default: %(default)s)")
    parser.add_argument("--folder", default="tuning-runs", help="where trials keep their files (default: %(default)s)")
    parser.add_argument("--best", metavar="FILE", help="where the best recipe is written (default: best.json there)")
    parser.add_argument("--alula", metavar="FILE", help="the program (default: the one in PATH)")
    return parser


def _fail(text: str, code: int = 1) -> int:
    print(f"alula_tune: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
