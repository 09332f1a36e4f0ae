"""Engine processes: the warm interpreter that forks, and who holds the other end of its socket."""
