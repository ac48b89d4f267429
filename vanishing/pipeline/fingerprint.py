"""Fingerprints of code: texts that change when the code that a stage runs does, and not before.

That of a variant which is a recorded run has a line per file of the run instead.

A fingerprint has a line per definition (function, class, assignment, import) that a stage uses,
directly or not: its name and the SHA-256 of its syntax tree without comments, docstrings, positions
and formatting. Each stage depends on the one file that holds its own. The lines are the same on
every Python that the project supports (docs/decisions/0010).
"""

import ast
import hashlib
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any

from vanishing.errors import StudyError
from vanishing.files import sha256
from vanishing.params.data import Computed
from vanishing.params.diagnose import Judged, module_of
from vanishing.params.study import Built, Recorded, Study
from vanishing.paths import LIBRARY, PARAMS, STAGES, stage_fingerprint, variant_fingerprint
from vanishing.pipeline.source import Definitions, Source
from vanishing.pipeline.syntax import Definition, is_docstring

BY_VARIANT = ("train", "extract", "initialise", "remedy")  # stages that work on one variant

_DOWNLOAD = "download"
_OF_CLAIMS = ("diagnose", "validate")  # stages that import the module of the claims
_TAKES_FINGERPRINTS = "fingerprint"  # the one stage that has none
_MIRROR = "track"  # the only stage with results in MLflow; the others only tell it of theirs
_IGNORED_FIELDS = frozenset({"ctx", "kind"})  # of the syntax tree: they say nothing

# {a variant's key: the registry that its value names an entry of}
_REGISTRIES = {
    "activation": ("vanishing.activations", "ACTIVATIONS"),
    "init": ("vanishing.initialisers", "INITIALISERS"),
}


def fingerprints(study: Judged, paths: Collection[Path] | None = None) -> dict[Path, str]:
    """Return the fingerprints of a study's stages and variants, of the code as it is now.

    Args:
        study: Its parameters.
        paths: Of the fingerprints to return; None for all.

    Returns:
        {path: text}.
    """
    root = Path(study.root)
    source = Source([Path(), root])  # as `sys.path` has them when a stage runs
    stages = sorted(path.stem for path in (root / STAGES).glob("[a-z]*.py"))
    texts: dict[Path, Callable[[], str]] = {
        stage_fingerprint(stage): partial(fingerprint_stage, stage, source)
        for stage in stages
        if stage != _TAKES_FINGERPRINTS
    }
    if isinstance(study.data, Computed):
        texts[stage_fingerprint(_DOWNLOAD)] = partial(_fingerprint_download, study, source)
    for stage in _OF_CLAIMS:
        texts[stage_fingerprint(stage)] = partial(_fingerprint_claims, stage, study, source)
    for name in study.variants:
        texts[variant_fingerprint(name)] = partial(fingerprint_variant, name, study, source)
    return {path: text() for path, text in texts.items() if paths is None or path in paths}


def fingerprint_stage(stage: str, source: Source, modules: Collection[str] = ()) -> str:
    """Return the fingerprint of a stage's code.

    Args:
        stage: Its name; its module is `stages.NAME`.
        source: The code.
        modules: Of the study's own that the stage imports; each counts whole.

    Returns:
        A line per definition, in alphabetical order. A stage of BY_VARIANT also depends on
        `fingerprint_variant`, and on no registry as a whole.
    """
    registries = _REGISTRIES.values() if stage in BY_VARIANT else ()
    without = [".".join(registry) for registry in registries]
    if stage != _MIRROR:
        without.append("vanishing.tracking")
    code = _write(source.used_by(f"stages.{stage}", without))
    return _join(code, *(_write(source.used_by(module)) for module in modules))


def own_modules(stage: str, params: Mapping[str, Any], source: Source) -> list[str]:
    """Return the modules of a study's own that a stage imports.

    Args:
        stage: Its name.
        params: params.yaml, not validated: it may be that of another version.
        source: The code.

    Returns:
        Dotted names of modules in `source`: that of the claims, or that of the dataset.
    """
    if stage in _OF_CLAIMS:
        claims, root = (str(params.get(key, "")) for key in ("claims", "root"))
        modules = [module_of(claims, root)] if claims else []
    elif stage == _DOWNLOAD:
        data = params.get("data")
        dataset = str(data.get("dataset", "")) if isinstance(data, Mapping) else ""
        modules = [dataset.partition(":")[0]] if ":" in dataset else []
    else:
        modules = []
    return [module for module in modules if source.path(module) is not None]


def _fingerprint_download(study: Study, source: Source) -> str:
    """Return the fingerprint of `download` where a function returns the examples."""
    stage = fingerprint_stage(_DOWNLOAD, source)
    return _join(stage, _fingerprint_function(study.data.dataset, "data.dataset", study, source))


def _fingerprint_claims(stage: str, study: Judged, source: Source) -> str:
    """Return the fingerprint of a stage that imports the module of the study's claims."""
    module = study.claims_module
    if source.path(module) is None:
        raise StudyError(f"{PARAMS}: claims: there is no file {study.claims}")
    used = source.used_by(module)
    _check_location({module, *(name for name, _ in used)}, "claims", study, source)
    return fingerprint_stage(stage, source, [module])


def fingerprint_variant(name: str, study: Study, source: Source) -> str:
    """Return the fingerprint of the code that one variant names, or of the run that it is.

    Args:
        name: Of the variant. Its entries of the registries count, or the function that returns its
            network. Of a recorded run its files count.
        study: With the variants; it says where its own code is.
        source: The code.

    Returns:
        A line per definition or file, in alphabetical order. Errors are those of
        `_fingerprint_function`.
    """
    variant = study.variants[name]
    if isinstance(variant, Recorded):
        folder = Path(variant.recorded)  # one without a run is refused by `validate` and `train`
        files = sorted([*folder.glob("run.json"), *folder.glob("*.parquet")])
        return "".join(f"{file.as_posix()} {sha256(file)}\n" for file in files)
    if isinstance(variant, Built):
        return _fingerprint_function(variant.network, f"variants.{name}.network", study, source)
    used: Definitions = {}
    for key, registry in _REGISTRIES.items():
        used |= source.used_by_entry(registry, getattr(variant, key))
    return _write(used)


def _fingerprint_function(function: str, key: str, study: Study, source: Source) -> str:
    """Return the fingerprint of a function that params.yaml names.

    Args:
        function: `module:function`. Of a module of the study's own, all of it counts, and all that
            it uses; of an installed package its version.
        key: Of params.yaml.
        study: It says where its own code is.
        source: The code.

    Returns:
        A line per definition, in alphabetical order, or one for the package.

    Raises:
        StudyError: If there is no such module, or one of the study's own is not in `code`.
    """
    module, _, _ = function.partition(":")
    if source.path(module) is not None:
        used = source.used_by(module)
        _check_location({module, *(name for name, _ in used)}, key, study, source)
        return _write(used)
    package = module.partition(".")[0]
    distributions = metadata.packages_distributions().get(package)
    if distributions is None:
        raise StudyError(f"{PARAMS}: {key}: {function}: there is no module {module}")
    versions = {name: metadata.version(name) for name in sorted({*distributions})}
    return "".join(f"{name} {version}\n" for name, version in versions.items())


def _check_location(modules: Collection[str], key: str, study: Study, source: Source) -> None:
    """Check that DVC watches the files of some modules: it takes fingerprints if one changes."""
    watched = {Path(study.root) / LIBRARY, Path(study.root) / STAGES, Path(study.code)}
    if isinstance(study, Judged):
        watched.add(Path(study.claims))
    for module in sorted(modules):
        path = source.path(module)
        if path is not None and watched.isdisjoint({path, *path.parents}):
            raise StudyError(
                f"{PARAMS}: code: should be {path} or a folder that holds it, since {key} uses it;"
                f" given {study.code}"
            )


def differences(before: str, after: str) -> list[str]:
    """Return the names of the definitions whose lines differ between two fingerprints."""
    old, new = (
        dict(line.rpartition(" ")[::2] for line in text.splitlines()) for text in (before, after)
    )
    return sorted(name for name in old | new if old.get(name) != new.get(name))


def changed_definitions(
    before: Source, after: Source, modules: Collection[str]
) -> dict[str, list[str]]:
    """Compare the definitions that some modules use, directly or not, in two versions of the code.

    Args:
        before: One version.
        after: The other.
        modules: Dotted names. A module that one version lacks is left out.

    Returns:
        {module: names of its definitions that differ, or that one version does not use}; statements
        that bind no name are "its statements", and imports "its imports".
    """
    both = [name for name in modules if before.path(name) and after.path(name)]
    without = () if f"stages.{_MIRROR}" in both else ("vanishing.tracking",)
    changed: dict[str, list[str]] = {}
    for name in both:
        old, new = (source.used_by(name, without) for source in (before, after))
        for item in sorted(old.keys() | new.keys()):
            module, definition = item
            digests = [_digest(used[item]) if item in used else "" for used in (old, new)]
            if digests[0] != digests[1]:
                binds = any(used[item].statements for used in (old, new) if item in used)
                named = definition or "its statements"
                changed.setdefault(module, []).append(named if binds else "its imports")
    return {module: list(dict.fromkeys(names)) for module, names in changed.items()}


def _join(*fingerprints: str) -> str:
    """Join fingerprints, each line once."""
    lines = {line for text in fingerprints for line in text.splitlines(keepends=True)}
    return "".join(sorted(lines))


def _write(used: Definitions) -> str:
    lines = {".".join(filter(None, item)): _digest(used[item]) for item in used}
    return "".join(f"{name} {digest}\n" for name, digest in sorted(lines.items()))


@cache
def _digest(definition: Definition) -> str:
    content = canonical(definition.statements), definition.origins, definition.order
    return hashlib.sha256(ascii(content).encode()).hexdigest()


def canonical(node: Any) -> Any:
    """Write a syntax tree as nested tuples, the same on every Python.

    Fields that are None or empty are left out, and so are docstrings and positions.

    Args:
        node: A node of `ast`, a list of nodes, or a value of a field.

    Returns:
        (type, ((field, value), …)) of a node, a tuple of a list, else the value.
    """
    if isinstance(node, list):
        return tuple(canonical(item) for item in node if not is_docstring(item))
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.JoinedStr):  # Python 3.12 splits the texts of f-strings otherwise
        fields["values"] = _join_texts(node.values)
    return type(node).__name__, tuple(
        (name, canonical(value))
        for name, value in fields.items()
        if name not in _IGNORED_FIELDS and value is not None and value != []
    )


def _join_texts(values: list[ast.expr]) -> list[ast.expr]:
    """Join the neighbouring texts of an f-string, and drop empty ones."""
    joined: list[ast.expr] = []
    for is_text, group in groupby(values, lambda value: isinstance(value, ast.Constant)):
        if is_text:
            text = "".join(str(value.value) for value in group if isinstance(value, ast.Constant))
            joined += [ast.Constant(text)] if text else []
        else:
            joined += group
    return joined
