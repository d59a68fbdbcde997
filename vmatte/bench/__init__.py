"""How fast this machine mattes: what every benchmark of speed is measured with.

Nothing is imported here: ``watch`` also serves interpreters that lack most of what vmatte needs.
"""
