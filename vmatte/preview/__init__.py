"""A window on a live run: views, an overlay, keys."""

from vmatte.preview.keys import Action, action_of
from vmatte.preview.look import cycle_of
from vmatte.preview.player import Player, PlayerOptions
from vmatte.preview.run import watch
from vmatte.preview.views import VIEWS, Divider, View, make_view

__all__ = [
    "VIEWS",
    "Action",
    "Divider",
    "Player",
    "PlayerOptions",
    "View",
    "action_of",
    "cycle_of",
    "make_view",
    "watch",
]
