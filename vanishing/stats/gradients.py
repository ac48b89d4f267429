"""How the backpropagated gradient shrinks or grows from layer to layer."""

from typing import Any

import numpy as np


def hops_and_attenuation(gradients: dict[str, float]) -> list[dict[str, Any]]:
    """Compute the ratios of gradients of neighbouring hidden layers, and their product.

    - `hop`: rms(dL/dz_l) / rms(dL/dz_(l+1)), by hidden layer but the last
    - `attenuation`, at the first layer: rms(dL/dz) of the first hidden layer over that of the
      last, the product of the hops; 1 where there is one hidden layer

    Args:
        gradients: {layer: rms(dL/dz)} from the input on, the output layer last.

    Returns:
        Rows with layer_index, layer, tensor, statistic and value; NaN for 0 / 0, infinity where
        only the divisor is 0.
    """
    names = list(gradients)
    hidden = np.array([gradients[name] for name in names[:-1]], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [("hop", index, hop) for index, hop in enumerate(hidden[:-1] / hidden[1:])]
        ratios += [("attenuation", 0, ratio) for ratio in hidden[:1] / hidden[-1:]]
    return [
        {
            "layer_index": index,
            "layer": names[index],
            "tensor": "backpropagated_gradient",
            "statistic": statistic,
            "value": float(value),
        }
        for statistic, index, value in ratios
    ]
