"""`find_remedy`: plain faults, whether it learns as it is, or the smallest change that helps."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch.nn.functional import cross_entropy
from tqdm import tqdm

from vanishing.errors import StudyError, in_one_line
from vanishing.gate.assertion import adam
from vanishing.gate.trials import Loss, MakeModel, MakeOptimizer
from vanishing.judging.learning.causes import Cause, find_all
from vanishing.judging.learning.moment import Moment
from vanishing.judging.learning.verdict import Verdict, judge_learning
from vanishing.judging.runs import load_run
from vanishing.params.answers import LEARNS, TOO_EARLY
from vanishing.recorder import watch
from vanishing.remedies import changes, faults
from vanishing.remedies.advice import Advice, Trial
from vanishing.remedies.attenuations import attenuation
from vanishing.remedies.changes import Change, with_
from vanishing.remedies.pilots import Pilot
from vanishing.remedies.surgery import NotApplicableError
from vanishing.remedies.task import Loop, Score, Task, check, split_off
from vanishing.stats.intervals import arithmetic_mean, interval

RUNGS = (25, 50, 100)  # steps after which pilots are compared
INITIALISATIONS = 20  # behind each attenuation
MARGIN = 0.3  # of the score, by which a change gains, at least
_NEAR_BEST = 0.1  # of the score: a smaller change this near the best is preferred
_HEALED = 0.5  # of the score, from which on a change is expected to heal
_STRUCTURES = 2  # changes of structure that are tried besides the short list
_PROMISING = 0.1  # of the score: below this gain more steps are of no use, and pairs are tried
_PATIENCE = 200  # steps for a training of which it is too early to say whether it will learn
_OTHERS_FIRST = "not tried: others attenuate less"
_TOO_DEAR = "not tried: the pilots have cost a whole training"
_SURVIVORS = (3, 2)
_PAIRS = 2
_SHORT_LIST = (changes.BATCH_NORM, changes.ADAM, changes.XAVIER)
_LEARNED = 0.8  # of a constant answer's loss: above it more steps say whether it goes on


def find_remedy(  # noqa: PLR0913 - keywords
    make_model: MakeModel,
    data: Any,
    loss: Loss = cross_entropy,
    *,
    optimizer: MakeOptimizer = adam,
    loop: Loop | None = None,
    batch_size: int = 64,
    steps: int = 500,
    score: Score | None = None,
    seed: int = 0,
) -> Advice:
    """Say what to do about a training that does not learn, by trying it.

    1. **Plain faults**: NaN in the data, and what the first 100 steps show: a detached path, a
       parameter that the optimizer does not hold, gradients that are never reset, a loss on
       probabilities, unscaled or sorted examples, … It is named with its place, and nothing else is
       recommended, since a change can hide it.
    2. **As it is**: a training that learns, by the verdict of `judge_learning`, is left alone.
    3. **Structure**: of each initialisation, activation, normalisation and skip connection the
       attenuation of the gradient at initialisation, the median of 20 seeds.
    4. **Pilots**: short trainings, judged in evaluation mode, on test examples. A short list comes
       first; where none of it suffices Adam together with a normalisation, or with other weights;
       then the changes of structure with the least attenuation, learning rates, scaled inputs, a
       warm-up, and pairs of those that gain most.

    Recommended is the smallest change whose score is near the best, if it gains at least 0.3 over
    the training as it is. Every change is made to a copy: nothing given is modified, and random
    states are afterwards as they were.

    Args:
        make_model: Returns a new network, with torch, NumPy and Python seeded.
        data: (inputs, targets), of which the last fifth is the test; or two such pairs, training
            and test. Inputs are a tensor, or a tuple or mapping of arguments; the first axis is
            that of examples.
        loss: Called with outputs and targets; returns one number.
        optimizer: Called with the list of parameters; returns an optimizer.
        loop: A generator function of network and optimizer that trains and yields the loss after
            each step: the training loop as it is, with a `yield` in it. None for batches drawn from
            `data`. What it does wrong is only seen if it is given.
        batch_size: Of the batches drawn.
        steps: Of the whole training as it is planned: the unit of the costs.
        score: Called with a network in evaluation mode and the test's (inputs, targets); returns a
            number per example, the larger the better, 1 at best. None for whether the class is
            right; of targets that are no classes for 1 - loss / first loss.
        seed: Of weights and batches.

    Returns:
        The advice; `print` writes the answer, how it is done, and all that was tried. A StudyError
        says that an argument cannot be used, or that a function of yours raises.
    """
    train, test = split_off(data)
    task = Task(make_model, train, test, loss, optimizer, loop, batch_size, steps, score)
    check(task)
    return search(task, seed)


def _is_open(verdict: Verdict) -> bool:
    """Tell whether more steps may say something else of a training."""
    has_barely_begun = verdict.answer == LEARNS and verdict.loss_share > _LEARNED
    return has_barely_begun or verdict.answer == TOO_EARLY


def _is_single(pilot: Pilot) -> bool:
    return pilot.change is not None and len(pilot.change.kinds) == 1


def _rates(causes: Sequence[Cause]) -> Sequence[Change]:
    """Return the learning rates to try where the causes say that steps are too small or large."""
    relations = {cause.limit.relation for cause in causes if cause.name == "learning-rate"}
    if not relations:
        return ()
    return changes.RATES[2:] if "<" in relations else changes.RATES[:2]


def search(task: Task, seed: int = 0) -> Advice:
    """Find the remedy of a task; see `find_remedy`."""
    fault = faults.in_data(task)
    if fault is not None:
        return Advice("fault", "", fault=fault)
    return _Search(task, seed).run()


class _Search:
    """What was measured of a task, and the order in which it is."""

    def __init__(self, task: Task, seed: int) -> None:
        self._task = task
        self._seed = seed
        self._base = Pilot(task, None, seed)
        self._decades: dict[str, float] = {}
        self._notes: dict[str, str] = {}
        self._pilots: dict[str, Pilot] = {}
        self._steps = 0
        self._bar = tqdm(desc="as it is", unit="step", disable=None, leave=False)

    def run(self) -> Advice:
        """Go through all that there is to do, until there is an answer."""
        with self._bar:
            verdict, causes = self._watch()
            fault = self._fault(verdict, causes)
            if fault is not None:
                return Advice(
                    "fault", verdict.reason, fault=fault, as_is=self._as_is(), trainings=self._cost
                )
            if verdict.answer == LEARNS:
                return Advice("learns", verdict.reason, as_is=self._as_is(), trainings=self._cost)
            structures = self._structures()
            rates = _rates(causes)
            self._try(self._short_list(structures, rates), RUNGS[0])
            self._go_on(self._passing()[: _SURVIVORS[1]] or self._promising()[:1], RUNGS[2])
            if not self._suffices():
                self._try(self._first_pair(structures), RUNGS[2])
            if not self._passing():
                self._go_on(self._promising()[:1], _PATIENCE)
            if not self._passing():
                self._try(self._long_list(structures, rates), RUNGS[0])
                self._go_on(self._ranked()[: _SURVIVORS[0]], RUNGS[1])
                self._go_on(self._promising()[: _SURVIVORS[1]], RUNGS[2])
            if not self._passing():
                self._try(self._pairs(), RUNGS[2])
            self._catch_up()
            return self._advise(verdict)

    @property
    def _cost(self) -> float:
        return self._steps / self._task.steps

    def _watch(self) -> tuple[Verdict, list[Cause]]:
        """Train as it is, to the last rung, or as long as it takes to say whether it will learn."""
        pilot = self._base
        latest: list[Verdict] = []
        with TemporaryDirectory() as folder:
            path = Path(folder) / "remedy"
            watching = watch(
                pilot.model, pilot.optimizer, folder=path, mlflow=False, alarm=latest.append
            )
            with watching:
                for rung in (*RUNGS, _PATIENCE):
                    if rung != _PATIENCE or _is_open(latest[-1]):
                        self._advance(pilot, rung, watching)
            run = load_run(path)
        steps = pilot.steps
        return judge_learning(run, steps), list(find_all(Moment(run, steps)))

    def _advance(self, pilot: Pilot, until: int, hears: Any = None) -> None:
        before = len(pilot.losses)
        pilot.advance(until, hears)
        self._steps += len(pilot.losses) - before
        self._bar.update(len(pilot.losses) - before)

    def _fault(self, verdict: Verdict, causes: Sequence[Cause]) -> faults.Fault | None:
        """Return the plain fault of a training that does not learn, or has not begun to."""
        first = verdict.cause or next(iter(causes), None)
        if verdict.answer == LEARNS or first is None:
            return None
        return faults.from_cause(first, self._task, self._base.model)

    def _structures(self) -> list[Change]:
        """Return the changes of structure, those with the least attenuation first."""
        self._bar.set_description("attenuation at initialisation")
        self._decades[""] = attenuation(self._task, None, INITIALISATIONS)
        structural = [change for change in changes.SINGLES if change.is_structural]
        return sorted(filter(self._measure, structural), key=self._distance)

    def _measure(self, change: Change) -> bool:
        try:
            self._decades[change.name] = attenuation(self._task, change, INITIALISATIONS)
        except NotApplicableError as error:
            self._notes[change.name] = str(error)
            return False
        except (
            RuntimeError,
            ValueError,
            TypeError,
        ) as error:  # a network that takes no such change
            self._notes[change.name] = f"the network fails with it: {in_one_line(error)}"
            return False
        return True

    def _distance(self, change: Change) -> float:
        decades = abs(self._decades[change.name])
        return math.inf if math.isnan(decades) else decades

    def _short_list(
        self, structures: Sequence[Change], rates: Sequence[Change]
    ) -> Iterable[Change]:
        return dict.fromkeys([*_SHORT_LIST, *structures[:1], *rates])

    def _first_pair(self, structures: Sequence[Change]) -> Iterator[Change]:
        """Yield Adam and what normalises, or draws weights: one heals steps, one the network."""
        partners = [changes.BATCH_NORM, *structures[:1], changes.XAVIER]
        tried = [change for change in partners if change.name in self._pilots]
        if tried and changes.ADAM.name in self._pilots:
            yield with_(tried[0], changes.ADAM)

    def _long_list(self, structures: Sequence[Change], rates: Sequence[Change]) -> Iterator[Change]:
        """Yield what else may help: of structures the best, and rates where none is known."""
        others = [change for change in structures if change.name not in self._pilots]
        yield from others[:_STRUCTURES]
        if not rates:
            yield from (changes.RATES[1], changes.RATES[2])
        yield changes.INPUTS
        if changes.RATES[0] in rates:
            yield changes.WARM_UP

    def _try(self, several: Iterable[Change], until: int) -> None:
        """Train with each change, where it can be made and one training as planned pays for it."""
        for change in several:
            if self._steps + until > self._task.steps:
                self._notes.setdefault(change.name, _TOO_DEAR)
                continue
            self._bar.set_description(change.name)
            try:
                pilot = Pilot(self._task, change, self._seed)
                self._advance(pilot, until)
            except (NotApplicableError, StudyError) as error:  # of what a change does to a network
                self._notes[change.name] = str(error)
                continue
            self._pilots[change.name] = pilot

    def _go_on(self, pilots: Iterable[Pilot], until: int) -> None:
        """Train those on that have fewer steps, as long as one training as planned pays for it."""
        for pilot in pilots:
            if pilot.steps < until and self._steps + until - pilot.steps <= self._task.steps:
                self._bar.set_description(pilot.name)
                self._advance(pilot, until)

    def _catch_up(self) -> None:
        """Train the best single change as long as a pair that suffices: it may suffice, too."""
        best = self._best()
        if best is not None and not _is_single(best):
            self._go_on(list(filter(_is_single, self._ranked()))[:1], best.steps)

    def _ranked(self) -> list[Pilot]:
        return sorted(self._pilots.values(), key=self._gain, reverse=True)

    def _gain(self, pilot: Pilot) -> float:
        """Return by how much a change scores better after as many steps, or the base's last."""
        level = self._base.level(self._steps_beside(pilot))
        return pilot.level(pilot.steps) - (level if math.isfinite(level) else 0.0)

    def _steps_beside(self, pilot: Pilot) -> int:
        """Return the steps of the training as it is, which stands still, beside which it is put."""
        return min(pilot.steps, self._base.steps)

    def _promising(self) -> list[Pilot]:
        return [pilot for pilot in self._ranked() if self._gain(pilot) >= _PROMISING]

    def _passing(self) -> list[Pilot]:
        """Return those that gain enough, the one that gains most first."""
        return [pilot for pilot in self._ranked() if self._gain(pilot) >= MARGIN]

    def _suffices(self) -> bool:
        """Tell whether one that gains enough is expected to heal."""
        last = [pilot for pilot in self._passing() if pilot.steps >= RUNGS[-1]]
        return any(pilot.level(pilot.steps) >= _HEALED for pilot in last)

    def _pairs(self) -> list[Change]:
        """Return pairs of the changes that gain most, of different kinds."""
        singles = [p.change for p in self._ranked() if p.change is not None and _is_single(p)]
        pairs = [
            with_(first, second)
            for place, first in enumerate(singles)
            for second in singles[place + 1 :]
            if set(first.kinds).isdisjoint(second.kinds)
        ]
        return [pair for pair in pairs if pair.name not in self._pilots][:_PAIRS]

    def _advise(self, verdict: Verdict) -> Advice:
        ranked = self._ranked()
        tried = [self._trial(pilot) for pilot in ranked]
        tried += [
            Trial(name, decades=self._decades.get(name, math.nan), note=note)
            for name, note in self._notes.items()
        ]
        tried += [
            Trial(name, decades=decades, note=_OTHERS_FIRST)
            for name, decades in self._decades.items()
            if name and name not in self._pilots and name not in self._notes
        ]
        best = self._best()
        answer = Advice(
            "none", verdict.reason, as_is=self._as_is(), tried=tried, trainings=self._cost
        )
        if best is None or best.change is None:
            return answer
        trial = next(trial for trial in tried if trial.name == best.name)
        return replace(
            answer,
            outcome="change",
            change=trial,
            is_expected_to_heal=trial.score >= _HEALED,
            params=tuple(best.change.params.items()),
        )

    def _best(self) -> Pilot | None:
        """Return the smallest change whose gain suffices, and whose score is near the best."""
        passing = [pilot for pilot in self._passing() if pilot.steps >= RUNGS[-1]]
        if not passing:
            return None
        most = max(pilot.level(pilot.steps) for pilot in passing)
        near = [p for p in passing if p.level(p.steps) >= most - _NEAR_BEST and p.change]
        return min(near, key=lambda pilot: pilot.change.size if pilot.change else 0)

    def _trial(self, pilot: Pilot) -> Trial:
        steps = pilot.steps
        base, scores = self._base.scores[self._steps_beside(pilot)], pilot.scores[steps]
        bounds = None
        if len(scores) == len(base) > 1:
            low, high = interval(scores - base, arithmetic_mean)
            bounds = None if low is None or high is None else (low, high)
        return Trial(
            pilot.name,
            pilot.change.code if pilot.change else "",
            self._decades.get(pilot.name, math.nan),
            steps,
            pilot.level(steps),
            self._gain(pilot),
            bounds,
            pilot.parameters - self._base.parameters,
            pilot.seconds,
        )

    def _as_is(self) -> Trial:
        base = self._base
        return Trial(
            "",
            decades=self._decades.get("", math.nan),
            steps=base.steps,
            score=base.level(base.steps),
            seconds=base.seconds,
        )
