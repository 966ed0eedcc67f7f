"""Networks, classical learners, bundles and ensembles on the same images, each reading the test split once."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from secondread.errors import DataInvalid, UnknownName
from secondread.lab.candidates import BundleCandidate, Candidate, Comparison, EnsembleCandidate
from secondread.lab.classical import list_classical
from secondread.lab.ensemble import ENSEMBLES
from secondread.lab.making import Maker, OnStart
from secondread.lab.results import predictions_in
from secondread.lab.scoring import Scorer
from secondread.lab.systems import list_systems, load_system
from secondread.models import check_model, list_models
from secondread.reading import load_bundle
from secondread.training.train import Progress


def compare_models(
    comparison: Comparison,
    out: Path,
    *,
    systems: Sequence[str] = (),
    models: Sequence[str] = (),
    bundles: Sequence[str] = (),
    ensembles: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    baseline: str = "lenet",
    command: str = "",
    progress: Progress | None = None,
    on_start: OnStart = lambda name, what: None,
    on_result: Callable[[dict[str, Any]], None] = lambda result: None,
) -> list[dict[str, Any]]:
    """One result for each candidate, the baseline first; also written to `out/results`.

    systems: of `list_systems`, each by a recipe of its own; models: networks and classical learners, by the
    comparison's recipe; both once for every seed (a seed of `seeds`). Networks are trained into `out/<name>-<seed>`,
    and found there when asked for again. bundles: references of `load_bundle`. ensembles: of ENSEMBLES, each made of
    all networks and bundles asked for. baseline: a system where systems are asked for, else a model (with the first
    seed), or a bundle; all are tested against it on the same images. Who can be taught anew is also taught without each
    of the comparison's hospitals, and measured on it. A result that is already in `out/results` is kept unless its
    candidate or the data changed, so a test split is read once. on_result: is told each as soon as it is there.
    Raises UnknownName, DataInvalid, BundleError, or TrainingError if `out` holds runs of other settings.
    """
    _check(systems, models, ensembles, baseline)
    maker = Maker(comparison, out, command, progress or Progress(), on_start)
    first = _first(maker, baseline, seeds[0], bool(systems))
    scorer = Scorer(comparison, out, command, first, on_start)
    results: dict[str, dict[str, Any]] = {}

    def score(one: Candidate) -> None:
        results[one.name] = scorer.result(one)
        on_result(results[one.name])
        maker.tidy(one.name)

    score(first)
    members = {}
    for one in _asked(maker, first, bundles, systems, models, seeds):
        if one.name not in results:
            score(one)
        if isinstance(one, BundleCandidate):
            members[one.name] = one
    for method in ensembles:
        if not members:
            raise DataInvalid("an ensemble is made of networks and bundles; name some with --model or --bundle")
        said = [predictions_in(results[name]) for name in members]
        score(EnsembleCandidate(method, list(members.values()), said, comparison))
    return list(results.values())


def _first(maker: Maker, baseline: str, seed: int, of_systems: bool) -> Candidate:
    """The baseline."""
    if of_systems and baseline in list_systems():
        return maker.system(baseline, seed)
    return maker.model(baseline, seed) if _is_model(baseline) else maker.bundle(baseline)


def _asked(
    maker: Maker,
    first: Candidate,
    bundles: Sequence[str],
    systems: Sequence[str],
    models: Sequence[str],
    seeds: Sequence[int],
) -> Iterator[Candidate]:
    """Each is made when the one before is scored. Raises DataInvalid for two bundles of one name."""
    seen = {first.name: first.key}
    for reference in bundles:
        one = maker.bundle(reference)
        if seen.setdefault(one.name, one.key) != one.key:
            raise DataInvalid(f"two bundles are named '{one.name}'; compare them in two runs, each with its own --out")
        yield one
    for make, names in ((maker.system, systems), (maker.model, models)):
        for name in names:
            for seed in seeds:
                yield first if first.name == f"{name}-{seed}" else make(name, seed)


def _check(systems: Sequence[str], models: Sequence[str], ensembles: Sequence[str], baseline: str) -> None:
    """Names are looked at before hours are spent on the first of them."""
    for system in systems:
        load_system(system)
    known = {**list_models(), **list_classical()}
    for model in models:
        if ":" in model:
            check_model(model)
        elif model not in known:
            raise UnknownName.of("model", model, known)
    for method in ensembles:
        if method not in ENSEMBLES:
            raise UnknownName.of("ensemble", method, ENSEMBLES)
    if not _is_model(baseline) and not (systems and baseline in list_systems()):
        load_bundle(baseline)


def _is_model(name: str) -> bool:
    return name in list_models() or name in list_classical()
