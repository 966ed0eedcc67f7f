"""The pictures of an evaluation: the paper's three plots, and ROC, precision–recall and reliability."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from secondread.errors import ExtraMissing
from secondread.stats.metrics import average_precision, roc_auc

INK, GRID = "#1f2933", "#d9dee3"
POSITIVE, NEGATIVE, THRESHOLD = "#b3541e", "#2b6c99", "#d00000"


def accuracy_plot(y_true: np.ndarray, probabilities: np.ndarray, *, threshold: float, title: str) -> bytes:
    """Accuracy as a function of the threshold, with the majority baseline: the paper's accuracy score plot. PNG."""
    figure, axes = new_figure(title, "threshold", "accuracy")
    steps = np.linspace(0, 1, 201)
    accuracy = [np.mean((probabilities > step) == y_true) for step in steps]
    axes.plot(steps, accuracy, color=NEGATIVE, label="accuracy")
    baseline = max(np.mean(y_true), 1 - np.mean(y_true))
    axes.axhline(baseline, color=INK, lw=1, ls=":", label=f"always the larger class: {baseline:.3f}")
    here = float(np.mean((probabilities > threshold) == y_true))
    axes.axvline(threshold, color=THRESHOLD, ls="--", label=f"threshold {threshold:g}: accuracy {here:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower left", frameon=False)
    return as_png(figure)


def confidence_plot(y_true: np.ndarray, probabilities: np.ndarray, *, threshold: float, title: str) -> bytes:
    """The probability of every image, in the order of the split, and the threshold as a red dashed line. PNG."""
    figure, axes = new_figure(title, "image of the split, in order", "probability")
    index = np.arange(len(y_true))
    axes.plot(index, probabilities, color=GRID, lw=0.8, zorder=1)
    for value, colour, name, marker in (
        (False, NEGATIVE, "disease absent", "o"),
        (True, POSITIVE, "disease present", "^"),
    ):
        chosen = y_true == value
        axes.scatter(
            index[chosen],
            probabilities[chosen],
            s=14,
            color=colour,
            marker=marker,
            lw=0,
            label=f"{name} (n = {chosen.sum()})",
            zorder=2,
        )
    axes.axhline(threshold, color=THRESHOLD, ls="--", label=f"threshold {threshold:g}", zorder=3)
    axes.set(ylim=(-0.02, 1.02), xlim=(-1, len(y_true)))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=3, frameon=False)
    return as_png(figure)


def confusion_plot(counts: dict[str, int], *, classes: Sequence[str], title: str) -> bytes:
    """The confusion matrix with counts and row shares. PNG."""
    figure, axes = new_figure(title, "read as", "in truth")
    table = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            colour = "white" if shares[row, column] > 0.6 else INK
            text = f"{table[row, column]}\n{shares[row, column]:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=13)
    axes.set_xticks([0, 1], classes)
    axes.set_yticks([0, 1], classes, rotation=90, va="center")
    axes.grid(visible=False)
    return as_png(figure)


def curves_plot(history: Sequence[dict[str, Any]], *, best_epoch: int, title: str) -> bytes:
    """Loss and validation AUC, epoch by epoch. PNG."""
    figure, axes = new_figure(title, "epoch", "binary cross-entropy")
    epochs = [line["epoch"] for line in history]
    axes.plot(epochs, [line["loss"] for line in history], color=NEGATIVE, label="training loss")
    axes.plot(epochs, [line["val_loss"] for line in history], color=NEGATIVE, ls=":", label="validation loss")
    right = axes.twinx()
    right.plot(epochs, [line["val_auc"] for line in history], color=POSITIVE, label="validation AUC")
    right.set(ylim=(0.4, 1), ylabel="ROC AUC")
    axes.axvline(best_epoch, color=THRESHOLD, ls="--", lw=1, label=f"best epoch: {best_epoch}")
    lines = axes.get_lines() + right.get_lines()
    axes.legend(
        lines,
        [line.get_label() for line in lines],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncol=4,
        frameon=False,
    )
    return as_png(figure)


def roc_plot(y_true: np.ndarray, probabilities: np.ndarray, *, threshold: float, title: str) -> bytes:
    """Sensitivity against false alarms for every threshold, with the operating point. PNG. Both classes are needed."""
    figure, axes = new_figure(title, "1 − specificity", "sensitivity")
    false_alarms, found = swept(y_true, probabilities)
    axes.plot(false_alarms, found, color=NEGATIVE, label=f"ROC AUC {roc_auc(y_true, probabilities):.3f}")
    axes.plot([0, 1], [0, 1], color=INK, lw=1, ls=":", label="chance: 0.500")
    above = probabilities > threshold
    here = (np.mean(above[~y_true]), np.mean(above[y_true]))
    said = f"threshold {threshold:g}: sensitivity {here[1]:.3f}, specificity {1 - here[0]:.3f}"
    axes.plot(*here, "o", color=THRESHOLD, label=said)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower right", frameon=False)
    return as_png(figure)


def pr_plot(y_true: np.ndarray, probabilities: np.ndarray, *, threshold: float, title: str) -> bytes:
    """Precision against recall for every threshold, with the operating point. PNG. A positive is needed."""
    figure, axes = new_figure(title, "recall (sensitivity)", "precision")
    false_alarms, found = swept(y_true, probabilities)
    tp, fp = found[1:] * y_true.sum(), false_alarms[1:] * (~y_true).sum()
    precision = tp / (tp + fp)
    label = f"average precision {average_precision(y_true, probabilities):.3f}"
    axes.step(found, np.r_[precision[0], precision], where="pre", color=NEGATIVE, label=label)
    axes.axhline(y_true.mean(), color=INK, lw=1, ls=":", label=f"chance: {y_true.mean():.3f}")
    above = probabilities > threshold
    if above.any():
        here = (np.mean(above[y_true]), np.mean(y_true[above]))
        axes.plot(*here, "o", color=THRESHOLD, label=f"threshold {threshold:g}: precision {here[1]:.3f}")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower left", frameon=False)
    return as_png(figure)


def reliability_plot(table: Sequence[dict[str, Any]], *, title: str, error: float | None = None) -> bytes:
    """What came true against what was said, bin by bin, from `reliability`. error: to be named. PNG."""
    figure, axes = new_figure(title, "mean probability of the bin", "share of positives, 95 % interval")
    axes.plot([0, 1], [0, 1], color=INK, lw=1, ls=":", label="what was said comes true")
    said = np.array([row["said"] for row in table])
    value, low, high = (np.array([row["observed"][key] for row in table]) for key in ("value", "low", "high"))
    reach = np.maximum([value - low, high - value], 0)
    label = f"{sum(row['n'] for row in table)} images" + ("" if error is None else f", calibration error {error:.3f}")
    axes.errorbar(said, value, yerr=reach, fmt="o-", color=NEGATIVE, ecolor=NEGATIVE, elinewidth=1, label=label)
    for row, x, y in zip(table, said, high, strict=True):
        axes.annotate(str(row["n"]), (x, y), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=7)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.06))
    axes.legend(loc="upper left", frameon=False)
    return as_png(figure)


def swept(y_true: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of negatives and of positives at or above every distinct probability, from none to all of them."""
    order = np.argsort(-probabilities, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(probabilities[order]) != 0, True])
    shares = (np.cumsum(here[order])[last] / max(here.sum(), 1) for here in (~y_true, y_true))
    false_alarms, found = (np.r_[0.0, share] for share in shares)
    return false_alarms, found


def new_figure(title: str, x: str, y: str) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure  # no pyplot: no global state, no display
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("plots", "train") from error
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, color=INK, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def as_png(figure: Any) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=130, metadata={"Software": "secondread"})
    return target.getvalue()
