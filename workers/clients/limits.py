"""How long calls into an engine may take (seconds). They end what hangs; large models are slow."""

__all__ = ["ASK", "COMPILE", "EXTRACT", "LOG", "PREPARE", "QUANTIZE", "RUN", "SERVICE"]

#: A question that takes no work.
ASK = 60.0
PREPARE = 900.0
EXTRACT = 1800.0
COMPILE = 3600.0
#: A short run for each layer where some are to stay in float32.
QUANTIZE = 7200.0
RUN = 600.0
LOG = 1800.0
#: Starting a server is a fork; a minute is for a machine that does everything else at once.
SERVICE = 60.0
