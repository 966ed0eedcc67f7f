"""Gradient inversion on the paper's network: what one site's weights give away, with and without secure aggregation.

Phantoms stand for films, so that the picture can be shown: docs/explanation/federated-probe.png. What is found is
compared with the film that was there and with one that was not: films of one anatomy are alike, and only what lies
above that is leaked. Attacks that differ in how smooth they take a film to be are made of each gradient, and the one
that sees most is told: an attacker may try as many.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks._common import save
from secondread.lab.federated.probe import Gradients, Inverted, correlation, gradient_of, invert, label_of, summed
from secondread.models import create_model
from secondread.testing.phantoms import chest_phantom

SIZE, STEPS = 128, 1000
SMOOTHNESS = (0.001, 0.01, 0.1, 0.2)
ELSEWHERE = 101  # number of a film that no site has
PICTURE = Path(__file__).parents[1] / "docs/explanation/federated-probe.png"


@dataclass(frozen=True, eq=False)
class Seen:
    """What an attack saw of the image that it gives away most."""

    attack: Inverted
    best: int  # which image of those at the site
    elsewhere: float  # how alike what was found of it is to a film that nobody has

    @classmethod
    def of(cls, attack: Inverted, labels: list[int]) -> "Seen":
        away = [
            correlation(pixels, film(ELSEWHERE, label)) for pixels, label in zip(attack.pixels, labels, strict=True)
        ]
        best = int(np.argmax(np.array(attack.similarities) - away))
        return cls(attack, best, away[best])

    @property
    def pixels(self) -> np.ndarray:
        return self.attack.pixels[self.best]

    @property
    def similarity(self) -> float:
        return self.attack.similarities[self.best]

    @property
    def leaked(self) -> float:
        return self.similarity - self.elsewhere

    def row(self) -> dict[str, Any]:
        return {
            "gradient_distance": round(self.attack.distance, 4),
            "pixel_correlation": round(self.similarity, 4),
            "mean_pixel_correlation": round(float(np.mean(self.attack.similarities)), 4),
            "with_a_film_elsewhere": round(self.elsewhere, 4),
        }


def film(number: int, label: int) -> np.ndarray:
    """float32 (SIZE, SIZE) in 0–1."""
    return chest_phantom(SIZE, random_state=number, lesion=bool(label)).astype(np.float32) / 255


def leaks(model: nn.Module, images: list[np.ndarray], labels: list[int]) -> Gradients:
    """What one site sends after a step on these images."""
    return gradient_of(model, torch.from_numpy(np.stack(images))[:, None], torch.tensor(labels, dtype=torch.float32))


def main() -> None:
    """One image at a site; five, as FedSGD sends of the smallest hospital; eight; and one at each of three sites under
    secure aggregation."""
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = create_model("lenet", in_chans=1, input_size=SIZE)
    films, labels = [film(number, number % 2) for number in range(1, 9)], [number % 2 for number in range(1, 9)]
    cases = {
        "one image at a site": (1, leaks(model, films[:1], labels[:1])),
        "five images at a site": (5, leaks(model, films[:5], labels[:5])),
        "eight images at a site": (8, leaks(model, films, labels)),
        "one image at each of three sites, secure": (
            3,
            summed([leaks(model, films[n : n + 1], labels[n : n + 1]) for n in range(3)]),
        ),
    }
    found, rows = {}, {}
    for name, (n, leaked) in cases.items():
        wanted = [label_of(leaked)] if n == 1 else [float(label) for label in labels[:n]]
        truths = np.stack(films[:n])
        tried = {
            smoothness: invert(model, leaked, wanted, truths, steps=STEPS, smoothness=smoothness)
            for smoothness in SMOOTHNESS
        }
        seen = {smoothness: Seen.of(one, labels[:n]) for smoothness, one in tried.items()}
        best = max(seen, key=lambda smoothness: seen[smoothness].leaked)
        found[name], rows[name] = seen[best], {"smoothness": best, **seen[best].row()}
    between = round(correlation(film(1, 1), film(ELSEWHERE, 1)), 4)
    save(
        "federated_probe",
        {"network": "lenet", "size": SIZE, "steps": STEPS, "film_with_a_film_elsewhere": between, "cases": rows},
    )
    _draw(films, found)


def _draw(films: list[np.ndarray], found: dict[str, Seen]) -> None:
    """Of each attack the image that came out best, below the film itself."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(found), figsize=(3 * len(found), 6.6), layout="constrained", squeeze=False)
    for column, (name, one) in zip(axes.T, found.items(), strict=True):
        titles = ("the film (a phantom)", f"{name}\nr = {one.similarity:.2f}")
        for axis, title, pixels in zip(column, titles, (films[one.best], one.pixels), strict=True):
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9)
            axis.axis("off")
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
