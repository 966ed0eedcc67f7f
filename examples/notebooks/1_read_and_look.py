# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Read images, and look at what was answered
#
# Needs `pip install 'secondread[train]'` for the plots; reading alone needs no extra. The pictures here are phantoms:
# drawn, of no patient. secondread assists a qualified reader and is no medical device.

# %%
import io
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pydicom
from PIL import Image

import secondread
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode

secondread.list_tasks()

# %% [markdown]
# ## One image
#
# `read` loads the bundle that answers for a task. A drawing is no chest X-ray, and the gate says so: a refusal is an
# answer too, with a code for programs and a sentence for people.

# %%
film = chest_phantom(512, random_state=1, lesion=True)
refused = secondread.read(film, "tuberculosis")
refused

# %% [markdown]
# To see an answer for a phantom all the same, take a reader without the learned gate. For research alone: what the gate
# refuses, no bundle was measured on.

# %%
reader = secondread.load("tuberculosis", gate=False)
reading = reader.read(film)
reading

# %%
reading.to_dict()

# %% [markdown]
# ## Anything that holds the picture
#
# A path, the bytes of a file, an open file, an array, an image of Pillow, a data set of pydicom: one file, one answer,
# however it is held. Arrays are uint8, uint16, bool or float in 0 to 1, with bright meaning bright; anything that could
# be meant in two ways is an error that says so. (A DICOM file also says what is shown black and white, so its answer
# need not be that of a PNG with the same numbers.)

# %%
folder = Path(tempfile.mkdtemp())
path = folder / "film.png"
path.write_bytes(encode(film, "PNG"))

held = {
    "path": path,
    "bytes": path.read_bytes(),
    "open file": io.BytesIO(path.read_bytes()),
    "uint8 array": film,
    "float array": film / 255,
    "Pillow": Image.open(path),
}
probabilities = {name: reader.read(source).probability for name, source in held.items()}
assert np.ptp(list(probabilities.values())) < 1e-6
probabilities

# %%
dicom = dicom_bytes(film)
ds = pydicom.dcmread(io.BytesIO(dicom))
assert reader.read(ds).probability == reader.read(dicom).probability
reader.read(ds).probability

# %% [markdown]
# ## Plots
#
# `plot` draws into axes of matplotlib: the picture, the heat map, boxes where the bundle has them, and the bar below.

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 4.2))
for ax, lesion in zip(axes, (False, True), strict=False):
    reader.read(chest_phantom(512, random_state=4, lesion=lesion)).plot(ax)
_ = reading.plot(axes[2], heatmap=False)

# %% [markdown]
# ## Many images
#
# `read_many` keeps all cores busy and holds a few images at a time. `predict_proba` gives what scikit-learn expects. It
# stops at an image that is refused, with its place and the reason; with `on_refusal="nan"` such an image gets NaN.

# %%
films = [chest_phantom(256, random_state=number, lesion=number % 2 == 1) for number in range(6)]
[(str(one.decision), one.score) for one in reader.read_many(films)]

# %%
blank = np.zeros((256, 256), np.uint8)
try:
    reader.predict_proba([*films, blank])
except secondread.SecondReadError as error:
    print(error)
reader.predict_proba([*films, blank], on_refusal="nan").round(3)

# %% [markdown]
# ## What is known of the bundle
#
# Every number carries its interval and the images it was measured on.

# %%
reader.bundle
