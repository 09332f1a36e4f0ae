"""What runs on the nodes: Ray actors, the engine processes they supervise, and the engines inside those.

Nothing here is imported by the coordinator except :mod:`workers.messages` and :mod:`workers.actors`.
"""
