"""The card of a bundle: for whom it is, what it was made of, what was measured, and where it fails."""

from typing import Any

from secondread.evidence import compare_with_paper
from secondread.reading import Bundle

_METRICS = (
    ("accuracy", "accuracy"),
    ("precision", "precision"),
    ("recall", "recall (sensitivity)"),
    ("f1", "F1"),
    ("specificity", "specificity"),
    ("roc_auc", "ROC AUC"),
    ("average_precision", "average precision"),
)


def write_card(bundle: Bundle, evidence: dict[str, Any]) -> str:
    """The card in Markdown, from the bundle's record and its evidence."""
    sections = [
        _head(bundle),
        _use(bundle),
        _data(bundle),
        *(_split(name, result, evidence) for name, result in evidence["results"].items()),
        _claims(evidence),
        _made(bundle, evidence),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


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


def _data(bundle: Bundle) -> str:
    sources = "\n".join(f"| {source.name} | {source.title} | {source.terms} |" for source in bundle.task.sources)
    data = bundle.record["data"]
    splits = ", ".join(f"{name} {count:,}" for name, count in data["splits"].items())
    return (
        f"## Data and terms\n\n| source | what | terms |\n|---|---|---|\n{sources}\n\n"
        f"Images: {splits}. Fingerprint `{data['fingerprint'][:16]}`."
    )


def _split(name: str, result: dict[str, Any], evidence: dict[str, Any]) -> str:
    point = evidence["operating_point"]
    columns = {f"all of {name}": result, **result.get("by_source", {})}
    head = (
        "| measure | "
        + " | ".join(f"{title} (n = {part['n']}, {part['n_positive']} positive)" for title, part in columns.items())
        + " |"
    )
    rows = [
        f"| {title} | " + " | ".join(_cell(part, key) for part in columns.values()) + " |" for key, title in _METRICS
    ]
    counts = result["confusion"]
    matrix = (
        f"TP {counts['tp']}, FN {counts['fn']}, TN {counts['tn']}, FP {counts['fp']}" if counts else "no image was read"
    )
    return (
        f"## Measured on {name}\n\nAt the operating point {point['name']} (positive above {point['threshold']:g}). "
        f"{evidence['intervals']}.\n\n{head}\n|---|{'---|' * len(columns)}\n"
        + "\n".join(rows)
        + f"\n\n{matrix}; refused: {result['n_refused']}."
    )


def _cell(part: dict[str, Any], key: str) -> str:
    found = part["metrics"].get(key)
    if not found or found["value"] is None:
        return "–"
    return f"{found['value']:.3f} ({found['low']:.3f}–{found['high']:.3f})"


def _claims(evidence: dict[str, Any]) -> str:
    """The seed paper's figures beside ours; its table and its matrices disagree, so both stand here."""
    rows = [
        f"| {row['name']} | {row['table']:.1f} | {row['matrix']:.1f} | {_percent(row['ours'])} |"
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


def _percent(found: dict[str, float | None]) -> str:
    if found["value"] is None:
        return "–"
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))  # type: ignore[operator]
    return f"{value:.1f} ({low:.1f}–{high:.1f})"


def _made(bundle: Bundle, evidence: dict[str, Any]) -> str:
    training = bundle.record["training"]
    best = f"best epoch {training['best_epoch']} of {training['epochs_run']}"
    return (
        f"## How it was made\n\nRecipe {training['recipe']['name']}, random state {training['random_state']}, "
        f"{best} by validation AUC ({training['best_val_auc']:.3f}), "
        f"{training['seconds']:.0f} s on {training['device']}, {bundle.record['created']}.\n\n"
        f"    {training['command']}\n    {evidence['command']}"
    )
