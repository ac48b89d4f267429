"""The cases: names, twins, causes, and that each can be built."""

from collections import Counter

import pytest
import torch
from torch import nn

from benchmarks.zoo import networks
from benchmarks.zoo.alterations import ALTERATIONS, alter
from benchmarks.zoo.cases import CASES, CAUSES, FAULTS, TAGS, Case, reference
from benchmarks.zoo.data import DEFECTS

BY_NAME = {case.name: case for case in CASES}
SIDES = {"mnist": 28, "digits": 8}


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(CASES)


def test_no_two_cases_train_the_same() -> None:
    recipes = Counter(str(case.recipe) for case in CASES)
    assert [recipe for recipe, count in recipes.items() if count > 1] == []


def test_every_twin_exists_and_has_no_fault() -> None:
    for case in CASES:
        twin = BY_NAME[case.twin]
        assert twin.fault is None
        assert twin.dataset == case.dataset
        if case.fault:
            assert twin.name == case.family
            assert case.name == f"{twin.name}+{case.fault}"
        else:
            assert twin.name == reference(case.dataset)


def test_a_sick_case_differs_from_its_twin_in_one_thing() -> None:
    for case in CASES:
        twin = BY_NAME[case.twin]
        if case.fault:
            pairs = zip(case.recipe.items(), twin.recipe.values(), strict=True)
            differing = [name for (name, value), other in pairs if value != other]
            assert len(differing) == 1, case.name


def test_causes_and_tags_are_known_and_all_used() -> None:
    assert {case.cause for case in CASES if case.fault} == CAUSES
    assert {tag for case in CASES for tag in case.tags} == TAGS
    assert all(case.cause is None and case.layer is None for case in CASES if not case.fault)
    assert {case.fault for case in CASES} == {None, *(fault.name for fault in FAULTS)}


def test_there_are_as_many_of_each_kind_as_the_zoo_is_to_have() -> None:
    tags = Counter(tag for case in CASES for tag in case.tags)
    assert Counter(case.dataset for case in CASES) == {"mnist": 546, "digits": 80}
    assert tags["late"] >= 40
    assert tags["slow"] >= 40
    assert tags["suspicious"] >= 40
    assert sum(case.fault is None for case in CASES) == 191


@pytest.mark.parametrize(
    "cases",
    [[case for case in CASES if case.network == name] for name in networks.NETWORKS],
    ids=list(networks.NETWORKS),
)
def test_each_network_gives_logits_and_has_the_layer_of_its_fault(cases: list[Case]) -> None:
    built: dict[str, nn.Module] = {}
    assert cases
    for case in cases:
        side = SIDES[case.dataset]
        recipe = f"{side} {case.arguments}"
        if recipe not in built:
            built[recipe] = networks.build(case.network, side, case.arguments)
            with torch.no_grad():
                logits = built[recipe](torch.zeros(2, 1, side, side))
            assert logits.shape == (2, networks.CLASSES)
        if case.layer:
            assert list(built[recipe].get_submodule(case.layer).parameters())
        for alteration in case.alterations:
            assert alteration.kind in ALTERATIONS
        if case.layer and case.alterations:
            assert case.alterations[-1].layer == case.layer
        assert case.defect is None or case.defect in DEFECTS


def test_alterations_do_what_they_say() -> None:
    case = BY_NAME["mnist-mlp-relu-3-batchnorm-adam"]

    def altered(fault: str) -> nn.Module:
        network = networks.build(case.network, 28, case.arguments)
        sick = next(c for c in CASES if c.fault == fault and c.alterations)
        for alteration in sick.alterations:
            alter(network, alteration)
        return network

    frozen = altered("frozen-but-head")
    trainable = [name for name, p in frozen.named_parameters() if p.requires_grad]
    assert trainable == ["head.weight", "head.bias"]
    constant = altered("weights-constant").get_submodule("hidden1").get_parameter("weight")
    assert len(set(constant.flatten().tolist())) == 1
    inputs = 3 + torch.randn(64, 1, 28, 28)
    for fault in ("statistics-frozen", "statistics-forgotten"):
        network = altered(fault)
        before = network.get_submodule("norm1").get_buffer("running_mean").clone()
        network.train()(inputs)
        after = network.get_submodule("norm1").get_buffer("running_mean")
        assert torch.equal(before, after)
    mistaken = altered("statistics-mistaken").get_submodule("norm1")
    assert set(mistaken.get_buffer("running_mean").tolist()) == {100}
    assert set(mistaken.get_buffer("running_var").tolist()) == {10_000}


@pytest.mark.parametrize("kind", ["mlp", "recurrent"])
def test_what_is_detached_gets_no_gradient(kind: str) -> None:
    case = next(c for c in CASES if c.fault == "detached" and c.network == kind)
    network = networks.build(case.network, SIDES[case.dataset], case.arguments)
    for alteration in case.alterations:
        alter(network, alteration)
    side = SIDES[case.dataset]
    network(torch.randn(4, 1, side, side)).sum().backward()
    assert case.layer
    layer, head = network.get_submodule(case.layer), network.get_submodule("head")
    assert all(p.grad is None for p in layer.parameters())
    assert all(p.grad is not None for p in head.parameters())
