"""Before anything is sent: what a site's own images are like, and exactly what of them will leave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secondread.auditing import Audit, audit
from secondread.data import Manifest
from secondread.data.split import SHARED
from secondread.files import write_json
from secondread.lab.federated.gated import without_refused
from secondread.lab.federated.histograms import LOGIT_EDGES
from secondread.lab.federated.shares import PARTS, SiteData, site_data
from secondread.lab.federated.site import OPEN, Policy
from secondread.tasks import Task

STOPS = ("leakage", "groups", "labels")  # alarms with which a site would teach or measure wrongly


@dataclass(frozen=True)
class Check:
    """What was found, and what will leave."""

    site: SiteData  # without what the shipped gate refuses
    audit: Audit  # of all images
    terms: Mapping[str, str]  # source → terms as the task knows them; '' where it does not
    leaves: tuple[str, ...]
    stays: tuple[str, ...]
    notes: tuple[str, ...]  # which images take no part, or another than their split says

    @property
    def stops(self) -> tuple[str, ...]:
        """Kinds of alarm that must be mended, or be named, before this site takes part."""
        return tuple(kind for kind in STOPS if self.audit.found(kind))

    def to_dict(self) -> dict[str, Any]:
        """For check.json, which stays at the site."""
        return {
            "site": self.site.name,
            "fingerprint": self.site.fingerprint(),
            "counts": self.site.counts(),
            "findings": [
                {"kinds": list(one.kinds), "level": one.level, "count": one.count, "sentence": one.sentence}
                for one in self.audit.findings
            ],
            "stops": list(self.stops),
            "refused_by_gate": dict(self.site.refused),
            "terms": dict(self.terms),
            "leaves": list(self.leaves),
            "stays": list(self.stays),
            "notes": list(self.notes),
        }


def check_site(
    name: str,
    manifest: Manifest,
    task: Task,
    *,
    policy: Policy = OPEN,
    progress: Callable[[str, int, int], None] | None = None,
) -> Check:
    """Audit the images, ask the shipped gate of those that teach and choose, and say what the policy lets out.

    A policy without gate leaves it out. Raises DataInvalid or TrainingError for images that cannot teach.
    """
    data = site_data(name, manifest)
    if policy.gate:
        data = without_refused(data, task)
    made = audit(manifest, progress=progress)
    known = {source.name: source.terms for source in task.sources}
    terms = {source: known.get(source, "") for source in sorted({row.source for row in manifest.rows})}
    return Check(data, made, terms, will_leave(data, policy), will_stay(data), taken_otherwise(manifest))


_STAYS = (
    "every image and every pixel of it",
    "paths, file names, patients, groups, dates and all other columns of the manifest",
    "the score of any one image by its name; the site's own evidence file",
)


def will_stay(data: SiteData) -> tuple[str, ...]:
    """In sentences: what goes nowhere."""
    if data.teaches == "labels":
        return (*_STAYS, "the label of any one image")
    return (*_STAYS, "no label: all images that teach are of one class, so the numbers above tell each of theirs")


def taken_otherwise(manifest: Manifest) -> tuple[str, ...]:
    """In sentences: of rows that do not do what their split says."""
    splits = manifest.splits()
    dealt = [name for name in SHARED if name in splits] if "train" not in splits else []
    said = [
        f"{n} images of {f'the split {name}' if name else 'no split'} take no part"
        for name, n in splits.items()
        if name not in (*PARTS, *dealt)
    ]
    if dealt:
        said.append(
            f"no image has the split train, so those of {' and '.join(dealt)} are dealt by group: most teach, a share "
            "chooses and another measures"
        )
    return tuple(said)


def will_leave(data: SiteData, policy: Policy) -> tuple[str, ...]:
    """In sentences: all that goes to the server, and when."""
    counts = data.counts()
    told = ", ".join(
        f"{part} {counts[part]} ({counts[f'{part}-positive']} diseased)" for part in ("train", "val", "test")
    )
    bins = len(LOGIT_EDGES) + 1
    said = [
        *_ONE_CLASS[data.teaches],
        f"once: the site's name '{data.name}', the numbers {told}, how many images the shipped gate left out and why, "
        "the version of this program, and a SHA-256 over all images together, by which you can show later which data "
        "taught",
        "every round: the network's weights after your epochs (under fedsgd the gradient of your part of one step, "
        "which tells more of single images), the mean loss and the seconds they took"
        + ("; the server sees only the sum over all sites" if policy.secure_only else ""),
    ]
    if policy.privacy is not None:
        said.append(
            f"to these weights, before they leave: the update cut to length {policy.privacy.clip:g} and Gaussian noise "
            f"of {policy.privacy.noise:g} times that on every weight"
        )
    if policy.leaves == "histogram":
        said.append(
            f"every round: how many diseased and how many healthy validation images scored in each of {bins} bins; at "
            "the end the same of the test images, and how many were refused and why"
        )
    else:
        said.append("of validation and test images: nothing, so this site has no say in thresholds, and no evidence")
    return tuple(said)


_ONE_CLASS = {
    "labels": (),
    "lesions": (
        "by the weights: where lesions lie and where none do. All images here are of one class, so their labels teach "
        "nothing; these images choose no round, and thresholds with the others'; a plan without `lesion_weight` cannot "
        "have this site",
    ),
}


def write_check(check: Check, folder: Path) -> Path:
    """check.json in the site's own folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "check.json"
    write_json(path, check.to_dict())
    return path
