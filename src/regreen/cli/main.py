"""The command: one verb per stage, each loaded only when it is called.

Results go to stdout and everything else to stderr. Exit codes: 0 done, 1 the work failed, 2 usage
or configuration, 3 a prerequisite is missing, 130 interrupted.
"""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError

from regreen import __version__
from regreen.core.console import Console
from regreen.core.errors import RegreenError

__all__ = ["app", "main"]

app = App(
    name="regreen",
    version=__version__,
    version_flags=["--version"],
    help="""Turn repositories into coding tasks, run agents on them in boxes, grade by execution.

    For example:

        regreen quickstart
        regreen tasks inject pypi:toolz==1.0.0 -n 50 -o tasks.jsonl
        regreen rollout tasks.jsonl --agent oracle --run runs/oracle
        regreen report runs/oracle
    """,
)
tasks = App(
    name="tasks",
    help="""Make, check and look at tasks.

    For example:

        regreen tasks inject . -n 20 -o tasks.jsonl
        regreen tasks show tasks.jsonl
    """,
)
model = App(
    name="model",
    help="""Reckon with models: what they weigh, what they keep, how fast they can be.

    For example:

        regreen model plan 80b --bandwidth 100
    """,
)
guard = App(
    name="guard",
    help="""Look for leaked answers, audit what agents did, ask why a call is refused.

    For example:

        regreen guard scan . --patch gold.diff
        regreen guard replay --command "git log --all" --repo pallets/flask
    """,
)
train = App(
    name="train",
    help="""Train a model: on packed trajectories, or on the rewards of its own rollouts.

    For example:

        regreen train sft packed --model 1m --run runs/sft
    """,
)
app.command(tasks)
app.command(model)
app.command(train)
app.command(guard)
app.command("regreen.cli.quickstart:quickstart", name="quickstart")
app.command("regreen.cli.learn:learn", name="learn")
app.command("regreen.cli.rollout:rollout", name="rollout")
app.command("regreen.cli.eval:evaluate", name="eval")
app.command("regreen.cli.grade:grade", name="grade")
app.command("regreen.cli.report:report", name="report")
app.command("regreen.cli.convert:convert", name="convert")
app.command("regreen.cli.pack:pack", name="pack")
app.command("regreen.cli.doctor:doctor", name="doctor")
app.command("regreen.cli.plugins:plugins", name="plugins")
model.command("regreen.cli.model:plan", name="plan")
guard.command("regreen.cli.guard_scan:scan", name="scan")
guard.command("regreen.cli.guard_audit:guard_audit", name="audit")
guard.command("regreen.cli.guard_replay:replay", name="replay")
train.command("regreen.cli.train_sft:sft", name="sft")
train.command("regreen.cli.train_rl:rl", name="rl")
train.command("regreen.cli.train_worker:worker", name="worker")
train.command("regreen.cli.train_texts:texts", name="texts")
train.command("regreen.cli.train_select:select", name="select")
train.command("regreen.cli.train_problems:problems", name="problems")
tasks.command("regreen.cli.inject:inject", name="inject")
tasks.command("regreen.cli.mine:mine", name="mine")
tasks.command("regreen.cli.build:build", name="build")
tasks.command("regreen.cli.validate:validate", name="validate")
tasks.command("regreen.cli.show:show", name="show")
tasks.command("regreen.cli.tasks_convert:convert_tasks", name="convert")
tasks.command("regreen.cli.tasks_rate:rate", name="rate")
tasks.command("regreen.cli.tasks_decontaminate:decontaminate", name="decontaminate")


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if argv is None else argv
    console = Console(verbose=bool({"-v", "--verbose"} & set(arguments)))
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except RegreenError as error:
        console.error(error)
        code = error.exit_code
    except CycloptsError as error:
        console.error(_usage(error, arguments))
        code = 2
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; there is nobody to tell
        code = 1
    except OSError as failure:  # the disk, wherever nobody could say more about it
        from regreen.store.atomic import disk_error

        found = disk_error(failure, str(failure.filename or ""))
        console.error(found)
        code = found.exit_code
    except KeyboardInterrupt:
        console.note("interrupted")
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: CycloptsError, arguments: list[str]) -> RegreenError:
    verb = " ".join(word for word in arguments[:2] if not word.startswith("-"))
    what = " ".join(str(error).split())
    return RegreenError(what, where=f"regreen {verb}".strip(), mend=f"regreen {verb} --help")
