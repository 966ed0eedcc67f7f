"""The card of a bundle: for whom it is, what it was made of, what was measured, and where it fails."""

from typing import Any

from secondread.evidence import compare_with_paper, format_interval
from secondread.reading import Bundle
from secondread.training._card_checklists import checklist_sections
from secondread.training._card_measured import measured_sections, operating_points_section


def write_card(bundle: Bundle, evidence: dict[str, Any]) -> str:
    """The card in Markdown, from the bundle's record and its evidence. It holds no pixels."""
    sections = [
        _use(bundle),
        _model(bundle),
        _data(bundle),
        *measured_sections(bundle, evidence),
        _claims(evidence),
        _made(bundle, evidence),
    ]
    told = [section for section in sections if section]
    titles = [section.split("\n", 1)[0].removeprefix("## ") for section in told]
    return "\n\n".join([_head(bundle), *told, *checklist_sections(titles)]) + "\n"


def recalibrated_card(new: Bundle, old: Bundle) -> str:
    """The card of a bundle fitted anew to a site: its own operating points, then the old card, which says whose it is.

    What was measured of the old bundle holds for the same weights under the old calibration and thresholds.
    """
    site = new.record["recalibrated_from"]
    remark = (
        f"Fitted anew to a site ({site['data']}, n = {site['n']}, {site['n_positive']} positive) on {site['date']}: "
        f"{new.record['calibration']}. The weights are those of `{old.id}`. Nothing was measured of this bundle yet: "
        "`secondread evaluate` does so."
    )
    kept = f"---\n\nBelow is the card of `{old.id}`, with the calibration and the thresholds that it had.\n\n{old.card}"
    parts = [_head(new), remark, operating_points_section(new, {}), kept if old.card else ""]
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


def _head(bundle: Bundle) -> str:
    model = bundle.record["model"]
    return (
        f"# {bundle.task.title}: {bundle.name}\n\n"
        f"`{bundle.id}`: {model['architecture']}, {model['parameters']:,} parameters. {bundle.task.question}\n\n"
        "It assists a qualified reader and is no medical device."
    )


def _use(bundle: Bundle) -> str:
    limits = [*bundle.task.limits, "A heat map shows what the model used, not where disease is."]
    lines = "\n".join(f"- {limit}" for limit in limits)
    return f"## Intended use and limits\n\n{bundle.task.intended_use}\n\n{lines}"


def _model(bundle: Bundle) -> str:
    model, prepare = bundle.record["model"], bundle.record["prepare"]
    channels = "grey" if prepare["channels"] == 1 else "RGB"
    members = bundle.record.get("members", ())
    kind = (
        f"{len(members)} convolutional neural networks in one file, `{model['architecture']}`"
        if members
        else f"A convolutional neural network, `{model['architecture']}`"
    )
    number = "an ensemble whose answer is the mean of its members' log-odds" if members else "one network, no ensemble"
    return (
        f"## The model\n\n{kind} ({model['parameters']:,} parameters; the files under `src/secondread/models` say how "
        f"they are built), read once for each image: {number}. It sees the pixels of one image and nothing else, so no "
        f"person judges or types in a predictor. Input: {prepare['size']} × {prepare['size']} {channels}. Output: the "
        f"chance of disease between 0 and 1, and a coarse heat map ({bundle.record['heatmap']['method']}). "
        "`model.onnx` is the whole model, weights included."
    )


def _data(bundle: Bundle) -> str:
    sources = "\n".join(f"| {source.name} | {source.title} | {source.terms} |" for source in bundle.task.sources)
    data = bundle.record["data"]
    splits = ", ".join(f"{name} {count:,}" for name, count in data["splits"].items())
    return (
        f"## Data and terms\n\n| source | what | terms |\n|---|---|---|\n{sources}\n\n"
        f"Images: {splits}. Fingerprint `{data['fingerprint'][:16]}`.\n\n"
        "Collected before this model and for other purposes, so the study is retrospective. Splits keep groups whole: "
        "a patient where the manifest names one, else what it groups (near-duplicates, neighbouring numbers), else the "
        "single image; a manifest that divides a group is refused. `train` fitted the weights, `val` chose the epoch, "
        "the calibration and the operating points; every other split was only read, after all was fixed. An image "
        "without a label is in no split."
    )


def _claims(evidence: dict[str, Any]) -> str:
    """The seed paper's figures beside ours; its table and its matrices disagree, so both stand here."""
    rows = [
        f"| {row['name']} | {row['table']:.1f} | {row['matrix']:.1f} | {format_interval(row['ours'], 100, 1)} |"
        for row in compare_with_paper(evidence)
    ]
    if not rows:
        return ""
    return (
        "## Beside the seed paper\n\nThe paper names neither its images nor a split by patient, so its figures "
        "cannot be made again; they are quoted, not matched.\n\n"
        "| % | paper, Table 1 | paper, its own confusion matrix | here, test split |\n|---|---|---|---|\n"
        + "\n".join(rows)
    )


def _made(bundle: Bundle, evidence: dict[str, Any]) -> str:
    training = bundle.record["training"]
    members = bundle.record.get("members", ())
    runs = [member["training"] for member in members] or [training]
    steps = ", ".join(f"{key} {value}" for key, value in bundle.record["prepare"].items())
    versions = ", ".join(f"{name} {version}" for name, version in training["versions"].items())
    ran = [*(run["command"] for run in runs), training["command"], evidence["command"]]
    commands = "\n".join(f"    {line}" for line in dict.fromkeys(ran))
    shares = " : ".join(f"{member.get('share', 1 / len(members)):.2f}" for member in members)
    mean = (
        f"The mean of {len(runs)} networks ({shares}), validation AUC {training['best_val_auc']:.3f}. "
        if members
        else ""
    )
    return (
        f"## How it was made\n\n{mean}{' '.join(_run(run) for run in runs)} Made {bundle.record['created']}. Weights "
        "start as the framework draws them from that random state, unless the recipe says otherwise; the classes are "
        f"neither weighted nor drawn evenly unless it says so. Preprocessing: {steps}; recipe and all else are in "
        f"`bundle.json`.\n\n{commands}\n\nVersions: {versions}."
    )


def _run(run: dict[str, Any]) -> str:
    return (
        f"Recipe {run['recipe']['name']}, random state {run['random_state']}, best epoch {run['best_epoch']} of "
        f"{run['epochs_run']} by validation AUC ({run['best_val_auc']:.3f}), {run['seconds']:.0f} s on {run['device']}."
    )
