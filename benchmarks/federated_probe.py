"""Gradient inversion on the paper's network: what one site's weights give away, with and without secure aggregation.

Phantoms stand for films, so that the picture can be shown: docs/explanation/federated-probe.png. What is found is
compared with the film that was there and with one that was not: films of one anatomy are alike, and only what lies
above that is leaked.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks._common import save
from secondread.lab.federated.probe import Gradients, Inverted, correlation, gradient_of, invert, label_of, summed
from secondread.models import create_model
from secondread.testing.phantoms import chest_phantom

SIZE, STEPS = 128, 400
ELSEWHERE = 101  # number of a film that no site has, of the same class as the first
PICTURE = Path(__file__).parents[1] / "docs/explanation/federated-probe.png"


def film(number: int, label: int) -> np.ndarray:
    """float32 (SIZE, SIZE) in 0–1."""
    return chest_phantom(SIZE, random_state=number, lesion=bool(label)).astype(np.float32) / 255


def leaks(model: nn.Module, images: list[np.ndarray], labels: list[int]) -> Gradients:
    """What one site sends after a step on these images."""
    return gradient_of(model, torch.from_numpy(np.stack(images))[:, None], torch.tensor(labels, dtype=torch.float32))


def main() -> None:
    """One image at a site, eight images at a site, and one image at each of three sites under secure aggregation."""
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = create_model("lenet", in_chans=1, input_size=SIZE)
    films, labels = [film(number, number % 2) for number in range(1, 9)], [number % 2 for number in range(1, 9)]
    truth, label = films[0], labels[0]
    cases = {
        "one image at a site": leaks(model, films[:1], labels[:1]),
        "eight images at a site": leaks(model, films, labels),
        "one image at each of three sites, secure": summed(
            [leaks(model, films[n : n + 1], labels[n : n + 1]) for n in range(3)]
        ),
    }
    found = {
        name: invert(model, leaked, size=SIZE, label=float(label), truth=truth, steps=STEPS)
        for name, leaked in cases.items()
    }
    save("federated_probe", _table(cases, found, label))
    _draw(truth, found)


def _table(cases: dict[str, Gradients], found: dict[str, Inverted], label: int) -> dict[str, Any]:
    rows = {
        name: {
            "label_found": label_of(cases[name]) == label,
            "gradient_distance": round(one.distance, 4),
            "pixel_correlation": round(one.similarity, 4),
            "with_a_film_elsewhere": round(correlation(one.pixels, film(ELSEWHERE, ELSEWHERE % 2)), 4),
        }
        for name, one in found.items()
    }
    between = round(correlation(film(1, 1), film(ELSEWHERE, 1)), 4)
    return {"network": "lenet", "size": SIZE, "steps": STEPS, "film_with_a_film_elsewhere": between, "cases": rows}


def _draw(truth: np.ndarray, found: dict[str, Inverted]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 1 + len(found), figsize=(3 * (1 + len(found)), 3.6), layout="constrained")
    shown = {"the film (a phantom)": truth} | {
        f"{name}\nr = {one.similarity:.2f}": one.pixels for name, one in found.items()
    }
    for axis, (title, pixels) in zip(axes, shown.items(), strict=True):
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
