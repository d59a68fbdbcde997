"""Whole frames on the device that the network runs on: planes up, planes down."""

from vmatte.device.composer import DeviceComposer, obstacle

__all__ = ["DeviceComposer", "obstacle"]
