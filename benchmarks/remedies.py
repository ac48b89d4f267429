"""Whether what `vanishing.find_remedy` recommends heals, beside simpler ways, on the zoo (0030).

In: data/raw, and benchmarks/zoo/truth.csv. data/zoo/remedies keeps what is trained (an hour and a
half on two cores), so that a killed run is resumed. The groups, what counts as healed, and the
numbers to be reached were written down before a case of the two tested halves was asked about
(docs/decisions/0030); the numbers inside `find_remedy` were chosen on the half "development".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean

from scipy.stats import binomtest

from benchmarks.measuring import Figures, Result, Row
from benchmarks.verdicts import JOBS
from benchmarks.zoo import data, healing
from benchmarks.zoo.__main__ import complete
from benchmarks.zoo.cases import CASES, Case
from benchmarks.zoo.double_faults import double_faults
from benchmarks.zoo.healing import ALWAYS, AS_IS, Healing, Recommendation, Search
from benchmarks.zoo.rates import wilson
from benchmarks.zoo.rivals import recommendations
from benchmarks.zoo.rivals.answers import check_tools
from benchmarks.zoo.rivals.recommendations import FirstLine, change_of
from benchmarks.zoo.split import TESTED, Half, half
from benchmarks.zoo.table import read_truths
from benchmarks.zoo.truth import FAILS, skill
from vanishing.files import digest
from vanishing.remedies.changes import SINGLES
from vanishing.remedies.faults import MENDING

SEEDS = (100, 101)  # no pilot has seen them
HEALED = 0.9  # of the healthy twin's skill, the mean over seeds
WORSE = 0.1  # of skill: a healthy network that loses as much is worse
HEALTHY = "healthy"
_HEALTHY_CASES = 48  # of those that learn, at even distances in the list
CHANGEABLE = frozenset({"activation", "dead-units", "depth", "initialisation", "learning-rate"})
ISSUE = frozenset(  # plain faults that are no settings
    {"accumulation", "detached", "frozen", "inputs", "loss", "non-finite", "normalization", "order"}
)
DATA = frozenset({"labels"})  # nothing but the data can be mended
OURS, ATTENUATION, RANDOM = "find_remedy", "least attenuation, no pilot", "a random change"
TORCHMORTEM = "torchmortem's first line"
BEST = "the best single change that exists"

Choices = Mapping[str, Mapping[str, str | None]]  # {method: {name of a case: its change}}


def measure() -> Figures:
    """Ask, train and count, on the halves that no threshold has seen.

    Returns:
        Figures and tables. A StudyError says that a tool is not installed.
    """
    check_tools()
    groups = tested_groups()
    answers = ask(groups)
    choices = choices_of(groups, answers, ask_torchmortem(groups))
    make(groups, choices)
    return summarize(groups, answers, choices)


def tested_groups() -> dict[str, list[Case]]:
    """Return {group: cases} of the halves that count."""
    groups = groups_of(TESTED)
    groups["two faults at once"] = failing(double_faults("held out"))
    return groups


def failing(cases: Sequence[Case]) -> list[Case]:
    """Return those that fail as they are, as 0023 has it: their skill is below 0.2."""
    train(
        Healing(either, AS_IS, seed)
        for case in cases
        for either in (case, twin_of(case))
        for seed in SEEDS
    )
    return [case for case in cases if mean(skills(case, AS_IS)) < FAILS]


def groups_of(halves: Sequence[Half]) -> dict[str, list[Case]]:
    """Return the cases of some halves: sick, plain, unmendable and healthy ones."""
    truths = read_truths()
    known = [case for case in CASES if half(case) in halves]
    fails = [case for case in known if truths.loc[case.name, "truth"] == "will not learn"]
    learns = [
        case for case in known if truths.loc[case.name, "truth"] == "learns" and case.fault is None
    ]
    groups: dict[str, list[Case]] = {}
    for part in halves:
        of_part = [case for case in fails if half(case) == part]
        groups[f"sick, {part}"] = [case for case in of_part if case.cause in CHANGEABLE]
        groups[f"plain, {part}"] = [case for case in of_part if case.cause in ISSUE]
        groups[f"settings, {part}"] = [
            case for case in of_part if case.cause in set(MENDING) - ISSUE
        ]
        groups[f"labels, {part}"] = [case for case in of_part if case.cause in DATA]
    groups[HEALTHY] = learns[:: max(1, len(learns) // _HEALTHY_CASES)]
    return groups


def is_sick(group: str) -> bool:
    """Tell whether a change is what the cases of a group need."""
    return group.startswith(("sick", "two"))


def sick_of(groups: Mapping[str, Sequence[Case]]) -> list[Case]:
    """Return the cases that need a change."""
    return [case for group, members in groups.items() if is_sick(group) for case in members]


def ask(groups: Mapping[str, Sequence[Case]]) -> dict[str, Recommendation]:
    """Look for a remedy of all cases.

    Returns:
        {name of a case: what is recommended}.
    """
    questions = [Search(case) for group in groups.values() for case in group]
    complete(questions, JOBS, healing.ask)
    return {question.case.name: question.read() for question in questions}


def ask_torchmortem(groups: Mapping[str, Sequence[Case]]) -> dict[str, str | None]:
    """Read what torchmortem recommends first for sick and healthy cases.

    Returns:
        {name of a case: a line of its report, or None}.
    """
    questions = [FirstLine(case) for case in [*sick_of(groups), *groups[HEALTHY]]]
    complete(questions, JOBS, recommendations.ask)
    return {question.case.name: question.read() for question in questions}


def choices_of(
    groups: Mapping[str, Sequence[Case]],
    answers: Mapping[str, Recommendation],
    lines: Mapping[str, str | None],
) -> Choices:
    """Return which change each method makes in sick cases, and in healthy ones if it says."""
    sick = sick_of(groups)
    both = [case.name for case in [*sick, *groups[HEALTHY]]]
    named = {name: change_of(line) for name, line in lines.items()}
    return {
        OURS: {name: answers[name].change for name in both},
        RANDOM: {case.name: random_change(case) for case in sick},
        **{method: dict.fromkeys(both, method) for method in ALWAYS},
        TORCHMORTEM: {name: change.name if change else None for name, change in named.items()},
        ATTENUATION: {case.name: answers[case.name].attenuation for case in sick},
    }


def make(groups: Mapping[str, Sequence[Case]], choices: Choices) -> None:
    """Train what the table needs: the best change that exists only where ours does not heal."""
    sick = sick_of(groups)
    wanted = [
        Healing(case, change, seed)
        for case in [*sick, *groups[HEALTHY]]
        for changes in choices.values()
        if (change := changes.get(case.name)) is not None
        for seed in SEEDS
    ]
    wanted += [Healing(twin_of(case), AS_IS, seed) for case in sick for seed in SEEDS]
    wanted += [Healing(case, AS_IS, seed) for case in groups[HEALTHY] for seed in SEEDS]
    train(wanted)
    left = [case for case in sick if not heals(case, choices[OURS][case.name])]
    train(Healing(case, change.name, seed) for case in left for change in SINGLES for seed in SEEDS)


def train(wanted: Iterable[Healing]) -> None:
    """Train what is missing."""
    pieces = {piece.path: piece for piece in wanted}
    complete(list(pieces.values()), JOBS, healing.train)


def random_change(case: Case) -> str:
    """Return a change that a hash of the name chooses."""
    number = int(digest(case.name)[:8], 16)
    return SINGLES[number % len(SINGLES)].name


def twin_of(case: Case) -> Case:
    """Return the case without the fault."""
    return next(other for other in CASES if other.name == case.twin)


def skills(case: Case, change: str) -> list[float]:
    """Return the skills of a change, by seed; 0 where it cannot be applied."""
    constant = data.load(case.dataset).largest_class
    accuracies = [Healing(case, change, seed).read() for seed in SEEDS]
    twin = mean(Healing(twin_of(case), AS_IS, seed).read() or 0.0 for seed in SEEDS)
    return [skill(constant if a is None else a, constant, twin) for a in accuracies]


def heals(case: Case, change: str | None) -> bool:
    """Tell whether a change brings a sick case to 0.9 of its twin's skill."""
    return change is not None and mean(skills(case, change)) >= HEALED


def can_be_healed(case: Case, answer: Recommendation) -> bool:
    """Tell whether any single change heals, or the one that is recommended."""
    return heals(case, answer.change) or any(heals(case, change.name) for change in SINGLES)


def summarize(
    groups: Mapping[str, Sequence[Case]],
    answers: Mapping[str, Recommendation],
    choices: Choices,
) -> Figures:
    """Count, with 95 % intervals after Wilson."""
    sick = {group: members for group, members in groups.items() if is_sick(group)}
    everyone = sick_of(groups)
    healed = {
        method: {case.name: heals(case, changes[case.name]) for case in everyone}
        for method, changes in choices.items()
    }
    healed[BEST] = {case.name: can_be_healed(case, answers[case.name]) for case in everyone}
    table = [
        {
            "method": method,
            **{
                group: _share([outcome[c.name] for c in members]) for group, members in sick.items()
            },
            "all": _share(list(outcome.values())),
            **_of_healthy(groups[HEALTHY], choices.get(method, {})),
        }
        for method, outcome in healed.items()
    ]
    missed = [
        {"case": case.name, **_said(answers[case.name]), "any change heals": best}
        for case in everyone
        if not healed[OURS][case.name]
        for best in [healed[BEST][case.name]]
    ]
    return Figures(
        [*_of_sick(everyone, answers, healed), *_of_others(groups, answers)],
        {"remedies": table, "not healed": missed, "plain faults": _faults(groups, answers)},
    )


def _said(answer: Recommendation) -> Row:
    said = answer.change or answer.fault or answer.outcome
    return {"recommended": said, "expected to heal": answer.expected}


def _share(values: Sequence[bool]) -> str:
    low, high = wilson(sum(values), len(values))
    return f"{sum(values) / len(values):.2f} [{low:.2f}, {high:.2f}] of {len(values)}"


def _of_healthy(healthy: Sequence[Case], changes: Mapping[str, str | None]) -> Row:
    """Count the healthy networks that a method changes, and makes worse, if it was asked."""
    if any(case.name not in changes for case in healthy):
        return {"healthy changed": "", "made worse": ""}
    changed = [(case, change) for case in healthy if (change := changes[case.name]) is not None]
    worse = sum(_gets_worse(case, change) for case, change in changed)
    return {"healthy changed": f"{len(changed)} of {len(healthy)}", "made worse": str(worse)}


def _gets_worse(case: Case, change: str) -> bool:
    constant = data.load(case.dataset).largest_class
    before = mean(Healing(case, AS_IS, seed).read() or 0.0 for seed in SEEDS)
    after = [Healing(case, change, seed).read() for seed in SEEDS]
    return any(a is not None and skill(a, constant, before) < 1 - WORSE for a in after)


def _of_sick(
    cases: Sequence[Case],
    answers: Mapping[str, Recommendation],
    healed: Mapping[str, Mapping[str, bool]],
) -> list[Result]:
    ours = healed[OURS]
    everything = healed["He, batch normalization and Adam always"]
    he_and_norm = healed["He and batch normalization always"]
    healable = [case for case in cases if healed[BEST][case.name]]
    promised = [case for case in cases if answers[case.name].expected]
    behind = mean(everything.values()) - mean(ours.values())
    better = sum(ours[c.name] and not he_and_norm[c.name] for c in cases)
    worse = sum(he_and_norm[c.name] and not ours[c.name] for c in cases)
    p = binomtest(better, better + worse).pvalue if better + worse else 1.0
    costs = [answers[case.name].trainings for case in cases]
    detail = f"better in {better}, worse in {worse} of {len(cases)}"
    return [
        _result("the first recommendation heals", [ours[c.name] for c in cases], ">= 0.75"),
        _result("of those that any change heals", [ours[c.name] for c in healable], ">= 0.85"),
        _result("expected to heal, and does", [ours[c.name] for c in promised], ">= 0.9"),
        Result("remedies: all three always, minus ours", behind, "<= 0.05", "", "", ""),
        Result("remedies: p, ours and He and batch norm", float(p), "<= 0.05", "", "", detail),
        Result(
            "remedies: cost, in trainings, the mean",
            mean(costs),
            "<= 1.0",
            "<= 0.3",
            "",
            f"the most {max(costs):.2f}",
        ),
    ]


def _of_others(
    groups: Mapping[str, Sequence[Case]], answers: Mapping[str, Recommendation]
) -> list[Result]:
    plain = [
        case for group, members in groups.items() if group.startswith("plain") for case in members
    ]
    healthy = groups[HEALTHY]
    changes = [answers[case.name].change for case in healthy]
    return [
        _result(
            "plain faults named",
            [answers[case.name].fault == case.cause for case in plain],
            ">= 0.8",
        ),
        _result(
            "plain faults with a change recommended",
            [answers[case.name].change is not None for case in plain],
            "<= 0.1",
        ),
        _result("healthy networks changed", [c is not None for c in changes], "<= 0.05"),
        _result(
            "healthy networks made worse",
            [
                change is not None and _gets_worse(case, change)
                for case, change in zip(healthy, changes, strict=True)
            ],
            "<= 0",
        ),
    ]


def _result(what: str, values: Sequence[bool], must: str) -> Result:
    low, high = wilson(sum(values), len(values))
    detail = f"{sum(values)} of {len(values)}, 95 % interval {low:.3f} to {high:.3f}"
    return Result(f"remedies: {what}", sum(values) / len(values), must, must, "", detail)


def _faults(
    groups: Mapping[str, Sequence[Case]], answers: Mapping[str, Recommendation]
) -> list[Row]:
    """Say of each group with another fault how many are named, and how many get a change."""
    kinds: Mapping[str, Callable[[Case, Recommendation], bool]] = {
        "named": lambda case, answer: answer.fault == case.cause,
        "another fault named": lambda case, answer: answer.fault not in {None, case.cause},
        "change recommended": lambda _case, answer: answer.change is not None,
        "none": lambda _case, answer: answer.outcome == "none",
        "said to learn": lambda _case, answer: answer.outcome == "learns",
    }
    return [
        {
            "cases": group,
            "count": len(members),
            **{
                kind: sum(holds(case, answers[case.name]) for case in members)
                for kind, holds in kinds.items()
            },
        }
        for group, members in groups.items()
        if members and not is_sick(group)
    ]
