"""Signed orders (TUF): keys and roles, publishing on the server's side, verifying on the agent's."""
