"""A window on a live run: views, an overlay, keys."""

from vmatte.preview.keys import Action, action_of
from vmatte.preview.player import Player
from vmatte.preview.run import watch
from vmatte.preview.views import VIEWS, Divider, View, make_view

__all__ = [
    "VIEWS",
    "Action",
    "Divider",
    "Player",
    "View",
    "action_of",
    "make_view",
    "watch",
]
