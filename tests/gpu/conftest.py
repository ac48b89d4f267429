"""The tests of this folder exist where torch sees a GPU: `pytest tests/gpu`."""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
