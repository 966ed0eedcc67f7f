"""From the rows of `benchmarks.federated` to the tables and the plot of docs/explanation/federated.md."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS

PAGE = Path(__file__).parents[1] / "docs/explanation/federated.md"
PLOT = PAGE.with_name("federated.png")
NEAR = 0.02  # AUC that together may lie below pooled
TOGETHER = {"fedavg": "FedAvg", "fedsgd": "FedSGD", "fednova": "FedNova"}  # the ways that stand beside pooled
_PART = re.compile(r"(<!-- federated:begin -->\n).*(<!-- federated:end -->)", re.DOTALL)
_PROBED = re.compile(r"(<!-- probe:begin -->\n).*(<!-- probe:end -->)", re.DOTALL)
_NETWORKS = ("capsule", "lesion-lite0")  # ways that end in these are compared with `pooled` of the same network
_PROBES = {
    "gradient_distance": "gradient, 1 − cosine",
    "pixel_correlation": "r with the film given away most",
    "mean_pixel_correlation": "mean r with all films",
    "with_a_film_elsewhere": "r of that one with a film elsewhere",
}
Rows = Sequence[dict[str, Any]]


def tasks_of(rows: Rows) -> list[str]:
    """In the order of their first row, those with something to compare."""
    return [task for task in dict.fromkeys(row["task"] for row in rows) if _of(rows, task, "fedavg")]


def places_of(rows: Rows, task: str) -> tuple[list[str], list[str]]:
    """Where a task was measured: at hospitals that taught, and elsewhere."""
    one = _of(rows, task, "fedavg")[0]
    home = [name for name in one["roc_auc"] if name in one["sites"]]
    return home, [name for name in one["roc_auc"] if name not in home]


def gap(rows: Rows, task: str, way: str, places: Iterable[str]) -> float | None:
    """How far a way's AUC lies above pooled, the mean over these places and the seeds that have both."""
    pooled = {row["seed"]: row for row in _of(rows, task, _reference(way))}
    found = [
        row["roc_auc"][place]["value"] - pooled[row["seed"]]["roc_auc"][place]["value"]
        for row in _of(rows, task, way)
        if row["seed"] in pooled
        for place in places
    ]
    return round(sum(found) / len(found), 6) if found else None


def _reference(way: str) -> str:
    network = next((name for name in _NETWORKS if way.endswith(f", {name}")), None)
    four = "four sites, " if "four sites" in way else ""
    return f"pooled, {four}{network}" if network else "pooled"


def _of(rows: Rows, task: str, way: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["task"] == task and row["way"] == way]


def tables(found: dict[str, Any]) -> str:
    """What stands between the marks of docs/explanation/federated.md."""
    rows = found["runs"]
    seeds = len({row["seed"] for row in rows})
    lines = [
        f"Measured on {found['date']} by `{found['command']}` on {found['machine']['cores']} cores "
        f"({found['machine']['machine']}): {len(rows)} runs, {seeds} {'seed' if seeds == 1 else 'seeds'}; "
        "[every run](../../benchmarks/results/federated.json). Everybody learns by the recipe `upright` and sees as "
        "many images: "
        + ", ".join(f"{task} {_of(rows, task, 'fedavg')[0]['images_seen']:,}" for task in tasks_of(rows))
        + ". No gate, so that all learn from the very same images.",
        "",
        *_verdict(rows),
        "",
        *_missing(rows),
        "![AUC alone, together and pooled; what is sent and worked in all](federated.png)",
        "",
        *_main(rows),
        "",
        "The area of one run has its 95 % interval beside it, the mean of several seeds their range.",
        "",
        *_ways(rows),
        "",
        *_own_layers(rows),
        "",
        *_one_class(rows),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _verdict(rows: Rows) -> list[str]:
    """Yes or no, from the figures."""
    lines = [f"Within {NEAR:g} AUC of pooled, as a mean over the hospitals' own test images?", ""]
    for way, name in TOGETHER.items():
        told, elsewhere = [], []
        for task in tasks_of(rows):
            home, outside = places_of(rows, task)
            at_home, away = gap(rows, task, way, home), gap(rows, task, way, outside)
            if at_home is not None:
                told.append(f"{task} **{'yes' if at_home >= -NEAR else 'no'}** ({at_home:+.3f})")
            if away is not None:
                elsewhere.append(f"{task} {away:+.3f}")
        if told:
            more = f" At hospitals that taught nothing: {', '.join(elsewhere)}." if elsewhere else ""
            lines.append(f"- {name}: {', '.join(told)}.{more}")
    return lines


def _main(rows: Rows) -> list[str]:
    lines = []
    for task in tasks_of(rows):
        home, outside = places_of(rows, task)
        sites = _of(rows, task, "fedavg")[0]["sites"]
        for place in (*home, *outside):
            alone = [f"{site} {area}" for site in sites if (area := _area(_of(rows, task, f"{site} alone"), place))]
            n = _of(rows, task, "fedavg")[0]["roc_auc"][place]["n"]
            lines.append([
                task, f"{place}{'' if place in home else ', taught nothing'} ({n:,})", "; ".join(alone) or "–",
                *(_area(_of(rows, task, way), place) or "–" for way in (*TOGETHER, "pooled")),
            ])  # fmt: skip
    together = [f"together, {name}" for name in TOGETHER.values()]
    return _table(["task", "test images of (n)", "each alone", *together, "pooled"], lines)


def _area(rows: Rows, place: str, key: str = "roc_auc") -> str:
    """'0.812 (0.75–0.86)': interval of one run, range of several; '' where there is none."""
    areas = [row[key][place] for row in rows if place in row.get(key, {})]
    if not areas:
        return ""
    values = [area["value"] for area in areas]
    if len(areas) == 1:
        return f"{values[0]:.3f} ({areas[0]['low']:.2f}–{areas[0]['high']:.2f})"
    return f"{sum(values) / len(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def ways_of(rows: Rows, task: str) -> list[str]:
    """Every federated way of a task, in the order in which they were run."""
    return list(dict.fromkeys(row["way"] for row in rows if row["task"] == task and "bytes_a_round" in row))


def _ways(rows: Rows) -> list[str]:
    lines = []
    for task in tasks_of(rows):
        home, outside = places_of(rows, task)
        for way in ways_of(rows, task):
            runs = _of(rows, task, way)
            lines.append([
                task, way, _signed(gap(rows, task, way, home)), _signed(gap(rows, task, way, outside)),
                f"{runs[0]['rounds']:,}", f"{_megabytes(runs):,.0f} MB", _seconds(_worked(runs)),
                "–" if runs[0]["epsilon"] is None else f"{runs[0]['epsilon']:,.0f}", str(len(runs)),
            ])  # fmt: skip
    heads = ["at home − pooled", "elsewhere − pooled", "rounds", "sent in all", "processor time in all", "ε", "seeds"]
    return _table(["task", "way", *heads], lines)


def _megabytes(runs: Rows) -> float:
    """Sent by all sites and the server in all rounds."""
    return runs[0]["rounds"] * _mean(runs, "bytes_a_round") / 1e6


def _worked(runs: Rows) -> float | None:
    """Seconds of the processor in all rounds, as other programs may run beside; None where they were not counted."""
    counted = [row for row in runs if "processor_seconds_a_round" in row]
    return runs[0]["rounds"] * _mean(counted, "processor_seconds_a_round") if counted else None


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} s"


def _missing(rows: Rows) -> list[str]:
    """What no run has answered yet, of which task."""
    from benchmarks import federated

    told = []
    for task in federated.QUESTIONS:
        done = [row for row in rows if row["task"] == task]
        asked = [*federated.ways_of(task), *federated.ways_of(task, heavy=True)]
        lacking = [way for way in asked if not way.startswith("alone") and not _of(rows, task, way)]
        if len({row["seed"] for row in done}) == 1:
            lacking.append("a second seed")
        if not done:
            told.append(f"- {task}")
        elif lacking:
            told.append(f"- {task}: {'; '.join(lacking)}")
    return ["Not measured yet:", "", *told, ""] if told else []


def _own_layers(rows: Rows) -> list[str]:
    told = [
        f"{task}, {place}: {_area(runs, place, 'own_layers')}"
        for task in tasks_of(rows)
        if (runs := _of(rows, task, "fedbn, capsule"))
        for place in runs[0]["own_layers"]
    ]
    note = (
        "The paper's network has no normalisation layers, so FedBN would be FedAvg; it is asked of `capsule`, the "
        "smallest network here that has some, against the same network pooled."
    )
    more = f" With its own layers in place of their mean, each hospital reads its own test images at {'; '.join(told)}."
    return [note + (more if told else "")]


def _one_class(rows: Rows) -> list[str]:
    """With the collections of one class as sites beside the two hospitals, and without."""
    ways = {"pooled": "pooled", "fedavg": "FedAvg", "fedprox": "FedProx"}
    task, network = "tuberculosis", "lesion-lite0"
    asked = [(name, more) for name in ways for more in ("", ", four sites")]
    found = {(name, more): _of(rows, task, f"{name}{more}, {network}") for name, more in asked}
    if not any(runs for (_, more), runs in found.items() if more):
        return []
    places = [place for names in places_of(rows, task) for place in names]
    lines = [
        [ways[name], "with nih and tbx11k, by their lesions alone" if more else "two hospitals",
         *(_area(runs, place) or "–" for place in places), str(len(runs))]
        for (name, more), runs in found.items()
        if runs
    ]  # fmt: skip
    return [
        f"Collections of one class as sites beside the two hospitals ({task}, `{network}`, recipe `transfer`, as many "
        "epochs or rounds):",
        "",
        *_table(["", "sites", *places, "seeds"], lines),
    ]


def _mean(rows: Rows, key: str) -> float:
    return sum(row[key] for row in rows) / len(rows)


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


def probed(found: dict[str, Any]) -> str:
    """What an attack made of gradients. found: what `benchmarks.federated_probe` saved."""
    rows = [[name, *(f"{one[key]:.2f}" for key in _PROBES)] for name, one in found["cases"].items()]
    lines = [
        f"At {found['size']} pixels, {found['steps']} steps (`{found['command']}`, {found['date']}). Two phantoms "
        f"correlate at {found['film_with_a_film_elsewhere']:.2f}, so only what lies above the last column is leaked:",
        "",
        *_table(["what the server saw", *_PROBES.values()], rows),
        "",
        f"![phantoms, and what {len(rows)} attacks made of them](federated-probe.png)",
    ]
    return "\n".join(lines) + "\n"


def page(text: str, found: dict[str, Any] | None, probe: dict[str, Any] | None = None) -> str:
    """The page with what was measured made anew; what was not stays as it is."""
    if found is not None:
        text = _PART.sub(lambda match: match[1] + tables(found) + match[2], text)
    if probe is not None:
        text = _PROBED.sub(lambda match: match[1] + probed(probe) + match[2], text)
    return text


def sources() -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What `benchmarks.federated` and `benchmarks.federated_probe` saved; None for what did not run yet."""
    paths = [RESULTS / f"{name}.json" for name in ("federated", "federated_probe")]
    found, probe = (json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None for path in paths)
    return found, probe


def plot(found: dict[str, Any], target: Path) -> None:
    """Areas place by place in one panel a task; below, what each way costs in AUC, megabytes and seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = found["runs"]
    tasks = tasks_of(rows)
    figure, axes = pyplot.subplots(2, max(3, len(tasks)), figsize=(17, 9), layout="constrained", squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=False):
        _areas(axis, rows, task)
    for axis in axes[0][len(tasks) :]:
        axis.axis("off")
    _bars(axes[1], rows, tasks)
    figure.savefig(target, dpi=100)
    pyplot.close(figure)


def _areas(axis: Any, rows: Rows, task: str) -> None:
    home, outside = places_of(rows, task)
    places = [*home, *outside]
    sites = _of(rows, task, "fedavg")[0]["sites"]
    ways = [*(f"{site} alone" for site in sites), *TOGETHER, "pooled"]
    for number, (way, mark) in enumerate(zip(ways, "v^oPDs", strict=True)):
        points = [
            (place + 0.12 * (number - 2.5), row["roc_auc"][name]["value"])
            for place, name in enumerate(places)
            for row in _of(rows, task, way)
        ]
        if points:
            axis.plot(*zip(*points, strict=True), mark, color=f"C{number}", label=way, alpha=0.8)
    axis.axhline(0.5, color="grey", linewidth=0.5)
    names = [name if name in home else f"{name}\n(taught nothing)" for name in places]
    axis.set_xticks(range(len(places)), names, fontsize=8)
    axis.set_xlim(-0.6, len(places) - 0.4)
    axis.set_ylabel("ROC AUC on test images")
    axis.set_title(task)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))  # inside, it would lie on points


def _bars(axes: Any, rows: Rows, tasks: list[str]) -> None:
    """One bar a way and task."""
    ways = list(dict.fromkeys(way for task in tasks for way in ways_of(rows, task)))
    figures = {
        "AUC at home − pooled": lambda task, way: gap(rows, task, way, places_of(rows, task)[0]),
        "MB sent in all": lambda task, way: _megabytes(_of(rows, task, way)),
        "processor seconds in all, all sites": lambda task, way: _worked(_of(rows, task, way)),
    }
    high = 0.8 / max(len(tasks), 1)
    for axis, (title, value) in zip(axes, figures.items(), strict=False):
        for number, task in enumerate(tasks):
            at = [(place + high * number, value(task, way)) for place, way in enumerate(ways) if _of(rows, task, way)]
            at = [(place, figure) for place, figure in at if figure is not None]
            if at:
                axis.barh(*zip(*at, strict=True), height=high, label=task)
        axis.set_yticks([place + 0.4 - high / 2 for place in range(len(ways))], ways, fontsize=8)
        axis.invert_yaxis()
        axis.set_xlabel(title)
        axis.grid(visible=True, axis="x", alpha=0.3)
    axes[0].axvline(-NEAR, color="grey", linestyle=":")
    axes[-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def write() -> None:
    """Plot and tables out of the kept JSON."""
    found, probe = sources()
    if found is not None:
        plot(found, PLOT)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found, probe), encoding="utf-8")


if __name__ == "__main__":
    write()
