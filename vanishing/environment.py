"""The environment variables of this project's commands: those that they read, and their leaks.

A command inherits the environment of whoever starts it: a Git hook, a notebook, a pipeline that
has this one as a stage. `prepare` removes the variables that would lead its work elsewhere, so that
all programs that it starts (Git, DVC, stages, workers) begin without them too.
"""

import os
import sys
from pathlib import Path

# 0: MLflow shows no training while it runs; 1: from the first step
LIVE_METRICS = "VANISHING_LIVE_METRICS"
DATA_SOURCE = "VANISHING_DATA_SOURCE"  # a folder or URL with the four files of the dataset

# What these variables say is about another place than the folder that a command works in.
FOREIGN = frozenset(
    {
        # Git sets them for its hooks (git rev-parse --local-env-vars).
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT"),
        *("GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE"),
        *("GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NO_REPLACE_OBJECTS"),
        *("GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"),
        "GIT_WORK_TREE",
        # Git's settings of how paths in arguments are read.
        *("GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_LITERAL_PATHSPECS"),
        "GIT_NOGLOB_PATHSPECS",
        # A person's shell: DVC runs the stages' commands in $SHELL, which cannot run any on an
        # account without a login, and the others are files that a shell reads before a command.
        *("SHELL", "BASH_ENV", "ENV"),
        # Another Python's places, and how a person's programs should run.
        *("PYTHONHOME", "PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONSAFEPATH", "PYTHONUSERBASE"),
        "PYTHONWARNINGS",
        # A notebook's way of drawing, and a person's style.
        *("MPLBACKEND", "MATPLOTLIBRC"),
        # An outer pipeline's stage.
        *("DVC_ROOT", "DVC_STAGE"),
    }
)
_OF_A_STAGE = frozenset({"DVC_ROOT", "DVC_STAGE"})  # DVC sets them for each stage that it runs


def prepare(is_stage: bool = False) -> None:
    """Remove foreign variables, and set OMP_WAIT_POLICY to `passive` unless the user has set it.

    OpenMP reads its variable once, when torch is imported: call this first. By default a thread
    that has finished its share spins while it waits for the others, and takes the processor from
    the thread that it waits for where other programs run too. On two cores beside two busy
    processes, a step of the article's network took 135 to 370 ms by default and 61 to 74 ms with
    `passive`. Results do not change.

    Every command of this project calls this function. `import vanishing` does not: in a user's
    own program the environment is the user's.

    Args:
        is_stage: Whether the command may be one that DVC runs, and needs to know.
    """
    for name in FOREIGN - (_OF_A_STAGE if is_stage else frozenset()):
        os.environ.pop(name, None)
    # `python` in dvc.yaml is this one, whether or not its environment is activated.
    first = str(Path(sys.executable).parent)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([first, *(name for name in folders if name != first)])
    os.environ.setdefault("PYTHONUTF8", "1")  # of the programs that this one starts
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
