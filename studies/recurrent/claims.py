"""What people say of recurrent networks and vanishing gradients, as tests (docs/decisions/0021)."""

from typing import Any

import numpy as np
import pandas as pd

from vanishing.judging.claims import Claim
from vanishing.judging.effects import Tables, final_accuracy, fit_line
from vanishing.judging.formulas import Effect
from vanishing.judging.ledger import Opening
from vanishing.judging.limits import Limit
from vanishing.judging.verdicts import REFUTED, SUPPORTED

WRITTEN_DOWN = "docs/decisions/0021-claims-of-the-further-studies.md"
OPENING = Opening(
    question="How far back in time does the gradient reach in a recurrent network?",
    lead="""\
A recurrent network reads a digit row by row, from the top: 28 time steps of 28 pixels. After each
row it updates its memory, the state h, and after the last one it names the digit. To learn from
the first row, the gradient has to travel back from the last step through all the others, and each
step multiplies it. If each step halves it, 27 steps leave one part in a hundred million. The
study measures what arrives, dL/dh at each step: for a plain network with tanh, for ReLU that
begins with identity weights, and for LSTM and GRU, which were invented to keep the gradient
alive. The variants named `-wait` see 28 empty rows after the digit, over which they must remember
it.""",
    figure="gradient-through-time",
)

_RNN = {"network": "nets:vanilla"}
_LSTM = {"network": "nets:lstm"}
_GRU = {"network": "nets:gru"}
_IDENTITY = {"network": "nets:identity"}
_FORGET = _LSTM | {"arguments.forget_bias": 1.0}
_WAIT = {"arguments.wait": 28}
EXPECTED_SETTINGS: dict[str, dict[str, Any]] = {
    "rnn": _RNN,
    "rnn-orthogonal": _RNN | {"arguments.recurrent": "orthogonal"},
    "rnn-identity": _IDENTITY,
    "lstm": _LSTM,
    "lstm-forget": _FORGET,
    "gru": _GRU,
    "rnn-wait": _RNN | _WAIT,
    "rnn-identity-wait": _IDENTITY | _WAIT,
    "lstm-wait": _LSTM | _WAIT,
    "lstm-forget-wait": _FORGET | _WAIT,
    "gru-wait": _GRU | _WAIT,
}


def gradients(rows: pd.DataFrame, tensor: str) -> pd.DataFrame:
    """Return rms(dL/dh_t) of a recurrent layer: a row per seed, a column per time step from 1."""
    states = rows.query(f"tensor == '{tensor}_gradient_l0' and statistic == 'rms'")
    time = states["layer"].str.partition("#")[2].replace("", "1").astype(int)
    return states.assign(time=time).pivot_table(index="seed", columns="time", values="value")


def fresh_gradients(t: Tables, variant: str, tensor: str = "hidden") -> pd.DataFrame:
    """Return the gradients of fresh initialisations; `tensor` is hidden or cell."""
    return gradients(t["initialisation"].query(f"variant == '{variant}'"), tensor)


def attenuation_over_time(by_time: pd.DataFrame) -> pd.Series:
    """Return rms(dL/dh) of the first time step over that of the last."""
    return by_time.iloc[:, 0] / by_time.iloc[:, -1]


def hidden_attenuation(t: Tables, variant: str) -> pd.Series:
    """Return rms(dL/dh_1) / rms(dL/dh_T), fresh initialisations."""
    return attenuation_over_time(fresh_gradients(t, variant))


def cell_attenuation(t: Tables, variant: str) -> pd.Series:
    """Return rms(dL/dc_1) / rms(dL/dc_T) of an LSTM's cell, fresh initialisations."""
    return attenuation_over_time(fresh_gradients(t, variant, "cell"))


def step_factor(t: Tables, variant: str) -> pd.Series:
    """Return the factor by which rms(dL/dh) changes per time step towards the first."""
    by_time = fresh_gradients(t, variant)
    return attenuation_over_time(by_time) ** (1 / (by_time.shape[1] - 1))


def time_r_squared(t: Tables, variant: str) -> pd.Series:
    """Return R² of a line through ln rms(dL/dh_t) against t, fresh initialisations."""
    logarithms = np.log(fresh_gradients(t, variant))
    return logarithms.apply(lambda row: fit_line(row.index, row)[1], axis=1)


def cell_opening(t: Tables, variant: str) -> pd.Series:
    """Return an LSTM cell's attenuation over time after training over that before, by seed."""
    rows = t["layers"].query(f"variant == '{variant}'")
    first, last = (rows[rows["epoch"] == n] for n in (rows["epoch"].min(), rows["epoch"].max()))
    after, before = (attenuation_over_time(gradients(r, "cell")) for r in (last, first))
    return after / before


OVER_TIME = "rms(dL/dh) of the first of 28 time steps over that of the last, at initialisation"
OF_CELL = "rms(dL/dc) of the cell, first of 28 time steps over the last, at initialisation"
ACCURACY = "test accuracy at the end, with 28 empty rows after the image"
HALF = "PyTorch's gates start near 1/2, and each step multiplies the state by one of them"


def keeps(name: str, statement: str, effect: Effect, quantity: str, because: str) -> Claim:
    """Return a claim that the gradient of an initial network reaches the first time step."""
    return Claim(
        id=name,
        kind="remedy",
        statement=statement,
        quantity=quantity,
        effect=effect,
        over="initialisations",
        average="geometric",
        supported=Limit(">", 0.1),
        refuted=Limit("<", 0.01),
        because={REFUTED: because} if because else {},
    )


def bridges(name: str, statement: str, variant: str) -> Claim:
    """Return a claim that a network remembers the image over the empty rows."""
    return Claim(
        id=name,
        kind="remedy",
        statement=statement,
        quantity=ACCURACY,
        effect=Effect(final_accuracy, variant),
        over="seeds",
        supported=Limit(">", 0.8),
        refuted=Limit("<", 0.3),
    )


CLAIMS = (
    Claim(
        id="rnn-vanishes",
        kind="cause",
        statement="In a tanh RNN the gradient vanishes over the rows of an image.",
        quantity=OVER_TIME,
        effect=Effect(hidden_attenuation, "rnn"),
        over="initialisations",
        average="geometric",
        supported=Limit("<", 0.01),
        refuted=Limit(">", 0.1),
    ),
    Claim(
        id="falls-exponentially-in-time",
        kind="cause",
        statement="In a tanh RNN the gradient falls exponentially with the number of steps.",
        quantity="R² of a line through ln rms(dL/dh_t) against t, at initialisation",
        effect=Effect(time_r_squared, "rnn"),
        over="initialisations",
        supported=Limit(">", 0.98),
        refuted=Limit("<", 0.9),
    ),
    Claim(
        id="falls-with-the-weights",
        kind="cause",
        statement="A step passes no more than the recurrent weights' σw, 0.58 with PyTorch's.",
        quantity="factor by which rms(dL/dh) changes per time step, at initialisation",
        effect=Effect(step_factor, "rnn"),
        over="initialisations",
        average="geometric",
        supported=Limit("<", 0.6),
        refuted=Limit(">", 0.7),
        because={SUPPORTED: "φ' ≤ 1 and σw² = 1/3, as in the layers of a deep network"},
    ),
    keeps(
        "orthogonal-keeps",
        "Orthogonal recurrent weights keep the gradient of a tanh RNN.",
        Effect(hidden_attenuation, "rnn-orthogonal"),
        OVER_TIME,
        "",
    ),
    keeps(
        "identity-keeps",
        "ReLU with identity weights keeps the gradient.",
        Effect(hidden_attenuation, "rnn-identity"),
        OVER_TIME,
        "",
    ),
    keeps(
        "lstm-keeps",
        "An LSTM keeps the gradient from the start.",
        Effect(cell_attenuation, "lstm"),
        OF_CELL,
        HALF,
    ),
    keeps(
        "gru-keeps",
        "A GRU keeps the gradient from the start.",
        Effect(hidden_attenuation, "gru"),
        OVER_TIME,
        HALF,
    ),
    keeps(
        "forget-bias-keeps",
        "With a forget bias of 1 an LSTM keeps the gradient.",
        Effect(cell_attenuation, "lstm-forget"),
        OF_CELL,
        "a forget gate of σ(1) = 0.73 leaves 0.73^27 = 0.0002 over 28 rows",
    ),
    Claim(
        id="forget-bias-raises",
        kind="remedy",
        statement="A forget bias of 1 lets much more of the gradient through an LSTM.",
        quantity=f"{OF_CELL}, with forget bias 1 over that without",
        effect=Effect(cell_attenuation, "lstm-forget") / Effect(cell_attenuation, "lstm"),
        over="initialisations",
        average="geometric",
        supported=Limit(">", 10),
        refuted=Limit("<", 2),
    ),
    Claim(
        id="training-opens-lstm",
        kind="remedy",
        statement="Training opens an LSTM: its gradient reaches further back than at the start.",
        quantity="attenuation of the cell over 28 steps after training over that before",
        effect=Effect(cell_opening, "lstm"),
        over="seeds",
        average="geometric",
        supported=Limit(">", 10),
        refuted=Limit("<", 1),
    ),
    Claim(
        id="rnn-forgets",
        kind="effect",
        statement="A tanh RNN cannot remember an image over 28 empty rows.",
        quantity=ACCURACY,
        effect=Effect(final_accuracy, "rnn-wait"),
        over="seeds",
        supported=Limit("<", 0.3),
        refuted=Limit(">", 0.8),
    ),
    bridges("lstm-remembers", "An LSTM can remember an image over 28 empty rows.", "lstm-wait"),
    bridges("gru-remembers", "A GRU can remember an image over 28 empty rows.", "gru-wait"),
    bridges(
        "identity-remembers",
        "ReLU with identity weights can remember an image over 28 empty rows.",
        "rnn-identity-wait",
    ),
    Claim(
        id="forget-bias-remembers",
        kind="remedy",
        statement="A forget bias of 1 makes an LSTM remember better over the empty rows.",
        quantity=f"{ACCURACY}: difference, with forget bias 1 minus without",
        effect=Effect(final_accuracy, "lstm-forget-wait") - Effect(final_accuracy, "lstm-wait"),
        over="seeds",
        supported=Limit(">", 0.02),
        refuted=Limit("<", -0.02),
    ),
)
