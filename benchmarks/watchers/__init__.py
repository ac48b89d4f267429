"""Tools that watch a training loop, each used as its documentation says: a file per tool.

In: a model, its optimizers, a folder. Out: what the tool recorded, {step: {name: numbers}}. The
tools are imported where they are used: they are installed for the benchmarks alone.
"""

from benchmarks.watchers.add_histogram import AddHistogram
from benchmarks.watchers.neuraldbg import NeuralDBG
from benchmarks.watchers.ours import Ours
from benchmarks.watchers.torchinstruments import TorchInstruments
from benchmarks.watchers.torchmortem import Torchmortem
from benchmarks.watchers.traintools import Traintools
from benchmarks.watchers.wandb_watch import WandbWatch
from benchmarks.watchers.watcher import Watcher

OURS = "vanishing.watch"
WATCHERS: dict[str, type[Watcher]] = {
    OURS: Ours,
    "wandb.watch": WandbWatch,
    "add_histogram": AddHistogram,
    "torchmortem": Torchmortem,
    "TorchInstruments": TorchInstruments,
    "traintools": Traintools,
    "NeuralDBG": NeuralDBG,
}
