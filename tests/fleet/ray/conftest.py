"""Processes of a board's owner, which end with the tests."""

from tests.kit.own_boards import start

__all__ = ["start"]
