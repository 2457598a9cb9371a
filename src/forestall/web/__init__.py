"""HTTP: the agents' interface and the pages for people."""
