"""Fields of a recipe as text: every one reads back as it was written, and a mistake says what is known."""

from dataclasses import fields, replace

import pytest

from secondread.errors import UsageError
from secondread.images import PrepareSpec
from secondread.tasks import list_tasks, load_task
from secondread.training import Recipe, list_recipes, load_recipe
from secondread.training.recipe import change_recipe, changes_between, known_fields

PAPER = load_recipe("paper", load_task("tuberculosis"))
OTHER = Recipe(  # no field has its default
    "other", "another", epochs=7, batch_size=9, prepare={"size": 96, "window": (1.0, 99.0), "trim_border": True},
    pretrained=True, weights="a file.safetensors", weights_sha256="0" * 64, optimizer="adamw", learning_rate=3e-5,
    weight_decay=1e-4, scheduler="one-cycle", warmup=0.2, stage_decay=0.7, frozen_stages=2, frozen_epochs=1,
    ema_decay=0.9, bfloat16=True, sizes=(0.5, 1.0), label_smoothing=0.1, balance=True, focal_gamma=2.0,
    lesion_weight=0.5, lesions_from=("localisation",), augmentations=("contrast",), rotation_degrees=5.0,
    contrast=(0.5, 2.0), blur_share=0.1, blur_sigma=2.0, zoom=(0.8, 1.2), stretch=1.2, shift=0.1, gamma=(0.7, 1.4),
    box_weight=0.5,
    tones=0.5, noise=3.0, erase=0.2, mixup=0.3, cutmix=1.0, mirrored=True, patience=4,
    keep="last", balance_sources=True, val_from=("south",), prior_by_source=True, draw_weight=0.5, draw_from=("north",),
    per_image=True, sharpness=2.0, mixstyle=0.3, coarsest=0.4, local_contrast=0.5,
    fourier=0.6, paste=0.2, flat_after=3, least_epochs=4,
)  # fmt: skip


def test_the_other_recipe_leaves_no_field_out():
    assert [field.name for field in fields(Recipe) if getattr(OTHER, field.name) == getattr(PAPER, field.name)] == []


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
@pytest.mark.parametrize("back", [False, True])
def test_every_field_reads_back_as_it_was_written(name, back):
    before, after = (OTHER, PAPER) if back else (PAPER, OTHER)
    after = replace(before, **{name: getattr(after, name)})
    texts = changes_between(before, after)
    changed = change_recipe(before, texts)
    assert texts
    assert changed == after
    assert type(getattr(changed, name)) is type(getattr(after, name))


@pytest.mark.parametrize("task", list_tasks())
def test_any_recipe_is_the_papers_with_changes(task):
    task = load_task(task)
    for before in list_recipes():
        for after in list_recipes():
            texts = changes_between(load_recipe(before, task), load_recipe(after, task))
            assert change_recipe(load_recipe(before, task), texts) == load_recipe(after, task)


def test_steps_of_preprocessing_are_changed_one_by_one():
    recipe = change_recipe(PAPER, ["prepare.size=192", "prepare.window=1,99", "prepare.aspect=pad", "prepare.size=96"])
    assert recipe.prepare == {"size": 96, "window": (1.0, 99.0), "aspect": "pad"}
    assert PrepareSpec(**recipe.prepare).size == 96
    assert change_recipe(recipe, ["prepare=none"]).prepare == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rat=0.1", "did you mean 'learning_rate'?"),
        ("learning_rat=0.1", "known: name, summary, epochs"),
        ("learning_rate", "FIELD=VALUE"),
        ("epochs=2.5", "whole number"),
        ("epochs=0", "1 or more"),
        ("learning_rate=fast", "takes a number"),
        ("learning_rate=nan", "above 0"),
        ("noise=inf", "cannot be inf"),
        ("bfloat16=perhaps", "true or false"),
        ("optimizer=sgd", "adam, adamw"),
        ("zoom=0.8", "2 values"),
        ("zoom=1.2,0.8", "lower value first"),
        ("contrast=none", "2 values"),
        ("blur_share=1.5", "1 at most"),
        ("augmentations=rotation,elastic", "no augmentation 'elastic'"),
        ("prepare.siz=3", "did you mean 'prepare.size'?"),
        ("prepare=224", "prepare.FIELD=VALUE"),
    ],
)
def test_a_mistake_is_named_before_anything_is_trained(text, said):
    with pytest.raises(UsageError) as found:
        change_recipe(PAPER, [text])
    assert said in str(found.value)


def test_the_recipe_in_records_is_as_before_where_no_weights_are_given():
    """Runs that were begun without the fields of weights go on with them."""
    assert not {"weights", "weights_sha256"} & set(PAPER.to_dict())
    assert {"weights", "weights_sha256"} <= set(OTHER.to_dict()) <= set(known_fields())
