"""Many files, over many processes and machines: what is done is known, what failed is told.

Ray starts the workers, gives them work and replaces those that die (engine); all that is ours is
what a worker does with one file (worker), how one video is divided and joined (part, join), and
which files are done (tasks).
"""
