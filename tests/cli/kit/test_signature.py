"""Options as a dataclass: one parameter each for typer, one value for the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.signature import After, FlatSignature


@dataclass(frozen=True)
class Oven:
    degrees: int = 180
    fan: bool = False


@dataclass(frozen=True)
class Ingredients:
    flour: int
    sugar: Annotated[int, "grams"] = 100
    eggs: int | None = None


@dataclass(frozen=True)
class Recipe:
    oven: Oven
    minutes: int = 30


def bake(session: Session, wanted: Ingredients, salt: Annotated[bool, After("sugar")] = True) -> None:
    pass


def follow(session: Session, recipe: Recipe) -> None:
    pass


def test_the_fields_of_a_dataclass_stand_in_its_place() -> None:
    parameters = FlatSignature.of(bake).parameters
    assert [(one.name, one.default) for one in parameters if one.default is not one.empty] == [
        ("sugar", 100),
        ("salt", True),
        ("eggs", None),
    ]
    assert parameters[0].name == "flour"
    assert parameters[1].annotation == Annotated[int, "grams"]


def test_the_function_is_called_with_the_dataclass() -> None:
    values = {"flour": 1, "sugar": 2, "eggs": 3, "salt": False}
    assert FlatSignature.of(bake).arguments(values) == {"wanted": Ingredients(1, 2, 3), "salt": False}


def test_a_dataclass_within_one_is_flat_too() -> None:
    signature = FlatSignature.of(follow)
    assert [one.name for one in signature.parameters] == ["degrees", "fan", "minutes"]
    made = signature.arguments({"degrees": 200, "fan": True, "minutes": 10})
    assert made == {"recipe": Recipe(Oven(200, True), 10)}
