"""Measure, explain and judge the gradients of any PyTorch network.

The public names are listed in `__init__.pyi`, and described in docs/library.md. A name is imported
when it is first used: `import vanishing` alone loads neither torch nor pandas nor matplotlib.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
