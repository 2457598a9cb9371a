"""Words and decisions of the process: pure, standard library only; `now` is always an argument."""
